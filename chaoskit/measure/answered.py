"""Which of several outages it was that the failover answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chaoskit.history.history import FaultRecord
from chaoskit.measure.office import in_office
from chaoskit.measure.outage import Outage, worst_of
from chaoskit.measure.table import Column
from chaoskit.measure.track import Bools, Track

__all__ = ["Hands", "answered_by_failover", "began_at_heal"]

_NEAR = 20  # acknowledgements on either side of an outage that say who serves
_STRAGGLER = 20  # who gave no more than a twentieth of them is none who serves


def answered_by_failover(
    outages: Sequence[Outage],
    track: Track,
    faults: Sequence[FaultRecord],
    *,
    one_serves: bool,
    who: Bools | None = None,
) -> Outage | None:
    """The longest in which the office changed hands; the longest of all where that is not seen.

    One that began when the fault was already being taken away is the heal's own (a node that comes
    back takes a copy, a container's start the machine's breath): it counts where there is no other.
    One that has not ended is the longest: nobody has answered it. ``one_serves``: a server that did
    not acknowledge before and does afterwards has taken over. ``who``: can be in office; None: all.
    """
    longest = worst_of(outages)
    if longest is None or longest.censored:
        return longest
    under = [o for o in outages if not began_at_heal(o, faults)] or outages
    hands = Hands(track, who) if one_serves else None
    taken = [o for o in under if hands is not None and hands.changed(o)]
    return worst_of(taken or under)


def began_at_heal(outage: Outage, faults: Sequence[FaultRecord]) -> bool:
    """Whether the last fault that bites and came before it was being healed by then."""
    before = [f for f in faults if f.must_bite and f.commanded_ns <= outage.start_ns]
    if not before:
        return False
    healing = max(before, key=lambda f: f.commanded_ns).heal_commanded_ns
    return healing is not None and healing <= outage.start_ns


class Hands:
    """Who acknowledged, in order: there may be thousands of outages to look at."""

    def __init__(self, track: Track, who: Bools | None) -> None:
        server = in_office(track.server, who)
        rows = np.flatnonzero(track.answered & (server > 0))
        self._server, self._done = server[rows], track.done[rows]
        self._last = np.argsort(self._done, kind="stable")
        self._ordered = self._done[self._last]

    def changed(self, outage: Outage) -> bool:
        """Whether somebody acknowledges just after an outage who did not just before it."""
        before = self._last[: int(np.searchsorted(self._ordered, outage.start_ns, side="left"))]
        after = self._last[int(np.searchsorted(self._ordered, outage.end_ns, side="left")) :]
        served = _serving(self._server[before[-_NEAR:]])
        return bool(served) and bool(_serving(self._server[after[:_NEAR]]) - served)


def _serving(servers: Column) -> set[int]:
    """Whoever gave more than a straggler's share."""
    names, counts = np.unique(servers, return_counts=True)
    return {int(s) for s, n in zip(names, counts, strict=True) if n * _STRAGGLER > counts.sum()}
