"""Client-observed outages of one stream: estimate and hard bracket.

S is the due time of the first bad request. E is the earliest completion after S of an answered
request, on time or late, from which on the next three requests due are all good: requests that
were held and served at recovery therefore end the outage at recovery, not a deadline too early.
Shorter calm than three good requests does not separate two outages. E - S is within one interval
of the truth, give or take the generator's lag; the bracket contains it.

Where good requests stand between bad ones, as when one of two servers is out, only some requests
meet the outage: it may have begun, and may end, as long before the first and after the last one
that met it as good ones stand in a row inside. The bracket is wider by that at either end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chaoskit.measure.track import Ints, Track

__all__ = ["CALM", "Outage", "bad_runs", "find_outages", "worst_of"]

CALM = 3
"""So many good requests in a row mean that service is back."""


@dataclass(frozen=True)
class Outage:
    """One outage; ns. ``censored``: it had not ended when observation did, which ``end_ns`` is.

    Service was surely out in ``sure``, if that is a stretch, and surely not outside ``may``.
    """

    start_ns: int
    end_ns: int
    low_ns: int
    high_ns: int | None  # None where censored
    censored: bool
    bad: int  # requests asked in it that were not good
    held: bool  # requests were held and served at its end
    lag_ns: int  # the generator's worst lag around it, part of the bracket
    sure: tuple[int, int]
    may: tuple[int, int]


def worst_of(found: Iterable[Outage]) -> Outage | None:
    """The longest; the first of equals. One that had not ended is longer than all that had."""
    return max(found, key=lambda o: (o.censored, o.end_ns - o.start_ns), default=None)


def bad_runs(track: Track, from_ns: int) -> int:
    """Runs of bad requests due at or after ``from_ns``, before any merging.

    A slot that was not asked neither begins nor ends a run.
    """
    low, _ = track.due_between(from_ns, from_ns)
    bad = track.bad[low:][track.asked[low:]]
    return int(np.count_nonzero(bad[1:] & ~bad[:-1]) + (bad.size > 0 and bool(bad[0])))


class _Search:
    """What finding the outages of a track needs, sorted once; at least one request was bad."""

    def __init__(self, track: Track) -> None:
        self.track = track
        size = len(track)
        calm = np.zeros(size + 1, dtype=bool)  # the CALM requests from here on are all good
        if size >= CALM:
            calm[: size - CALM + 1] = True
            for i in range(CALM):
                calm[: size - CALM + 1] &= track.good[i : size - CALM + 1 + i]
        self.bad: Ints = np.flatnonzero(track.bad)
        out_ns = track.due[self.bad[0]]  # service cannot be back before it was first away
        answered = np.flatnonzero(track.answered & (track.done > out_ns))
        after = np.searchsorted(track.due, track.done[answered], side="left")
        ends = answered[calm[after]]
        order = np.argsort(track.done[ends], kind="stable")
        self.ends: Ints = track.done[ends][order]  # moments at which service is back for good
        self.end_due: Ints = track.due[ends][order]
        good_at = np.flatnonzero(track.good)
        by_done = good_at[np.argsort(track.done[good_at], kind="stable")]
        self.good_done: Ints = track.done[by_done]
        self.good_sent: Ints = np.maximum.accumulate(track.sent[by_done])
        # between a bad request and the next one, if good ones were due there
        apart, between = (
            np.diff(track.due[self.bad]),
            np.diff(np.cumsum(track.good, dtype=np.int32)[self.bad]),
        )
        self.apart: Ints = np.where(between > 0, apart, 0)

    def last_good_sent(self, first: int) -> int:
        """When the last good request was sent that was over before the first bad one began."""
        track = self.track
        k = int(np.searchsorted(self.good_done, track.sent[first], side="right")) - 1
        return int(track.due[0]) if k < 0 else int(self.good_sent[k])


def find_outages(track: Track, observed_until_ns: int) -> tuple[Outage, ...]:
    """Every outage of the track, in order of time."""
    if not track.bad.any():
        return ()
    search = _Search(track)
    bad, due = search.bad, track.due
    found: list[Outage] = []
    at = 0
    while at < bad.size:
        start = int(due[bad[at]])
        k = int(np.searchsorted(search.ends, start, side="right"))
        if k == search.ends.size:
            found.append(_censored(search, bad[at:], observed_until_ns))
            break
        after = int(np.searchsorted(due, search.ends[k], side="left"))
        following = int(np.searchsorted(bad, after, side="left"))
        found.append(_ended(search, bad[at:following], k, after))
        at = following
    return tuple(found)


def _ended(search: _Search, bad: Ints, k: int, after: int) -> Outage:
    track = search.track
    first, last = int(bad[0]), int(bad[-1])
    start, end = int(track.due[first]), int(search.ends[k])
    lag = _lag(track, first, after)
    # Whoever was due after S and got an answer was served after the outage began, so after it
    # ended. An answer to somebody due before S proves that only of the good request after it.
    back = end if search.end_due[k] >= start else max(end, int(track.done[after]))
    sure, grain = _sure(track, bad, lag), _grain(search, bad)
    may = (search.last_good_sent(first) - grain, back + lag + grain)
    low, high = sure[1] - sure[0], may[1] - may[0]
    resumed = int(track.due[min(last + 1, len(track) - 1)])
    return Outage(
        start_ns=start,
        end_ns=end,
        low_ns=max(0, min(low, end - start)),
        high_ns=max(high, end - start),
        censored=False,
        bad=int(bad.size),
        held=end - resumed > track.stream.deadline_ns / 2,
        lag_ns=lag,
        sure=sure,
        may=may,
    )


def _censored(search: _Search, bad: Ints, observed_until_ns: int) -> Outage:
    track, first = search.track, int(bad[0])
    start = int(track.due[first])
    end = max(observed_until_ns, start)
    lag = _lag(track, first, len(track))
    sure = _sure(track, bad, lag)
    return Outage(
        start_ns=start,
        end_ns=end,
        low_ns=max(0, min(sure[1] - sure[0], end - start)),
        high_ns=None,
        censored=True,
        bad=int(bad.size),
        held=False,
        lag_ns=lag,
        sure=sure,
        may=(search.last_good_sent(first) - _grain(search, bad), end),
    )


def _grain(search: _Search, bad: Ints) -> int:
    """The longest time between two bad requests in which good ones were due, less an interval."""
    first = int(np.searchsorted(search.bad, bad[0]))
    apart = search.apart[first : first + bad.size - 1]
    return max(0, int(apart.max()) - search.track.interval_ns) if apart.size else 0


def _sure(track: Track, bad: Ints, lag: int) -> tuple[int, int]:
    """From the first proof that it had begun to the last proof that it was still on."""
    return int(track.done[bad].min()), int(track.sent[bad].max()) - lag


def _lag(track: Track, first: int, after: int) -> int:
    lags = track.lag_ns(max(0, first - 1), min(len(track), after + 2))
    return int(lags.max()) if lags.size else 0
