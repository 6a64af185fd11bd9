"""The label ``chaoskit.detector``: a kind of failure detector and its declared constants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.units import UnitError, parse_duration
from chaoskit.wording import did_you_mean, quoted

__all__ = ["DetectorWords", "LabelError", "parse_detector"]


@dataclass(frozen=True)
class DetectorWords:
    """``chaoskit.detector`` as declared: a kind and its numbers (seconds, counts)."""

    kind: str
    values: Mapping[str, float]


class LabelError(ValueError):
    """What is wrong with a label's text, as a phrase."""


_COUNTS = frozenset({"misses", "priority"})
_KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # the keys that a kind needs, and those that it may have
    "heartbeat": (frozenset({"interval"}), frozenset({"misses", "timeout", "promotion"})),
    "vrrp": (frozenset({"interval"}), frozenset({"misses", "priority", "promotion"})),
    "lease": (frozenset({"ttl", "interval"}), frozenset({"promotion"})),
    "sentinel": (frozenset({"down-after"}), frozenset({"interval"})),
}


def parse_detector(text: str) -> DetectorWords:
    """``key=value`` with blanks between. Raises ``LabelError``."""
    words: dict[str, str] = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise LabelError(f"{quoted(part)} is not key=value; write e.g. interval=100ms misses=3")
        if key in words:
            raise LabelError(f"{quoted(key)} is there twice")
        words[key] = value
    kind = words.pop("kind", "heartbeat")
    if kind not in _KINDS:
        raise LabelError(f"unknown kind {quoted(kind)}{did_you_mean(kind, _KINDS)}")
    required, optional = _KINDS[kind]
    for key in words:
        if key not in required | optional:
            raise LabelError(
                f"unknown key {quoted(key)} for kind={kind}{did_you_mean(key, required | optional)}"
            )
    missing = sorted(required - words.keys())
    if missing:
        raise LabelError(f"{missing[0]}= is missing, e.g. {missing[0]}=1s")
    values = {key: _quantity(key, value) for key, value in words.items()}
    values.setdefault("interval", 1.0)  # Redis pings once a second; all other kinds require it
    return DetectorWords(kind, values)


def _quantity(key: str, value: str) -> float:
    if key in _COUNTS:
        if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) == 0:
            raise LabelError(f"{key}= wants a whole number from 1 on, not {quoted(value)}")
        return int(value)
    try:
        seconds = parse_duration(value)
    except UnitError as error:
        raise LabelError(f"{key}=: {error}") from None
    if seconds == 0 and key in ("interval", "ttl", "down-after"):
        raise LabelError(f"{key}= must be longer than 0")
    return seconds
