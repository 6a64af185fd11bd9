"""A bound, what has to meet it, and whether it does."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaoskit.judge.result import Verdict
from chaoskit.measure.reading import Reading

__all__ = ["AT_MOST", "ORDERED", "Bound", "Bounded", "holds", "slack"]

AT_MOST = ("<", "<=")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERED = tuple(_OPERATORS)


@dataclass(frozen=True)
class Bound:
    """What a reading has to meet: a number, or one that lies between ``low`` and ``high``.

    ``value`` is nan where there is nothing to compare with.
    """

    low: float
    value: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Bound:
        """A number that somebody wrote down."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Bounded:
    """A reading and the bound it has to meet in its trial."""

    n: int
    reading: Reading
    bound: Bound


def holds(op: str, bound: Bound, found: Reading) -> Verdict:
    """PASS: the whole interval meets the bound, wherever that lies. FAIL: none of it does."""
    if not found.enough or math.isnan(bound.value):
        return Verdict.INCONCLUSIVE
    if op in _OPERATORS:
        meets, (worst, near) = _OPERATORS[op], _worst(op, bound, found)
        best, far = (found.low, bound.high) if op in AT_MOST else (found.high, bound.low)
        if meets(worst, near):
            return Verdict.PASS
        return Verdict.INCONCLUSIVE if meets(best, far) else Verdict.FAIL
    surely = found.low == found.high == bound.value
    possibly = found.low <= bound.value <= found.high
    if op == "!=":
        surely, possibly = not possibly, not surely
    if surely:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE if possibly else Verdict.FAIL


def slack(op: str, bound: Bound, found: Reading) -> float:
    """How much is left between the worse end of what was seen and the nearer one of the bound.

    Negative: too much. What must be equal has none to spare.
    """
    if op not in _OPERATORS:
        return -abs(found.value - bound.value)
    worst, near = _worst(op, bound, found)
    return near - worst if op in AT_MOST else worst - near


def _worst(op: str, bound: Bound, found: Reading) -> tuple[float, float]:
    return (found.high, bound.low) if op in AT_MOST else (found.low, bound.high)
