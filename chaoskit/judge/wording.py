"""Numbers as people read them: rounded here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chaoskit.judge.result import OverTrials
from chaoskit.measure.model import Interval, only_upper
from chaoskit.measure.reading import Reading
from chaoskit.measure.statistics import LEAST_FOR_MEDIAN

__all__ = [
    "interval",
    "joined",
    "over_trials",
    "plain",
    "plural",
    "quantity",
    "reading",
    "seconds",
    "signed",
]


def seconds(value: float) -> str:
    """``1.31 s``, ``52 ms``, ``0 s``."""
    if math.isinf(value):
        return "no end"
    if value == 0:
        return "0 s"
    if abs(value) < 0.1:
        return f"{value * 1000:.2g} ms" if abs(value) < 0.01 else f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"


def quantity(value: float, unit: str) -> str:
    """A number in its unit: seconds, percent, a count."""
    if unit == "s":
        return seconds(value)
    if math.isinf(value):
        return "no end"
    if unit == "ratio":
        percent = value * 100
        return f"{percent:.4g} %" if percent > 99 else f"{percent:.3g} %"
    if unit == "rate":
        return f"{value:.3g}/s"
    return f"{value:g}"


def _bracket(value: float, low: float, high: float, unit: str, *, censored: bool) -> str:
    if censored:
        return f"over {quantity(low, unit)}, not over when observation ended"
    if unit == "s" and only_upper(low, value, high):
        return f"at most {quantity(value, unit)}"
    text = quantity(value, unit)
    ends = quantity(low, unit), quantity(high, unit)
    return text if ends == (text, text) else f"{text} ({ends[0]} to {ends[1]})"


def reading(found: Reading) -> str:
    """``1.31 s (1.29 s to 1.34 s)``; what is known of a censored one; why there is none."""
    if not found.applicable:
        return found.note or "not applicable"
    if found.unit == "count" and math.isinf(found.high):
        return f"{quantity(found.low, 'count')} or more"
    return _bracket(found.value, found.low, found.high, found.unit, censored=found.censored)


def interval(found: Interval) -> str:
    """The same of an ``Interval``."""
    if not found.applicable or found.value_s is None:
        return found.note or "not applicable"
    low = found.value_s if found.low_s is None else found.low_s
    high = found.value_s if found.high_s is None else found.high_s
    return _bracket(found.value_s, low, high, "s", censored=found.censored)


def over_trials(found: OverTrials, of: int) -> str:
    """``0.41 s (0.40 s to 0.45 s; max of 10: 0.52 s)``: the median, its interval and what is last.

    Of fewer than six trials the extremes, and how many they were where ``of`` the run had six.
    """
    if found.coverage is None:
        few = of >= LEAST_FOR_MEDIAN > found.n > 1
        text = interval(found) if found.n == 1 or not found.unended else _some_unended(found)
        return f"{text}{f', extremes of {found.n}' if few else ''}"
    low, middle, high = (
        seconds(math.inf if v is None else v)
        for v in (found.median_low_s, found.middle_s, found.median_high_s)
    )
    last = math.inf if found.last_s is None else found.last_s
    if low == middle == high == seconds(last):
        return middle
    return f"{middle} ({low} to {high}; {found.last_name} {seconds(last)})"


def _some_unended(found: OverTrials) -> str:
    """Of few trials some of which never ended: the shortest of the others is no bound."""
    if not found.applicable or found.value_s is None:
        return found.note or "not applicable"
    if 2 * found.unended >= found.n:
        return f"over {seconds(found.value_s)}, not over when observation ended"
    low = found.value_s if found.low_s is None else found.low_s
    return f"{seconds(found.value_s)} ({seconds(low)} to {seconds(math.inf)})"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 trial``, ``3 trials``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plain(value: float, unit: str) -> str:
    """To the millisecond below ten seconds: a comparison is about differences."""
    if unit == "s" and 0.1 <= abs(value) < 10:
        return f"{value:.3f} s"
    return quantity(value, unit)


def signed(value: float, unit: str) -> str:
    """The same with its sign."""
    if math.isinf(value) or math.isnan(value):
        return "unbounded"
    return f"{'-' if value < 0 else '+'}{plain(abs(value), unit)}"
