"""Back to how it was: when service was as good as before the fault, and what that cost.

Judged second by second against the last half of the baseline: goodput, p99 of the latency and
share of bad requests, all by when requests were due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.failover import first_good_ns, proven_ns
from chaoskit.measure.kept import found_once
from chaoskit.measure.model import Interval
from chaoskit.measure.track import Bools, Ints, Track
from chaoskit.measure.view import View, as_seconds

__all__ = [
    "STEADY_S",
    "Baseline",
    "as_fast",
    "back_ns",
    "baseline_of",
    "goodput",
    "latency_overshoot",
    "lost_goodput",
    "steady_ns",
    "time_to_steady",
    "windows",
]

STEADY_S = 2.0
"""How long it has to stay as good as before, where nothing else is said."""

_GOODPUT = 0.9  # of the baseline's, at least
_LATENCY = 1.5  # times the baseline's p99, at most
_ERRORS = 0.001  # more than the baseline's share, at most
_BUCKET_NS = NS
_LONGEST_NS = 86_400 * NS  # a trial beyond a day is a damaged record
_STEPS = 10  # windows begin every tenth of a bucket


@dataclass(frozen=True)
class Baseline:
    """The last half of the time before the fault; ns, and shares of the requests asked."""

    goodput: float  # good requests a second: the median of whole seconds
    p99_ns: int
    bad_share: float


def _due_within(track: Track, kind: Bools, starts: Ints, ends: Ints) -> Ints:
    """How many requests of that kind were due in each window: running sums at its two ends."""
    sums = np.zeros(kind.size + 1, dtype=np.int64)
    np.cumsum(kind, out=sums[1:])
    found: Ints = sums[np.searchsorted(track.due, ends)] - sums[np.searchsorted(track.due, starts)]
    return found


def time_to_steady(view: View, steady_s: float = STEADY_S) -> Interval | None:
    """From the fault until service is, for ``steady_s``, as good as before it.

    That is: in every second from then on at least 90 % of the baseline's goodput, a p99 of at most
    1.5 times the baseline's and at most 0.1 percentage points more bad requests. Not looked for
    before the first good write. None where there is no baseline to compare with.
    """
    fault = view.fault
    if fault is None or not any(f.must_bite for f in view.history.faults):
        return Interval(applicable=False, note="no fault that bites was injected")
    base = baseline_of(view)
    if base is None:
        return None
    if view.outage is not None and view.outage.censored:
        note = "service had not come back when observation ended"
        return _not_reached(view, view.observed[1], note)
    before, steady, note = steady_ns(view, base, steady_s)
    if steady is None:
        return _not_reached(view, before, note)
    value = steady - fault.acknowledged_ns
    low = max(0, min(value, before - proven_ns(fault)))
    return Interval(
        value_s=as_seconds(value),
        low_s=as_seconds(low),
        high_s=as_seconds(steady - fault.commanded_ns),
    )


def steady_ns(view: View, base: Baseline, steady_s: float) -> tuple[int, int | None, str]:
    """When it was certainly not steady yet, when it was, and why not where it never was."""
    start = back_ns(view)
    at = windows(view)
    steady, failed = _held(_as_before(view, base, at), max(1, math.ceil(steady_s)))
    if steady is not None:
        return int(at[max(0, steady - 1)]), int(at[steady]), ""
    known = int(at[failed]) if failed is not None else start
    watched = as_seconds(max(0, view.observed[1] - start))
    note = f"not steady for {steady_s:g} s in the {watched:.2f} s observed after recovery"
    return known, None, note


def windows(view: View) -> Ints:
    """Beginnings of the seconds that are looked at, from when service was back; ns."""
    start = back_ns(view)
    last = max(start, view.observed[1] - _BUCKET_NS + 1)
    return np.arange(start, last, _BUCKET_NS // _STEPS, dtype=np.int64)


def _not_reached(view: View, known_ns: int, note: str) -> Interval:
    """Censored: it was certainly not steady yet at ``known_ns``."""
    fault = view.fault
    assert fault is not None  # noqa: S101 - whoever asks has looked
    since = max(0, known_ns - fault.acknowledged_ns)
    low = max(0, min(since, known_ns - proven_ns(fault)))
    return Interval(value_s=as_seconds(since), low_s=as_seconds(low), censored=True, note=note)


def lost_goodput(view: View) -> float | None:
    """Requests that the fault cost: what each second after it was short of the baseline's share.

    None without a fault or without a baseline.
    """
    base, track = baseline_of(view), view.headline
    if view.fault is None or base is None:
        return None
    starts = np.arange(
        max(view.commanded_ns, view.observed[0]), view.observed[1], _BUCKET_NS, dtype=np.int64
    )
    ends = np.minimum(starts + _BUCKET_NS, view.observed[1])
    asked, good = (_due_within(track, kind, starts, ends) for kind in (track.asked, track.good))
    return float(np.maximum(asked * (1 - base.bad_share) - good, 0.0).sum())


def latency_overshoot(view: View) -> float | None:
    """Seconds by which the worst second's p99 after recovery lies above the baseline's; 0: none.

    None where service did not come back, or there is no baseline.
    """
    base, track, end = baseline_of(view), view.headline, view.observed[1]
    out = view.outage is not None and view.outage.censored
    if view.fault is None or base is None or out:
        return None
    peak = 0
    for start in range(back_ns(view), end - _BUCKET_NS + 1, _BUCKET_NS):
        peak = max(peak, _p99_ns(track, start, start + _BUCKET_NS) or 0)
    return as_seconds(max(0, peak - base.p99_ns)) if peak else None


def back_ns(view: View) -> int:
    """When service was back: the first good write, else the outage's end, else the fault."""
    back = first_good_ns(view)
    if back is None:
        back = view.outage.end_ns if view.outage else view.origin_ns
    return max(back, view.observed[0])


@found_once
def baseline_of(view: View) -> Baseline | None:
    """None where the baseline is under two seconds, or nothing was answered in its last half."""
    start, end = view.spans["baseline"]
    middle, track = (start + end) // 2, view.headline
    p99 = _p99_ns(track, middle, end)
    observed = view.observed[1] - view.observed[0]
    if end - middle < _BUCKET_NS or observed > _LONGEST_NS or p99 is None:
        return None
    ends = np.arange(end, middle + _BUCKET_NS - 1, -_BUCKET_NS, dtype=np.int64)
    per_second = _due_within(track, track.good, ends - _BUCKET_NS, ends)
    low, high = track.due_between(middle, end)
    asked = max(1, int(track.asked[low:high].sum()))
    return Baseline(float(np.median(per_second)), p99, int(track.bad[low:high].sum()) / asked)


def _p99_ns(track: Track, start_ns: int, end_ns: int) -> int | None:
    """Nearest rank, of answered requests, from due."""
    low, high = track.due_between(start_ns, end_ns)
    took = (track.done[low:high] - track.due[low:high])[track.answered[low:high]]
    if not took.size:
        return None
    rank = _rank(took.size) - 1
    return int(np.partition(took, rank)[rank])


def _rank(size: int) -> int:
    return -(-99 * size // 100)


def goodput(view: View, starts: Ints, ends: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Good requests of the headline stream in each window, as if the whole load had been due."""
    track = view.headline
    good = _due_within(track, track.good, starts, ends)
    share = view.shed.due_share(starts, ends) if view.shed else 1.0
    return np.asarray(good / share, dtype=np.float64)


def as_fast(view: View, base: Baseline, starts: Ints) -> Bools:
    """Whether the p99 of each second that begins there is at most 1.5 times the baseline's."""
    track, ends = view.headline, starts + _BUCKET_NS
    late = track.answered & (track.done - track.due > base.p99_ns * _LATENCY)
    answered, slow = (_due_within(track, kind, starts, ends) for kind in (track.answered, late))
    return np.asarray(slow <= answered - (-(-99 * answered // 100)), dtype=np.bool_)


def _as_before(view: View, base: Baseline, starts: Ints) -> Bools:
    """Whether each second that begins at one of ``starts`` is as good as the baseline."""
    track = view.headline
    ends = starts + _BUCKET_NS
    answered, bad, asked = (
        _due_within(track, kind, starts, ends) for kind in (track.answered, track.bad, track.asked)
    )
    fast = as_fast(view, base, starts)
    clean: Bools = bad <= asked * (base.bad_share + _ERRORS)
    served: Bools = goodput(view, starts, ends) >= _GOODPUT * base.goodput
    return fast & clean & served & (answered > 0)


def _held(fine: Bools, seconds: int) -> tuple[int | None, int | None]:
    """The first window from which so many seconds in a row are fine, and the last that is not."""
    needed = (seconds - 1) * _STEPS + 1
    failed = np.zeros(fine.size, dtype=bool)
    held = np.zeros(fine.size, dtype=bool)
    if fine.size >= needed:
        held[: fine.size - needed + 1] = True
    for k in range(seconds):
        shifted = fine[k * _STEPS :]
        held[: shifted.size] &= shifted
        failed[: shifted.size] |= ~shifted
    first, last = np.flatnonzero(held), np.flatnonzero(failed)
    return (int(first[0]) if first.size else None, int(last[-1]) if last.size else None)
