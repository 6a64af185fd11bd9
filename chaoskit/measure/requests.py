"""Counts, shares, latencies and gaps of requests, by phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from chaoskit.clock import NS
from chaoskit.history.records import Flag, Outcome
from chaoskit.measure.model import Dropped, Interval
from chaoskit.measure.outage import bad_runs
from chaoskit.measure.track import Ints, Track
from chaoskit.measure.view import Span, View, as_seconds

__all__ = [
    "bad_time",
    "dropped",
    "error_share",
    "goodput_gap",
    "latencies_at",
    "latency",
    "latency_at",
    "max_stall",
    "until_recovery",
]

BAD = (Outcome.OK_LATE, Outcome.FAIL_DEFINITE, Outcome.AMBIGUOUS, Outcome.NOT_SENT)


def until_recovery(view: View) -> Span:
    """From the fault's command to recovery; the whole observation where there was no fault.

    Where several nodes serve, the others go on: it then lasts until every fault is healed, too,
    because a node is missed for as long as it is away, whether or not a request fails.
    """
    start = view.commanded_ns if view.fault else view.observed[0]
    healed = view.healed_ns if view.fault and view.several_serve else start
    return start, max(start, view.recovered_ns, healed)


def dropped(view: View, span: Span, track: Track | None = None) -> Dropped:
    """Requests due in ``span`` that were not good, by class and by error."""
    track = track or view.headline
    low, high = track.due_between(*span)
    counts = view.counts(track, span)
    by_class = {o.name.lower(): counts[o.name.lower()] for o in BAD}
    count, due = sum(by_class.values()), high - low
    errors = track.column("error")[low:high][track.outcome[low:high] != Outcome.OK]
    return Dropped(
        count=count,
        due=due,
        ratio=count / due if due else 0.0,
        by_class=by_class,
        by_error=_by_error(view, errors),
    )


def _by_error(view: View, met: np.ndarray[Any, Any]) -> dict[str, int]:
    """How often each error was met, most frequent first; requests without one are left out."""
    errors = view.history.errors
    counts = pd.Series(met[met > 0]).value_counts()
    named = {
        errors[i] if i < len(errors) else f"error {i}": count
        for i, count in zip(counts.index.tolist(), counts.tolist(), strict=True)
    }
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def error_share(view: View, span: Span) -> tuple[float, float]:
    """Share of the requests due that were not good: without and with the slots never asked."""
    counts = view.counts(view.headline, span)
    if not counts["due"]:
        return 0.0, 0.0
    bad = sum(counts[o.name.lower()] for o in BAD)
    return (bad - counts["not_sent"]) / counts["due"], bad / counts["due"]


def bad_time(view: View) -> Interval:
    """Bad requests since the fault, each worth one interval; slots never asked only widen it."""
    track = view.headline
    start = view.commanded_ns if view.fault else view.observed[0]
    if view.outage is not None:
        start = min(start, view.outage.start_ns)
    low, high = track.due_between(start, view.observed[1])
    bad = int(np.count_nonzero(track.bad[low:high]))
    unasked = high - low - int(np.count_nonzero(track.asked[low:high]))
    runs = bad_runs(track, start)
    rate = track.stream.rate
    return Interval(
        value_s=bad / rate,
        low_s=max(0, bad - runs) / rate,
        high_s=(bad + runs + unasked) / rate,
    )


def latency(track: Track, span: Span) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of answered requests due in ``span``, from due to done, ns, sorted."""
    return np.sort(_took(track, span))


def _took(track: Track, span: Span) -> Ints:
    low, high = track.due_between(*span)
    took: Ints = (track.done[low:high] - track.due[low:high])[track.answered[low:high]]
    return took


def latency_at(track: Track, span: Span, q: float) -> int | None:
    """A percentile of those, ns, by nearest rank; None without answers."""
    return latencies_at(track, span, (q,))[0]


def latencies_at(track: Track, span: Span, qs: Sequence[float]) -> list[int | None]:
    """Several percentiles, found together: nothing is sorted but what lies at their ranks."""
    found = _took(track, span)
    if not found.size:
        return [None] * len(qs)
    ranks = [min(max(1, -int(-q * found.size // 1)), found.size) - 1 for q in qs]
    found.partition(sorted(set(ranks)))
    return [int(found[rank]) for rank in ranks]


def max_stall(view: View) -> Interval:
    """The longest time from due to answer or error since the fault.

    Censored where the client gave up at its timeout: how long it would have been is not known.
    """
    track = view.headline
    start = view.commanded_ns if view.fault else view.observed[0]
    if view.outage is not None:
        start = min(start, view.outage.start_ns)
    low, _ = track.due_between(start, start)
    asked = np.flatnonzero(track.asked[low:]) + low
    if not asked.size:
        return Interval(value_s=0.0, low_s=0.0, high_s=0.0, note="no request was asked")
    stalls = track.done[asked] - track.due[asked]
    timed_out = (track.column("flags")[asked] & int(Flag.TIMED_OUT)) != 0
    timed_out |= (track.done[asked] - track.sent[asked] >= track.stream.timeout_ns) & ~(
        track.answered[asked]
    )
    value = as_seconds(stalls.max())
    censored = bool(timed_out.any())
    return Interval(
        value_s=value,
        low_s=value,
        high_s=None if censored else value,
        censored=censored,
        note=f"clients give up after {track.stream.timeout_ns / NS:g} s" if censored else None,
    )


def goodput_gap(view: View) -> Interval:
    """The longest time without a successful completion since the fault, less the usual gap.

    Successful: answered, on time or late. Censored if nothing succeeded up to the end. The bracket
    is that of ``_gap_bracket``, so it counts how late the generator really was.
    """
    track = view.headline
    end = view.observed[1]
    done = np.sort(track.done[track.answered])
    done = done[done <= end]
    start = view.commanded_ns if view.fault else view.observed[0]
    before = done[done < start]
    gaps_before = np.diff(before)
    usual = int(np.median(gaps_before)) if gaps_before.size else track.interval_ns
    first = int(before[-1]) if before.size else view.observed[0]
    points = np.concatenate(([first], done[done >= start], [end]))
    gaps = np.diff(points)
    at = int(gaps.argmax())
    longest = int(gaps[at])
    censored = bool(gaps[-1] == longest and longest > 3 * usual and view.recovered_ns >= end)
    censored = censored and view.outage is not None
    value = max(0, longest - usual)
    low, high = _gap_bracket(track, int(points[at]), int(points[at + 1]), start)
    return Interval(
        value_s=as_seconds(value),
        low_s=as_seconds(max(0, min(low, value))),
        high_s=None if censored else as_seconds(max(high, value)),
        censored=censored,
    )


def _gap_bracket(track: Track, last_ns: int, next_ns: int, fault_ns: int) -> tuple[int, int]:
    """How long nothing was served, at least and at most, if nothing succeeded between two moments.

    From what was really sent, not from what was due. At most: service may have gone as soon as
    the last request was sent that still succeeded, and was back when the next success came. At
    least: the next request sent after that one met no service, so it had gone when that request
    arrived; and it was away when the last request was sent that would have been answered before
    ``next_ns`` had it been served at once: in the longest time that an answer took before the fault
    or after the gap, and a quarter more, since the slowest answer of few may be slower yet.
    """
    asked = track.asked
    sent, done = track.sent[asked], track.done[asked]
    answered = track.answered[asked]
    if not sent.size:
        return 0, next_ns - last_ns
    served = answered & (done <= last_ns)
    quick = answered & ((done < fault_ns) | (sent >= next_ns))
    usual = int((done - sent)[quick].max()) * 5 // 4 if quick.any() else track.stream.timeout_ns
    last_sent = int(sent[served].max()) if served.any() else last_ns
    met = sent > last_sent
    proof = sent + usual < next_ns
    if not met.any() or not proof.any():
        return 0, next_ns - min(last_sent, last_ns)
    one = int(np.flatnonzero(met)[sent[met].argmin()])
    gone = int(sent[one]) + usual
    if not answered[one]:
        gone = min(gone, int(done[one]))
    return int(sent[proof].max()) - gone, next_ns - min(last_sent, last_ns)
