"""Where a register's history first became impossible, and the fewest operations that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide

__all__ = ["Conflict", "conflict"]

_STEPS_EACH = 200_000  # for one of the many small searches
_STEPS = 4_000_000  # for all of them


@dataclass(frozen=True)
class Conflict:
    """``core``: operations of which no order explains the last, by when they began.

    ``last``: the one whose end made the history impossible; until then there was an order.
    """

    core: tuple[RegisterOp, ...]
    last: RegisterOp


def conflict(ops: Sequence[RegisterOp], initial: int | None) -> Conflict:
    """What is wrong in an illegal history; as small as the steps allow."""
    spare = Budget(_STEPS)

    def illegal(some: Sequence[RegisterOp]) -> bool:
        budget = Budget(min(_STEPS_EACH, max(0, spare.left)))
        before = budget.left
        found = decide(some, initial, budget)
        spare.left -= before - budget.left
        return found is Decision.ILLEGAL

    ends = sorted({op.ended for op in ops if op.ended != NEVER})
    low, high = 0, len(ends) - 1  # the whole is illegal
    while low < high:
        middle = (low + high) // 2
        if illegal(_until(ops, ends[middle])):
            high = middle
        else:
            low = middle + 1
    known = _until(ops, ends[high])
    last = max(
        (op for op in known if op.ended == ends[high]), key=lambda op: (not op.write, op.value)
    )
    core = _fewer(known, _by_value(known), illegal)
    core = _fewer(core, [[op] for op in core if not op.write or not _read(core, op)], illegal)
    return Conflict(tuple(sorted(core, key=lambda op: (op.begun, op.ended, not op.write))), last)


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


def _fewer(
    ops: Sequence[RegisterOp],
    groups: Sequence[list[RegisterOp]],
    illegal: Callable[[Sequence[RegisterOp]], bool],
) -> list[RegisterOp]:
    """``ops`` without the groups that are not needed for it to be illegal: halves, then less."""
    kept, left = list(ops), list(groups)
    size = max(1, len(left) // 2)
    while left:
        at = 0
        while at < len(left):
            out = {id(op) for group in left[at : at + size] for op in group}
            fewer = [op for op in kept if id(op) not in out]
            if len(fewer) < len(kept) and illegal(fewer):
                kept = fewer
                del left[at : at + size]
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return kept
