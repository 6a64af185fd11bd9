"""Registers that no order of their operations explains: the lane of the fewest that show it.

Places are by rank, not by time: what counts is which operation was over before which began, and a
read that is seconds too old would else be drawn as dots in an empty lane. The times stand beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_uppercase

from chaoskit.judge.result import RunResult
from chaoskit.measure.model import Impossible, RegisterStep
from chaoskit.report.detail import Detail
from chaoskit.report.format import MINUS, NONE, clean
from chaoskit.report.scale import Range

__all__ = ["Order", "OrderRow", "build_orders"]

_ROWS = 24


@dataclass(frozen=True)
class OrderRow:
    """One operation. ``kind``: last, needed or beside; ``open``: it was never answered."""

    text: str
    kind: str
    who: str
    sent: str
    done: str
    x: str
    w: str
    open: bool


@dataclass(frozen=True)
class Order:
    """One register of one trial."""

    title: str
    detail: str
    rows: tuple[OrderRow, ...]
    values: tuple[tuple[str, str], ...]  # letter, token


def build_orders(result: RunResult, detail: Detail) -> tuple[Order, ...]:
    """The first registers of the first trials in which any was found impossible."""
    found = [
        (trial.n, one)
        for trial in result.trials
        if trial.metrics is not None
        for one in trial.metrics.impossible
    ]
    return tuple(_order(n, one) for n, one in found[: min(6, detail.items)])


def _order(n: int, one: Impossible) -> Order:
    steps = one.steps[:_ROWS]
    letters = dict(zip(dict.fromkeys(s.value for s in steps if s.value), _names(), strict=False))
    moments = sorted({m for s in steps for m in (s.sent_s, s.done_s) if m is not None})
    rank = {moment: float(at) for at, moment in enumerate(moments)}
    scale = Range(-0.3, len(moments) + 0.3)
    text = clean(one.detail, 300)
    for value, letter in letters.items():
        text = text.replace(str(value), letter)
    return Order(
        title=f"trial {n}, register {one.key}",
        detail=text,
        rows=tuple(_row(step, letters, rank, scale) for step in steps),
        values=tuple((letter, str(value)) for value, letter in letters.items()),
    )


def _exactly(moment_s: float) -> str:
    """To the millisecond, however late: operations lie close together."""
    return f"{moment_s:+.3f} s".replace("-", MINUS)


def _names() -> Iterator[str]:
    yield from ascii_uppercase


def _row(
    step: RegisterStep, letters: dict[int, str], rank: dict[float, float], scale: Range
) -> OrderRow:
    value = letters.get(step.value, "nothing")
    low = rank[step.sent_s]
    high = scale.high if step.done_s is None else rank[step.done_s]
    who = " ".join(clean(word, 40) for word in (step.client, step.stream) if word)
    by = f", answered by {clean(step.server, 40)}" if step.server else ""
    return OrderRow(
        text=f"write {value}" if step.write else f"read {value}",
        kind="last" if step.last else "needed" if step.needed else "beside",
        who=f"{who}{by}" or NONE,
        sent=_exactly(step.sent_s),
        done="never" if step.done_s is None else _exactly(step.done_s),
        x=scale.x(low),
        w=scale.width(low, high, 1.2),
        open=step.done_s is None,
    )
