"""A comparison of two runs as a small table in plain text."""

from __future__ import annotations

from chaoskit.judge.compare import Compared, Comparison, Side
from chaoskit.judge.wording import plain, signed

__all__ = ["table"]

_HEAD = ("metric", "BASE median", "NEW median", "shift (95 %)", "allowed", "delta", "p", "verdict")


def table(comparison: Comparison) -> str:
    """A small table, the notes, and the verdict's sentence as the last line."""
    rows = [_HEAD, *(_row(m) for m in comparison.metrics)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines = [f"BASE {comparison.base}", f"NEW  {comparison.new}", *lines]
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join([*lines, f"{comparison.verdict}: {comparison.sentence}"])


def _row(found: Compared) -> tuple[str, ...]:
    unit = found.unit
    measured = found.cliffs_delta is not None
    if not measured:
        shifted = "-"
    elif found.coverage is None:
        shifted = f"{_end(found.shift, unit)} (too few trials)"
    else:
        ends = f"{_end(found.shift_low, unit)} to {_end(found.shift_high, unit)}"
        shifted = f"{_end(found.shift, unit)} ({ends})"
    return (
        found.metric,
        _side_text(found.base, unit),
        _side_text(found.new, unit),
        shifted,
        "-" if found.allowed is None else signed(found.allowed, unit),
        "-" if found.cliffs_delta is None else f"{found.cliffs_delta:+.2f}",
        "-" if found.p is None else f"{found.p:.2g}",
        str(found.verdict),
    )


def _side_text(side: Side, unit: str) -> str:
    if not side.n:
        return "-"
    middle = "no end" if side.median is None else plain(side.median, unit)
    count = f"n={side.n}" + (f", {side.unended} without end" if side.unended else "")
    if side.coverage is None:
        return f"{middle} [{count}]"
    ends = f"{_bound(side.low, unit)} to {_bound(side.high, unit)}"
    return f"{middle} ({ends}) [{count}]"


def _bound(value: float | None, unit: str) -> str:
    return "no end" if value is None else plain(value, unit)


def _end(value: float | None, unit: str) -> str:
    return "unbounded" if value is None else signed(value, unit)
