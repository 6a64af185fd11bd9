"""Whether an outage may be no more than the bad requests that there were before the fault.

A system that answers one request in fifty badly has two in a row every few minutes, fault or not,
and a baseline of a few requests rules little out. A bound that only such an outage would miss is
not missed: ``reading`` lets it begin at 0, and the threshold is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.measure.chernoff import share_lower, share_upper
from chaoskit.measure.model import Interval
from chaoskit.measure.outage import Outage
from chaoskit.measure.partly import partly_out
from chaoskit.measure.track import Track
from chaoskit.measure.view import View

__all__ = ["CHANCE", "flagged", "many", "of_any", "of_half", "of_outage", "of_run", "run_note"]

CHANCE = 0.01
"""An outage that the baseline's own bad requests bring about as often as this fails no bound."""


def of_run(view: View, track: Track, length: int) -> float:
    """At most how likely so long a run of bad requests is after the fault if nothing had changed.

    From the share of bad ones in the baseline, estimated by (bad + 1) / (asked + 2), since none
    among a few hundred does not make it 0; the sum over every place where a run may begin.
    """
    if view.fault is None:
        return 0.0
    _, high = track.due_between(*view.spans["baseline"])
    return float(min(1.0, (len(track) - high) * _share(view, track) ** length))


def of_outage(view: View, track: Track, outage: Outage | None) -> float:
    """That of a track's longest outage; 0 where it never ended, or is part of a longer stretch."""
    if outage is None or outage.censored or partly_out(view, track):
        return 0.0
    return of_run(view, track, outage.bad)


def of_any(view: View, tracks: Sequence[Track], span_ns: int) -> float:
    """At most how likely it is that any of several tracks has a run so long in time (Boole)."""
    return min(1.0, sum(of_run(view, t, max(1, span_ns // t.interval_ns)) for t in tracks))


def of_half(view: View, tracks: Sequence[Track], span_ns: int) -> float:
    """At most how likely it is that half of several tracks have one (Markov)."""
    expected = sum(of_run(view, t, max(1, span_ns // t.interval_ns)) for t in tracks)
    return min(1.0, expected / -(-len(tracks) // 2))


def many(view: View, track: Track) -> bool:
    """Are more of a track's requests bad since the fault than before it, surely?

    Then outages that may each be chance are none together. ``partly_out`` asks the same of one
    stretch; both bounds on the shares hold with 99 % (Chernoff).
    """
    if view.fault is None:
        return True
    asked, bad = track.counts(view.commanded_ns, view.observed[1])
    before, bad_before = track.counts(*view.spans["baseline"])
    return share_lower(bad, asked, 1 - CHANCE) > share_upper(bad_before, before, 1 - CHANCE)


def flagged(view: View, found: Interval, chance: float) -> Interval:
    """``found``, with how likely it is nothing; as it is where nothing was to bite.

    There, what comes by chance is what was asked about.
    """
    bites = any(fault.must_bite for fault in view.history.faults)
    sure = chance < CHANCE or not bites or found.censored or not found.value_s
    return found if sure else found.model_copy(update={"chance": chance})


def run_note(bad: int, chance: float) -> str:
    """A note on an outage of so many bad requests."""
    return (
        f"a stretch of {bad} bad requests may be chance: with a share of bad ones as "
        f"before the fault, one would come in {chance:.0%} of trials"
    )


def _share(view: View, track: Track) -> float:
    asked, bad = track.counts(*view.spans["baseline"])
    return (bad + 1) / (asked + 2)
