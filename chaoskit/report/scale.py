"""From a quantity to a place in a chart. Places along time are percent of the plot's width.

A chart's width is not known here: the page gives it whatever the screen has. So nothing is
stretched that must not be (text, dots, hatching), on a telephone and on a wall alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.report.format import MINUS, seconds

__all__ = ["Axis", "Log", "Range", "Tick", "log_ticks", "nice_ceiling", "place", "time_axis"]


def place(value: float) -> str:
    """Percent or pixels as short as they can be written: two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


@dataclass(frozen=True)
class Range:
    """A linear scale from ``low`` to ``high``, in percent."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Percent of the width, inside the plot whatever the value."""
        if math.isnan(value):
            return 0.0
        if not self.high > self.low:
            return 0.0
        return min(100.0, max(0.0, 100.0 * (value - self.low) / (self.high - self.low)))

    def x(self, value: float) -> str:
        """``at``, written."""
        return place(self.at(value))

    def width(self, low: float, high: float, least: float = 0.0) -> str:
        """Width of a stretch, at least ``least`` percent so that it can be seen."""
        return place(max(least, self.at(high) - self.at(low)))


@dataclass(frozen=True)
class Log:
    """A logarithmic scale from top to bottom: pixels from ``pad`` to ``height``."""

    low: float
    high: float
    height: float
    pad: float = 0.0

    def y(self, value: float) -> float:
        """Pixels from the top; values outside are put on the edge."""
        value = min(self.high, max(self.low, value))
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.height - share * (self.height - self.pad)


@dataclass(frozen=True)
class Tick:
    """A label at a place; ``rare`` ones go where room is scarce."""

    at: str
    label: str
    rare: bool = False


@dataclass(frozen=True)
class Axis:
    """Ticks of a time axis, and what it is called."""

    ticks: tuple[Tick, ...]
    title: str


def nice_step(width: float, most: int) -> float:
    """1, 2 or 5 times a power of ten, so that at most ``most`` steps fit into ``width``."""
    raw = width / max(1, most)
    if not raw > 0 or math.isinf(raw):
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0):
        if raw <= factor * power * (1 + 1e-9):
            return factor * power
    return 10.0 * power


def nice_ceiling(value: float) -> float:
    """The next round number at or above: the top of a vertical axis."""
    if not value > 0:
        return 1.0
    step = nice_step(value, 4)
    return math.ceil(value / step - 1e-9) * step


def _label(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{decimals}f}"
    return "0" if float(text) == 0 else text.replace("-", MINUS)


def time_axis(scale: Range, title: str, most: int = 10) -> Axis:
    """Round seconds along the scale; every second one is ``rare``."""
    step = nice_step(scale.high - scale.low, most)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    ticks = tuple(
        Tick(scale.x(i * step), _label(i * step, step) + (" s" if i == 0 else ""), i % 2 == 1)
        for i in range(first, min(last, first + 4 * most) + 1)
    )
    return Axis(ticks, title)


def log_ticks(scale: Log) -> tuple[tuple[float, str], ...]:
    """Pixels from the top and label, at powers of ten."""
    first = math.ceil(math.log10(scale.low) - 1e-9)
    last = math.floor(math.log10(scale.high) + 1e-9)
    return tuple((scale.y(10.0**p), _power(p)) for p in range(first, last + 1))


def _power(exponent: int) -> str:
    return {-3: "1 ms", -2: "10 ms", -1: "100 ms", 0: "1 s", 1: "10 s", 2: "100 s"}.get(
        exponent, seconds(10.0**exponent)
    )


def log_range(values: Sequence[float], height: float, pad: float = 0.0) -> Log:
    """Whole powers of ten around the values; one millisecond to one second if there are none."""
    positive = [v for v in values if v > 0 and not math.isinf(v)]
    low = max(1e-6, min(positive, default=1e-3))
    high = min(1e5, max(positive, default=1.0))
    bottom = 10.0 ** math.floor(math.log10(low))
    top = 10.0 ** math.ceil(math.log10(max(high, low)) - 1e-9)
    return Log(bottom, max(top, bottom * 10), height, pad)
