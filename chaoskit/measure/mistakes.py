"""Whether the system's failure detector was wrong while nothing had failed, and for how long.

Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (2002): a mistake is to
suspect who has not failed. Its *duration* T_M lasts until it is corrected, its *recurrence* T_MR is
the time from one to the next, and the *query accuracy* 1 - E[T_M] / E[T_MR] is the share of the
time in which an answer of the detector is right.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.clock import NS
from chaoskit.measure.heartbeats import peer_of
from chaoskit.measure.model import Interval, Mistakes
from chaoskit.measure.takeovers import calm
from chaoskit.measure.told import ended_before, told
from chaoskit.measure.view import View

__all__ = ["false_suspicions"]

NOT_TOLD = "no node told of heartbeats that it heard"


@dataclass(frozen=True)
class _Mistake:
    """``corrected`` False: it had not ended when the calm did."""

    from_ns: int
    to_ns: int
    corrected: bool


def false_suspicions(view: View) -> Mistakes:
    """Declarations of death until the first fault that bites; a soak is calm from end to end.

    One ends when the node hears its peer again, or when it takes up the peer's role: what it does
    from then on is a false failover, and counted as that. A node that had ended by itself was
    suspected rightly. A detector counts as watched from the first heartbeat that it heard to the
    last, or to the end of its last mistake. All times are the nodes' own stamps, so the share of
    time is exact.
    """
    span = calm(view)
    links = _links(view, span)
    if not links:
        return Mistakes(count=None, note=NOT_TOLD)
    found: list[_Mistake] = []
    watched = 0
    for (node, peer), heard in links.items():
        wrong = _mistakes(view, node, peer, heard, span)
        watched += max([heard[-1], *(m.to_ns for m in wrong)]) - heard[0]
        found += wrong
    lost = sum(m.to_ns - m.from_ns for m in found)
    return Mistakes(
        count=len(found),
        links=len(links),
        watched_s=watched / NS,
        wrong_s=lost / NS,
        durations_s=tuple((m.to_ns - m.from_ns) / NS for m in found if m.corrected),
        longest=_longest(found),
        query_accuracy=_exactly(1 - lost / watched) if watched else None,
    )


def _links(view: View, span: tuple[int, int]) -> Mapping[tuple[str, str], list[int]]:
    """(listener, peer) → when it was heard; the peer is empty where the listener names none."""
    found: dict[tuple[str, str], list[int]] = {}
    for one in told(view.history, "heartbeat-seen"):
        if span[0] <= one.t_ns <= span[1]:
            found.setdefault((one.node, peer_of(one.detail)), []).append(one.t_ns)
    return found


def _mistakes(
    view: View, node: str, peer: str, heard: Sequence[int], span: tuple[int, int]
) -> list[_Mistake]:
    """Those of one listener about one peer, in order of time; they do not overlap."""
    ends = sorted([*heard, *(e.t_ns for e in told(view.history, "promoted") if e.node == node)])
    found: list[_Mistake] = []
    for one in told(view.history, "declared-dead"):
        about = not peer or one.detail in ("", peer)
        if one.node != node or not about or not span[0] < one.t_ns <= span[1]:
            continue
        if one.detail in ended_before(view.history) or (found and one.t_ns < found[-1].to_ns):
            continue  # it was right, or says once more what is not corrected yet
        after = bisect_right(ends, one.t_ns)
        right = after < len(ends) and ends[after] <= span[1]
        found.append(_Mistake(one.t_ns, ends[after] if right else span[1], right))
    return found


def _longest(found: Iterable[_Mistake]) -> Interval:
    """0 where there was no mistake; one that nobody corrected is at least as long as all others."""
    lengths = [((m.to_ns - m.from_ns) / NS, m.corrected) for m in found]
    longest = max((length for length, _ in lengths), default=0.0)
    if all(corrected for _, corrected in lengths):
        return _exactly(longest)
    note = "one had not been corrected when the fault came, or the end"
    return Interval(value_s=longest, low_s=longest, censored=True, note=note)


def _exactly(value: float) -> Interval:
    return Interval(value_s=value, low_s=value, high_s=value)
