"""Where a register's history first became impossible, and the fewest operations that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide

__all__ = ["Conflict", "conflict"]

_STEPS_EACH = 200_000  # for one of the many small searches
_STEPS = 4_000_000  # for all of them


@dataclass(frozen=True)
class Conflict:
    """``core``: operations that no order explains, by when they began.

    ``last``: the one of them whose end made the history impossible; until then there was an order.
    None where telling took too many steps. ``fewest``: none of the core can be left out, as far as
    was looked; where looking took too many steps, some may have nothing to do with it.
    """

    core: tuple[RegisterOp, ...]
    last: RegisterOp | None
    fewest: bool = True


def conflict(ops: Sequence[RegisterOp], initial: int | None) -> Conflict:
    """What is wrong in an illegal history; as small as the steps allow."""
    looking = _Looking(initial)
    core, moment = _first(ops, looking)
    fewest, before = False, len(core) + 1
    while not fewest and len(core) < before:  # of fewer operations more may be told
        before = len(core)
        core, of_values = looking.fewer(core, _by_value(core))
        core, of_each = looking.fewer(
            core, [[op] for op in core if not op.write or not _read(core, op)]
        )
        fewest = of_values and of_each
        if moment is None:
            core, moment = _first(core, looking)
    last = max(
        (op for op in core if op.ended == moment),
        key=lambda op: (not op.write, op.value),
        default=None,
    )
    ordered = sorted(core, key=lambda op: (op.begun, op.ended, not op.write))
    return Conflict(tuple(ordered), last, fewest)


class _Looking:
    """Many small searches, and the steps that are left for them."""

    def __init__(self, initial: int | None) -> None:
        self.initial = initial
        self.left = _STEPS

    def decide(self, ops: Sequence[RegisterOp]) -> Decision:
        """Each costs at least as many steps as there are operations."""
        if self.left <= 0:
            return Decision.UNKNOWN
        most = min(_STEPS_EACH, self.left)
        budget = Budget(most)
        found = decide(ops, self.initial, budget)
        self.left -= max(most - budget.left, len(ops))
        return found

    def fewer(
        self, ops: Sequence[RegisterOp], groups: Sequence[list[RegisterOp]]
    ) -> tuple[list[RegisterOp], bool]:
        """``ops`` without groups that are not needed for it to be illegal: halves, then less.

        And whether each that is left is surely needed.
        """
        kept, left = list(ops), list(groups)
        size, surely = max(1, len(left) // 2), True
        while left:
            at, surely = 0, True
            while at < len(left) and self.left > 0:
                out = {id(op) for group in left[at : at + size] for op in group}
                fewer = [op for op in kept if id(op) not in out]
                found = self.decide(fewer) if len(fewer) < len(kept) else Decision.OK
                if found is Decision.ILLEGAL:
                    kept = fewer
                    del left[at : at + size]
                else:
                    at += size
                    surely &= found is Decision.OK
            surely &= at >= len(left)
            if size == 1 or self.left <= 0:
                break
            size //= 2
        return kept, surely and (size == 1 or not left)


def _first(ops: Sequence[RegisterOp], looking: _Looking) -> tuple[list[RegisterOp], int | None]:
    """What was known when it is surely impossible, and that moment if it was possible before."""
    ends = sorted({op.ended for op in ops if op.ended != NEVER})
    low, high = 0, len(ends) - 1  # the whole is illegal
    surely = True
    while low < high:
        middle = (low + high) // 2
        found = looking.decide(_until(ops, ends[middle]))
        if found is Decision.ILLEGAL:
            high = middle
        else:
            low, surely = middle + 1, found is Decision.OK
    return _until(ops, ends[high]), ends[high] if surely else None


def _until(ops: Sequence[RegisterOp], moment: int) -> list[RegisterOp]:
    """What was known at a moment: later operations out, writes under way with no end yet."""
    return [
        op if op.ended <= moment else replace(op, ended=NEVER)
        for op in ops
        if op.begun <= moment and (op.write or op.ended <= moment)
    ]


def _by_value(ops: Sequence[RegisterOp]) -> list[list[RegisterOp]]:
    """A value's writes and reads come and go together: a read without its write proves nothing."""
    found: dict[int, list[RegisterOp]] = {}
    for op in ops:
        found.setdefault(op.value, []).append(op)
    return list(found.values())


def _read(ops: Sequence[RegisterOp], write: RegisterOp) -> bool:
    return any(not op.write and op.value == write.value for op in ops)
