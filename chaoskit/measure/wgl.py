"""Is there an order in which one register could have done all this? A search that answers exactly.

Wing and Gong's search with Lowe's memory of dead ends: an operation may come next if nothing that
is still to come was over before it began; a read must return what is there. Registers are checked
one by one, which is sound because linearizability is local (Herlihy and Wing).

Some moves need no choice, because making them at once can rule nothing out: a read of what is
there, and a write that nobody will read once nobody will read what is there. A write over a value
that must still be read, and that nobody will write again, is never tried. What is left to choose
between is the order of overlapping writes that were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["NEVER", "Budget", "Decision", "RegisterOp", "decide"]

NEVER = 1 << 62
"""The end of a write that may still take effect at any time, or not at all."""

_MOST_DEAD_ENDS = 500_000  # remembered; some hundred bytes each


class Decision(StrEnum):
    """What a search came to. ``unknown`` is never a pass."""

    OK = "ok"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RegisterOp:
    """An operation on one register; it took effect within the closed interval of its two times."""

    begun: int
    ended: int  # ``NEVER``: a write whose outcome is not known
    write: bool
    value: int
    row: int = 0  # whatever its owner wants to find it again by


@dataclass(slots=True)
class Budget:
    """Steps that a search may still take: operations looked at. The same on every machine."""

    left: int


def decide(ops: Iterable[RegisterOp], initial: int | None, budget: Budget) -> Decision:
    """Whether some order explains ``ops`` of a register that held ``initial`` at first.

    ``initial`` None: nothing that any read returned. Values may be written more than once. Takes
    what it needs from ``budget``; unknown when that is used up.
    """
    known = list(ops)
    values = {initial} | {op.value for op in known if op.write}
    if any(op.value not in values for op in known):
        return Decision.ILLEGAL
    return _Search(_tightened(known, initial), initial).run(budget)


def _tightened(ops: Sequence[RegisterOp], initial: int | None) -> list[RegisterOp]:
    """The same question with less room, by when they began.

    A write of unknown outcome that nobody read may as well never have happened. A value that has
    one source was there when the first read of it was over.
    """
    writers = Counter(op.value for op in ops if op.write)
    writers[initial] += 1  # type: ignore[index] # a value like others
    seen: dict[int, int] = {}
    for op in ops:
        if not op.write:
            seen[op.value] = min(op.ended, seen.get(op.value, NEVER))
    kept = []
    for op in ops:
        if op.write and op.value not in seen and op.ended == NEVER:
            continue
        if op.write and op.value in seen and writers[op.value] == 1:
            kept.append(replace(op, ended=max(op.begun, min(op.ended, seen[op.value]))))
        else:
            kept.append(op)
    return sorted(kept, key=lambda op: (op.begun, op.ended, not op.write, op.value))


@dataclass(slots=True)
class _Frame:
    """A point of choice: how to get back to it, and what has not been tried there."""

    trail: int
    held: int
    choices: list[int]


class _Search:
    """Positions are those of the operations, sorted by when they began."""

    def __init__(self, ops: Sequence[RegisterOp], initial: int | None) -> None:
        names = {value: n for n, value in enumerate({initial, *(op.value for op in ops)})}
        self.begun = [op.begun for op in ops]
        self.ended = [op.ended for op in ops]
        self.write = [op.write for op in ops]
        self.value = [names[op.value] for op in ops]
        self.held = names[initial]
        self.reads = [0] * len(names)  # still to come, by value
        self.writes = [0] * len(names)
        for op in ops:
            (self.writes if op.write else self.reads)[names[op.value]] += 1
        self.owed = sum(op.ended != NEVER for op in ops)
        self.placed = bytearray(len(ops))
        self.low = 0  # everything before it is placed
        self.trail: list[int] = []

    def run(self, budget: Budget) -> Decision:
        """Place one operation after the other; go back where there is no next one."""
        frames: list[_Frame] = []
        dead: set[tuple[int, int, bytes]] = set()
        while True:
            choices, stop = self._settle(budget)
            if not self.owed:
                return Decision.OK
            if budget.left <= 0 or len(dead) > _MOST_DEAD_ENDS:
                return Decision.UNKNOWN
            if choices and (frames or len(choices) > 1):
                state = (self.low, self.held, bytes(self.placed[self.low : stop]))
                if state in dead:
                    choices = []
                dead.add(state)
            while not choices:
                if not frames:
                    return Decision.ILLEGAL
                frame = frames.pop()
                self._back(frame.trail)
                self.held, choices = frame.held, frame.choices
            chosen = choices.pop()
            if choices:  # where nothing is left to try there is no reason to come back
                frames.append(_Frame(len(self.trail), self.held, choices))
            self._place(chosen)

    def _settle(self, budget: Budget) -> tuple[list[int], int]:
        """Place what needs no choice; what may come next, the best last, and how far was looked."""
        while True:
            window, stop = self._window()
            budget.left -= len(window) + 1
            if not self.owed or budget.left <= 0:
                return [], stop
            sure = [i for i in window if not self.write[i] and self.value[i] == self.held]
            if not sure and not self.reads[self.held]:
                sure = [i for i in window if self.write[i] and not self.reads[self.value[i]]]
            for i in sure:
                self._place(i)
            if sure:
                continue
            if self.reads[self.held] and not self.writes[self.held]:
                return [], stop  # what is there must be read first, and cannot be yet
            choices = [i for i in window if self.write[i]]
            choices.sort(key=lambda i: (-self.ended[i], -i))
            return choices, stop

    def _window(self) -> tuple[list[int], int]:
        """What may come next: begun before everything that is still to come was over."""
        found, horizon = [], NEVER
        i = self.low
        while i < len(self.begun) and self.begun[i] <= horizon:
            if not self.placed[i]:
                found.append(i)
                horizon = min(horizon, self.ended[i])
            i += 1
        while found and self.begun[found[-1]] > horizon:
            found.pop()
        return found, i

    def _place(self, i: int) -> None:
        self.placed[i] = 1
        self.trail.append(i)
        self.owed -= self.ended[i] != NEVER
        if self.write[i]:
            self.held = self.value[i]
            self.writes[self.held] -= 1
        else:
            self.reads[self.value[i]] -= 1
        while self.low < len(self.placed) and self.placed[self.low]:
            self.low += 1

    def _back(self, length: int) -> None:
        """Take back what was placed since the trail was so long; the caller restores ``held``."""
        while len(self.trail) > length:
            i = self.trail.pop()
            self.placed[i] = 0
            self.owed += self.ended[i] != NEVER
            (self.writes if self.write[i] else self.reads)[self.value[i]] += 1
            self.low = min(self.low, i)
