"""What the system's own observers said, against what clients felt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from chaoskit.history.history import Observation
from chaoskit.measure.model import Count, Interval
from chaoskit.measure.roles import PRIMARY
from chaoskit.measure.takeovers import takeovers, untold
from chaoskit.measure.view import View, as_seconds

__all__ = ["flapping", "gray_time"]

_FINE = frozenset({PRIMARY, "backup", "witness", "healthy"})

Spans = list[tuple[int, int]]
"""Disjoint stretches in order of time, ns."""


def gray_time(view: View) -> Interval | None:
    """How long clients were without service while every probe said that all is well.

    All is well: every node that ever answered answers, none calls itself unhealthy or anything
    but primary, backup or witness, and one of them is primary. A change between two polls counts
    from the middle; the bracket has both ends. None where roles were not probed.
    """
    asked = _series(view)
    if not any(poll.value == PRIMARY for seen in asked for poll in seen):
        return None
    out = view.outages(view.headline)
    felt = _union((o.start_ns, o.end_ns) for o in out)
    low, value, high = (_length(_both(felt, _well(view, asked, end))) for end in (-1, 0, 1))
    unsure = sum(o.end_ns - o.start_ns - o.low_ns for o in out)
    more = sum(o.high_ns - (o.end_ns - o.start_ns) for o in out if o.high_ns is not None)
    last = out[-1] if out else None
    still = last is not None and last.censored
    still = still and bool(_both([(view.observed[1] - 1, view.observed[1])], _well(view, asked, 0)))
    return Interval(
        value_s=as_seconds(value),
        low_s=as_seconds(max(0, min(value, low - unsure))),
        high_s=None if still else as_seconds(max(value, high + more if high else 0)),
        censored=still,
        note="clients were still without service when observation ended" if still else None,
    )


def flapping(view: View) -> Count:
    """Times that a node became primary since the fault, beyond one for each fault that bites.

    A node that goes on as primary after it was silent did not become it. A planned return to the
    first primary counts: it is a second interruption. Each shard has an office of its own: in each
    it is takeovers beyond one for each fault, and all of them together.
    """
    allowed = sum(fault.must_bite for fault in view.history.faults)
    since = view.commanded_ns if view.fault else view.observed[0]
    found = takeovers(view)
    if found is None:
        return Count(count=None, note=untold(view))
    if view.shards:
        taken = Counter(t.shard for t in found if since < t.seen_ns <= view.observed[1])
        return Count(count=sum(max(0, count - allowed) for count in taken.values()))
    return Count(count=max(0, _became(view, since) - allowed))


def _became(view: View, since: int) -> int:
    """How often a poll saw a node as primary that had answered otherwise before."""
    became = 0
    for seen in view.history.polls.values():
        answers = [poll for poll in seen if poll.value is not None]
        became += sum(
            1
            for before, poll in pairwise(answers)
            if poll.value == PRIMARY
            and before.value != PRIMARY
            and since < poll.done_ns <= view.observed[1]
        )
    return became


# ---------------------------------------------------------------- stretches of time


def _series(view: View) -> list[Sequence[Observation]]:
    """Polls by node and question, in order of time; one that never answered says nothing."""
    found: dict[tuple[str, str], list[Observation]] = {}
    for seen in view.history.observations:
        found.setdefault((seen.node, seen.question), []).append(seen)
    return [
        sorted(seen, key=lambda o: (o.sent_ns, o.done_ns))
        for _, seen in sorted(found.items())
        if any(poll.value is not None for poll in seen)
    ]


def _well(view: View, asked: Sequence[Sequence[Observation]], generous: int) -> Spans:
    """When every series was fine and one said primary; ``generous`` 1 at most, -1 at least."""
    well: Spans = [view.observed]
    primary: Spans = []
    for seen in asked:
        well = _both(well, _stretches(view, seen, _FINE, generous))
        primary += _stretches(view, seen, frozenset({PRIMARY}), generous)
    return _both(well, _union(primary))


def _stretches(
    view: View, seen: Sequence[Observation], words: frozenset[str], generous: int
) -> Spans:
    """When one series said one of ``words``."""
    found: Spans = []
    inside, since = seen[0].value in words, seen[0].sent_ns
    for before, poll in pairwise(seen):
        if (poll.value in words) == inside:
            continue
        ends = before.sent_ns, (before.sent_ns + poll.done_ns) // 2, poll.done_ns
        at = ends[1 + generous] if inside else ends[1 - generous]
        if inside and at > since:
            found.append((since, at))
        inside, since = not inside, at
    if inside:
        found.append((since, max(since, view.observed[1])))
    return _union(found)


def _union(spans: Iterable[tuple[int, int]]) -> Spans:
    joined: Spans = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        elif end > start:
            joined.append((start, end))
    return joined


def _both(one: Spans, other: Spans) -> Spans:
    """Where both are."""
    found: Spans = []
    i = k = 0
    while i < len(one) and k < len(other):
        start, end = max(one[i][0], other[k][0]), min(one[i][1], other[k][1])
        if end > start:
            found.append((start, end))
        if one[i][1] < other[k][1]:
            i += 1
        else:
            k += 1
    return found


def _length(spans: Spans) -> int:
    return sum(end - start for start, end in spans)
