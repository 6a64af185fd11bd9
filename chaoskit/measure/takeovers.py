"""When a node took the office over: with cause, and without any.

A node that goes on as primary after it was silent, paused or fenced took nothing over. Where the
workload is cut into shards, each has an office of its own, and acknowledgements tell who holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from chaoskit.history.history import Observation
from chaoskit.measure.model import Count, FalseFailovers
from chaoskit.measure.owners import Takeover, owners
from chaoskit.measure.roles import PRIMARY
from chaoskit.measure.view import View, as_seconds

__all__ = [
    "Takeover",
    "calm",
    "calm_takeovers",
    "false_failovers",
    "promotions",
    "takeovers",
    "untold",
]

NOBODY = "no node was seen to be primary"
NOT_NAMED = "no acknowledged write says which node owned its shard"


def takeovers(view: View) -> tuple[Takeover, ...] | None:
    """Every one of the trial in order of time, the first primary of all included.

    A node became primary that had never been it, or that somebody else had relieved since it last
    was. None where nobody was seen to be primary. Of shards: see ``owners``; None where it cannot
    be told of each that was written to.
    """
    if view.shards:
        owned = owners(view)
        return None if owned is None else owned.takeovers
    answers = _answers(view)
    if not any(poll.value == PRIMARY for seen in answers.values() for poll in seen):
        return None
    found: list[Takeover] = []
    for node, seen in answers.items():
        others = {n: s for n, s in answers.items() if n != node}
        was: int | None = None  # when it was last seen to be primary
        for earlier, poll in pairwise(seen):
            was = earlier.done_ns if earlier.value == PRIMARY else was
            if poll.value != PRIMARY or earlier.value == PRIMARY:
                continue
            if was is None or _relieved(others, was, poll.done_ns):
                found.append(Takeover(node, poll.done_ns, _last(others, poll.done_ns)))
    return tuple(sorted(found, key=lambda t: (t.seen_ns, t.node)))


def untold(view: View) -> str:
    """Why takeovers are None."""
    return NOT_NAMED if view.shards else NOBODY


def promotions(view: View) -> Count:
    """How often the office, or that of any shard, changed hands since the fault was commanded."""
    found = takeovers(view)
    if found is None:
        return Count(count=None, note=untold(view))
    since = view.commanded_ns if view.fault else view.observed[0]
    return Count(count=sum(since < t.seen_ns <= view.observed[1] for t in found))


def calm_takeovers(view: View) -> tuple[Takeover, ...]:
    """Those that relieved somebody while no fault that bites had been commanded.

    Empty where all nodes serve at once: nobody relieves anybody there.
    """
    if view.several_serve and not view.shards:
        return ()
    start, end = calm(view)
    return tuple(t for t in takeovers(view) or () if t.before and start < t.seen_ns <= end)


def false_failovers(view: View) -> FalseFailovers:
    """Takeovers without cause, and for how long one could have been seen.

    Looked for until the first fault that bites is commanded: in the whole observation where none
    does, as in a soak. What happens under a fault too weak to justify it is counted by
    ``promotions``. Of shards each takeover counts, and the time for which all owners were known.
    """
    if view.several_serve and not view.shards:
        return FalseFailovers(count=None, note="nobody takes over where all nodes serve")
    start, end = calm(view)
    first = _first_ns(view)
    if first is None or end <= max(start, first):
        return FalseFailovers(count=None, note=untold(view))
    return FalseFailovers(
        count=len(calm_takeovers(view)),
        watched_s=as_seconds(end - max(start, first)),
        soak=not any(fault.must_bite for fault in view.history.faults),
    )


def _first_ns(view: View) -> int | None:
    """From when on it is known who is in office, in each shard; None where it never is."""
    if view.shards:
        owned = owners(view)
        return None if owned is None else owned.since_ns
    seen = [poll for answers in _answers(view).values() for poll in answers]
    return min((p.done_ns for p in seen if p.value == PRIMARY), default=None)


def calm(view: View) -> tuple[int, int]:
    """From the beginning of the observation until a fault that bites was commanded."""
    biting = [fault.commanded_ns for fault in view.history.faults if fault.must_bite]
    return view.observed[0], min([*biting, view.observed[1]])


def _answers(view: View) -> Mapping[str, Sequence[Observation]]:
    """Polls of roles that were answered, by node, in order."""
    return {
        node: [poll for poll in seen if poll.value is not None]
        for node, seen in view.history.polls.items()
    }


def _relieved(others: Mapping[str, Sequence[Observation]], after_ns: int, until_ns: int) -> bool:
    return any(
        poll.value == PRIMARY and after_ns < poll.done_ns <= until_ns
        for seen in others.values()
        for poll in seen
    )


def _last(others: Mapping[str, Sequence[Observation]], until_ns: int) -> str:
    """Which of ``others`` was seen to be primary last, until ``until_ns``."""
    held = [
        (poll.done_ns, node)
        for node, seen in others.items()
        for poll in seen
        if poll.value == PRIMARY and poll.done_ns <= until_ns
    ]
    return max(held, default=(0, ""))[1]
