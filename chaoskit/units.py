"""Quantities as people write them: ``500ms``, ``10%``, ``200/s``, ``1mbit/s``.

Inside the program a duration is seconds, a share is a ratio from 0 to 1, a rate is per second and
a bandwidth is bytes per second, all ``float``. A bare number is refused where a unit is owed,
because half of its readers would guess another unit than its writer; 0 needs none.

``Seconds``, ``PositiveSeconds``, ``Ratio``, ``RatePerSecond``, ``ByteSize`` and ``BytesPerSecond``
are the types for the fields of a fault model: they parse, complain in a sentence and describe
themselves in the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from chaoskit.wording import quoted

__all__ = [
    "DURATION_PATTERN",
    "RATE_PATTERN",
    "RATIO_PATTERN",
    "ByteSize",
    "BytesPerSecond",
    "PositiveSeconds",
    "RatePerSecond",
    "Ratio",
    "Seconds",
    "UnitError",
    "format_bandwidth",
    "format_duration",
    "format_rate",
    "format_ratio",
    "format_size",
    "parse_bandwidth",
    "parse_duration",
    "parse_rate",
    "parse_ratio",
    "parse_size",
]


class UnitError(ValueError):
    """The text is not such a quantity; ``str()`` is a sentence that says how to write it."""


_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,12})?"
_BARE = re.compile(rf"[-+]?{_NUMBER}")
_NS_IN = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_LONGEST_NS = 366 * _NS_IN["d"]
_PART = re.compile(rf"\s*({_NUMBER})\s*(ns|us|µs|ms|s|m|h|d)")
_PER = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0}
_RATE = re.compile(rf"({_NUMBER})\s*/\s*([a-z]+)")
_FASTEST = 1e9
_BANDWIDTH = re.compile(rf"({_NUMBER})\s*([kKmMgG]?i?)(bit|[bB])\s*/\s*s")
_SIZE = re.compile(r"([0-9]{1,15})\s*([kKmMgG]?)[bB]?")
_SIZE_PATTERN = r"^\s*[0-9]+\s*[kKmMgG]?[bB]?\s*$"
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_PREFIX = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}

DURATION_PATTERN = r"^(0|\s*([0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|m|h|d)\s*)+)$"
RATIO_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*%?\s*$"
RATE_PATTERN = r"^(0|\s*[0-9]+(\.[0-9]+)?\s*/\s*(s|sec|second|m|min|minute|h)\s*)$"
_BANDWIDTH_PATTERN = r"^(0|\s*[0-9]+(\.[0-9]+)?\s*([kKmMgG]i?)?(bit|[bB])\s*/\s*s\s*)$"


def _text(value: object, what: str, example: str) -> str:
    """The text of a YAML scalar; anything that is not one is refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnitError(f"{what} is written like {example}")
    return str(value).strip()


def _zero(text: str) -> bool:
    return bool(_BARE.fullmatch(text)) and not text.startswith("-") and float(text) == 0


def parse_duration(value: object) -> float:
    """Seconds of ``1m30s``, ``1.5 s``, ``250us``, ``0``. Raises ``UnitError``."""
    text = _text(value, "a duration", "500ms, 2s or 1m30s")
    if _zero(text):
        return 0.0
    if text.startswith("-"):
        raise UnitError(f"a duration cannot be negative: {quoted(text)}")
    if _BARE.fullmatch(text):
        raise UnitError(f"a duration needs a unit; write '{text}s' or '{text}ms'")
    total, at, smallest = Decimal(0), 0, _LONGEST_NS
    while at < len(text):
        part = _PART.match(text, at)
        unit = _NS_IN[part[2].replace("µ", "u")] if part else 0
        if part is None:
            raise UnitError(f"{quoted(text)} is not a duration; write e.g. 500ms, 2s or 1m30s")
        if unit >= smallest:
            raise UnitError(f"{quoted(text)} is not a duration: larger units come first, each once")
        smallest = unit
        total += Decimal(part[1]) * unit
        at = part.end()
    if total > _LONGEST_NS or not text:
        raise UnitError(
            f"{quoted(text)} is longer than a year" if text else "a duration is missing, e.g. 2s"
        )
    return int(total) / _NS_IN["s"]


def format_duration(seconds: float) -> str:
    """The shortest of ours that parses back to the same nanosecond: ``250ms``, ``1m30s``."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    ns = round(seconds * _NS_IN["s"])
    if ns == 0:
        return "0s"
    if ns < _NS_IN["m"]:
        unit = next(u for u in ("s", "ms", "us", "ns") if ns >= _NS_IN[u])
        return f"{_decimal(Decimal(ns) / _NS_IN[unit])}{unit}"
    parts = []
    for unit in ("d", "h", "m"):
        count, ns = divmod(ns, _NS_IN[unit])
        if count:
            parts.append(f"{count}{unit}")
    if ns:
        parts.append(f"{_decimal(Decimal(ns) / _NS_IN['s'])}s")
    return "".join(parts)


def parse_ratio(value: object) -> float:
    """A share from 0 to 1, of ``10%`` or ``0.1``. Raises ``UnitError``."""
    text = _text(value, "a share", "10% or 0.1")
    number = text.removesuffix("%").rstrip()
    if number.startswith("-") and _BARE.fullmatch(number):
        raise UnitError(f"a share cannot be negative: {quoted(text)}")
    if not _BARE.fullmatch(number):
        raise UnitError(f"{quoted(text)} is not a share; write e.g. 10% or 0.1")
    percent = text.endswith("%")
    ratio = float(Decimal(number) / 100) if percent else float(number)
    if ratio > 1:
        hint = "" if percent else f"; write '{number}%' if per cent are meant"
        raise UnitError(f"{quoted(text)} is more than all{hint}")
    return ratio


def format_ratio(ratio: float) -> str:
    """``0.1`` as ``10%``, with as many digits as it takes to parse back to the same number."""
    return f"{_decimal(Decimal(repr(float(ratio))) * 100)}%"


def parse_rate(value: object) -> float:
    """Per second, of ``200/s``, ``12/min``, ``0``. Raises ``UnitError``."""
    text = _text(value, "a rate", "200/s or 12/min")
    if _zero(text):
        return 0.0
    if text.startswith("-"):
        raise UnitError(f"a rate cannot be negative: {quoted(text)}")
    if _BARE.fullmatch(text):
        raise UnitError(f"a rate needs a unit of time; write '{text}/s' or '{text}/min'")
    found = _RATE.fullmatch(text)
    if found is None or found[2] not in _PER:
        raise UnitError(f"{quoted(text)} is not a rate; write e.g. 200/s or 12/min")
    rate = float(found[1]) / _PER[found[2]]
    if rate > _FASTEST:
        raise UnitError(f"{quoted(text)} is more than {_FASTEST:.0e} a second")
    return rate


def format_rate(per_second: float) -> str:
    """``200/s``; where only a minute or an hour gives a round number, that."""
    exact = Decimal(repr(float(per_second)))
    if len(_decimal(exact)) > 6:
        for unit, seconds in (("min", 60), ("h", 3600)):
            rounded = round(per_second * seconds)
            if rounded and rounded / seconds == per_second:
                return f"{rounded}/{unit}"
    return f"{_decimal(exact)}/s"


def parse_bandwidth(value: object) -> float:
    """Bytes per second, of ``1mbit/s``, ``100KB/s``, ``0``. Raises ``UnitError``."""
    text = _text(value, "a bandwidth", "1mbit/s or 100KB/s")
    if _zero(text):
        return 0.0
    found = _BANDWIDTH.fullmatch(text)
    if found is None:
        raise UnitError(f"{quoted(text)} is not a bandwidth; write e.g. 1mbit/s or 100KB/s")
    if found[3] == "b":
        raise UnitError(f"{quoted(text)} could be bits or bytes; write 'bit/s' or 'B/s'")
    if found[2].lower() not in _PREFIX:
        raise UnitError(f"{quoted(text)} is not a bandwidth; write e.g. 1mbit/s or 100KB/s")
    amount = float(found[1]) * _PREFIX[found[2].lower()] / (8 if found[3] == "bit" else 1)
    if amount > 1e15:
        raise UnitError(f"{quoted(text)} is more than any link carries")
    return amount


def format_bandwidth(bytes_per_second: float) -> str:
    """Decimal units of bytes: ``125KB/s``."""
    for prefix, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if bytes_per_second >= size:
            return f"{_decimal(Decimal(repr(float(bytes_per_second))) / size)}{prefix}B/s"
    return f"{_decimal(Decimal(repr(float(bytes_per_second))))}B/s"


def parse_size(value: object) -> int:
    """Bytes, of ``64m``, ``512k``, ``4096``: powers of two, as Compose has them. ``UnitError``."""
    text = _text(value, "a size", "64m or 512k")
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UnitError(f"{quoted(text)} is not a size; write e.g. 64m, 512k or 4096")
    return int(found[1]) * _SIZES[found[2].lower()]


def format_size(size: int) -> str:
    """``64m``; in the largest unit that gives a whole number."""
    for prefix in ("g", "m", "k"):
        if size and size % _SIZES[prefix] == 0:
            return f"{size // _SIZES[prefix]}{prefix}"
    return f"{size}b"


def _decimal(number: Decimal) -> str:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


# ---------------------------------------------------------------- types for pydantic models


def _validator(parse: Callable[[object], float]) -> BeforeValidator:
    def check(value: object) -> float:
        try:
            return parse(value)
        except UnitError as error:
            raise PydanticCustomError("unit", "{sentence}", {"sentence": str(error)}) from None

    return BeforeValidator(check)


def _positive(value: object) -> float:
    seconds = parse_duration(value)
    if seconds == 0:
        raise UnitError("must be longer than 0")
    return seconds


def _schema(what: str, pattern: str, *examples: str, zero: bool = True) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema(
        {
            "description": what,
            "examples": list(examples),
            **({"anyOf": [text, {"const": 0}]} if zero else text),
        }
    )


_SECONDS = "A duration with its unit: ns, us, ms, s, m, h or d."

Seconds = Annotated[
    float,
    _validator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    _schema(_SECONDS, DURATION_PATTERN, "500ms", "2s", "1m30s"),
]
"""A duration of 0 or more, written with its unit, held as seconds."""

PositiveSeconds = Annotated[
    float,
    _validator(_positive),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    _schema(_SECONDS, DURATION_PATTERN, "500ms", "2s", "1m30s", zero=False),
]
"""A duration longer than 0."""

RatePerSecond = Annotated[
    float,
    _validator(parse_rate),
    PlainSerializer(format_rate, return_type=str, when_used="json"),
    _schema("A rate with its unit of time.", RATE_PATTERN, "200/s", "12/min"),
]
"""A rate of 0 or more, written ``200/s`` or ``12/min``, held as per second."""

Ratio = Annotated[
    float,
    _validator(parse_ratio),
    PlainSerializer(format_ratio, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "description": "A share, in per cent or from 0 to 1.",
            "examples": ["10%", 0.1],
            "anyOf": [
                {"type": "string", "pattern": RATIO_PATTERN},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
        }
    ),
]
"""A share, written ``10%`` or ``0.1``, held as a number from 0 to 1."""

ByteSize = Annotated[
    int,
    _validator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "description": "A number of bytes, with k, m or g for powers of two.",
            "examples": ["64m", "512k"],
            "anyOf": [
                {"type": "string", "pattern": _SIZE_PATTERN},
                {"type": "integer", "minimum": 0},
            ],
        }
    ),
]
"""A number of bytes, written ``64m`` or ``512k``."""

BytesPerSecond = Annotated[
    float,
    _validator(parse_bandwidth),
    PlainSerializer(format_bandwidth, return_type=str, when_used="json"),
    _schema("A bandwidth, decimal units.", _BANDWIDTH_PATTERN, "1mbit/s", "100KB/s"),
]
"""A bandwidth, written ``1mbit/s`` or ``100KB/s``, held as bytes per second."""
