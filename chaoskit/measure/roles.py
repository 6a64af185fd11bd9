"""What the role probes saw: who was primary when, and when somebody else became it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.history.history import History, Observation

__all__ = ["PRIMARY", "Promotion", "Spell", "last_word", "primaries", "promotion", "spells"]

PRIMARY = "primary"
_UNTOLD = (None, "silent", "reset", "unreachable")  # of a poll without a value


@dataclass(frozen=True)
class Promotion:
    """A node that had not been primary was: that happened in (after_ns, seen_ns]."""

    node: str
    after_ns: int  # the last poll that still said otherwise, or was refused, was sent
    seen_ns: int  # the first poll that said primary was answered

    @property
    def middle_ns(self) -> int:
        """The point estimate."""
        return (self.after_ns + self.seen_ns) // 2


@dataclass(frozen=True)
class Spell:
    """One node said one thing, poll after poll; None: it did not answer."""

    node: str
    from_ns: int  # sent_ns of the first such poll
    to_ns: int  # sent_ns of the first other poll, done_ns of the last poll of all
    role: str | None


def primaries(history: History, before_ns: int) -> frozenset[str]:
    """Nodes whose last answer before a moment was that they are primary."""
    last: dict[str, str] = {}
    for node, seen in history.polls.items():
        for poll in seen:
            if poll.done_ns <= before_ns and poll.value is not None:
                last[node] = poll.value
    return frozenset(node for node, value in last.items() if value == PRIMARY)


def promotion(history: History, from_ns: int, until_ns: int) -> Promotion | None:
    """The first node to become primary after ``from_ns`` that was not at that moment.

    None where nobody was primary before, nobody else became it until ``until_ns``, or the poll
    before it is missing.
    """
    before = primaries(history, from_ns)
    if not before:
        return None
    best: Promotion | None = None
    for node, seen in history.polls.items():
        if node in before:
            continue
        for k, poll in enumerate(seen[1:], start=1):
            if poll.value == PRIMARY and from_ns < poll.done_ns <= until_ns:
                change = Promotion(node, last_word(seen, k).sent_ns, poll.done_ns)
                if best is None or change.seen_ns < best.seen_ns:
                    best = change
                break
    return best


def last_word(seen: Sequence[Observation], k: int) -> Observation:
    """The last poll before the ``k``-th that tells anything: it was answered, somehow, or refused.

    One that timed out says nothing of what the node had become. The first of all where none tells.
    """
    told = (p for p in reversed(seen[:k]) if p.value is not None or p.error not in _UNTOLD)
    return next(told, seen[0])


def spells(history: History) -> tuple[Spell, ...]:
    """Every node's roles over time, polls that said the same joined."""
    found: list[Spell] = []
    for node, seen in history.polls.items():
        start = 0
        for k in range(1, len(seen) + 1):
            if k < len(seen) and seen[k].value == seen[start].value:
                continue
            end = seen[k].sent_ns if k < len(seen) else seen[k - 1].done_ns
            found.append(Spell(node, seen[start].sent_ns, end, seen[start].value))
            start = k
    return tuple(found)
