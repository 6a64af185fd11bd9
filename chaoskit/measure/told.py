"""What nodes told of themselves, as far as it can be compared with what clients saw."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaoskit.history.history import History, NodeEvent

__all__ = ["ended_before", "first_told", "last_told", "told"]


def told(history: History, event: str) -> Sequence[NodeEvent]:
    """Events of that word, by time.

    A node in a time namespace of its own stamps with another clock, and a stamp from after the
    moment at which it was read is wrong: neither is used.
    """
    return sorted(
        (
            one
            for one in history.events
            if one.event == event
            and one.t_ns <= one.seen_ns
            and f"clock of {one.node}" not in history.notes
        ),
        key=lambda one: (one.t_ns, one.node),
    )


def first_told(
    history: History, event: str, from_ns: int, until_ns: int, but: Collection[str] = ()
) -> NodeEvent | None:
    """The first such event in (from, until] that none of the nodes ``but`` told."""
    for one in told(history, event):
        if from_ns < one.t_ns <= until_ns and one.node not in but:
            return one
    return None


def last_told(history: History, event: str, from_ns: int, until_ns: int) -> NodeEvent | None:
    """The last such event in (from, until]."""
    found = [one for one in told(history, event) if from_ns < one.t_ns <= until_ns]
    return found[-1] if found else None


def ended_before(history: History) -> Sequence[str]:
    """Nodes that had ended by themselves before the first step, as the harness saw."""
    noted = history.notes.get("ended_before")
    if not noted:
        return ()
    return [str(name) for name in noted] if isinstance(noted, list) else [str(noted)]
