"""Figures and foreign words, made fit to be printed.

A bracket is rounded outwards, so that what is printed still contains the truth.
"""

from __future__ import annotations

import math
import re

from chaoskit.judge.result import Interval, OverTrials

__all__ = [
    "MINUS",
    "NONE",
    "NOT_APPLICABLE",
    "NOT_MEASURED",
    "block",
    "clean",
    "count",
    "interval",
    "over_trials",
    "percent",
    "plus_minus",
    "seconds",
    "short",
    "signed",
]

NOT_MEASURED = "not measured"
NOT_APPLICABLE = "not applicable"
NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Control and format characters, halves of surrogate pairs, bidirectional overrides, zero widths
# and noncharacters: none of them shows, some of them change what a reader believes to see.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
_ASTRAL_NONCHARACTERS = re.compile(
    "["
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)
_PASSWORD = re.compile(r"(://)[^/\s@]*:[^/\s@]*@")


def block(text: str, limit: int = 100_000) -> str:
    """Text of several lines: control characters gone, passwords in URLs hidden, length bounded."""
    text = _LINE_ENDS.sub("\n", text[: 2 * limit + 1_000])  # no work for what is cut anyway
    if not text.replace("\n", "").isprintable():
        text = _ASTRAL_NONCHARACTERS.sub("", _UNSEEN.sub("", text))
    if "://" in text:
        text = _PASSWORD.sub(r"\1…@", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str, limit: int = 1_000) -> str:
    """Text of one line, treated like ``block``."""
    return " ".join(block(text, limit + 1_000).split())[:limit]


def count(number: int) -> str:
    """``12 345``, with narrow spaces that do not break."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(ratio: float) -> str:
    """``5.0 %``; small shares keep two digits, so that one in a million is not nothing."""
    share = ratio * 100
    if share == 0:
        return "0 %"
    if abs(share) >= 99.95:
        return f"{share:.4g} %"
    if abs(share) >= 1:
        return f"{share:.1f} %"
    return f"{share:.2g} %" if abs(share) >= 0.0001 else f"{share:.1e} %"


_UNITS = (
    (100.0, 1.0, "s", 0),
    (10.0, 1.0, "s", 1),
    (1.0, 1.0, "s", 2),
    (0.1, 1.0, "s", 3),
    (0.01, 1e3, "ms", 0),
    (0.001, 1e3, "ms", 1),
)


def _unit(largest: float) -> tuple[float, str, int]:
    """Factor, unit and usual decimals for a duration of that many seconds."""
    for least, factor, unit, decimals in _UNITS:
        if largest >= least:
            return factor, unit, decimals
    return 1e6, "µs", 0


def _minus(text: str) -> str:
    return text.replace("-", MINUS)


def seconds(value: float | None) -> str:
    """``1.31 s``, ``312 ms``, ``40 µs``, ``0 s``."""
    if value is None or math.isnan(value):
        return NOT_MEASURED
    if value == 0:
        return "0 s"
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    factor, unit, decimals = _unit(abs(value))
    return _minus(f"{value * factor:.{decimals}f} {unit}")


def short(value: float) -> str:
    """A duration that somebody chose, without needless zeros: ``2 s``, ``100 ms``."""
    if value < 1:
        return f"{value * 1e3:g} ms"
    return f"{value:g} s"


def signed(value: float | None) -> str:
    """``+1.31 s``, or with a minus sign: a moment relative to another."""
    if value is None:
        return NONE
    return seconds(value) if value <= 0 else "+" + seconds(value)


def _down(value: float, decimals: int) -> float:
    step: float = 10.0**decimals
    return math.floor(round(value * step, 6)) / step


def _up(value: float, decimals: int) -> float:
    step: float = 10.0**decimals
    return math.ceil(round(value * step, 6)) / step


def _decimals(width: float, usual: int) -> int:
    """Enough decimals for the width of a bracket to be seen, three at most."""
    if width <= 0:
        return usual
    return max(usual, min(3, math.ceil(-math.log10(width / 2))))


def interval(found: Interval | None) -> str:
    """``1.31 s (1.29 to 1.34)``; ``≥ 18.2 s`` where it had not ended when observation did.

    ``≤ 0.96 s`` where only an upper end is known.
    """
    if found is None:
        return NOT_MEASURED
    if not found.applicable:
        return NOT_APPLICABLE
    if found.value_s is None:
        return NOT_MEASURED
    if found.censored:
        return "≥ " + seconds(found.value_s)
    return _at_most(found.value_s) if found.at_most else _bracket(found, found.value_s)


def over_trials(found: OverTrials) -> str:
    """``1.31 s (1.29 s to 1.34 s, 97.9 %); max of 10: 1.50 s``; below six trials the extremes."""
    if found.coverage is None:
        return interval(found)
    low, middle, high, last = (
        seconds(math.inf if v is None else v)
        for v in (found.median_low_s, found.middle_s, found.median_high_s, found.last_s)
    )
    if low == middle == high == last:
        return middle
    return f"{middle} ({low} to {high}, {found.coverage:.1%}); {found.last_name} {last}".replace(
        "%)", " %)"
    )


def _at_most(value: float) -> str:
    factor, unit, decimals = _unit(value)
    return f"≤ {_up(value * factor, decimals):.{decimals}f} {unit}"


def _bracket(found: Interval, value: float) -> str:
    low = value if found.low_s is None else found.low_s
    high = value if found.high_s is None else found.high_s
    if low == high == value:
        return seconds(value)
    factor, unit, usual = _unit(max(abs(value), abs(low), abs(high)))
    decimals = _decimals((high - low) * factor, usual)
    low, high = _down(low * factor, decimals), _up(high * factor, decimals)
    middle = f"{value * factor:.{decimals}f}" if value else "0"
    return _minus(f"{middle} {unit} ({low or 0:.{decimals if low else 0}f} to {high:.{decimals}f})")


def plus_minus(found: Interval) -> str | None:
    """``± 25 ms``: the wider side of the bracket, rounded up; None where there is no bracket."""
    if found.value_s is None or found.censored or found.low_s is None or found.high_s is None:
        return None
    if found.at_most:
        return None
    wider = max(found.high_s - found.value_s, found.value_s - found.low_s)
    if wider <= 0:
        return None
    factor, unit, decimals = _unit(wider)
    return f"± {_up(wider * factor, decimals):.{decimals}f} {unit}"
