"""The failover time that a stack's declared constants imply, before anything is measured.

Outside the band, either the system, the fault or the measurement is wrong: a figure below it is
as suspicious as one above it.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.stack.labels import DetectorWords, detector_words
from chaoskit.stack.model import Stack
from chaoskit.units import format_duration

__all__ = ["Band", "band_of", "expected_band", "graceful"]

_PRIORITY = 100  # keepalived's own default
_VRRP_MISSES = 3


@dataclass(frozen=True)
class Band:
    """Seconds from ``low_s`` to ``high_s``; ``formula`` shows the arithmetic.

    The time that clients take to find the new primary is in it where the stack declares it
    (``reroute``); else it comes on top and is left to them.
    """

    formula: str
    low_s: float
    high_s: float


def expected_band(stack: Stack) -> Band | None:
    """The band of the stack's failure detector; None where no service declares one.

    Where services declare different ones, the band spans them all.
    """
    declared = [detector_words(service) for service in stack.services.values()]
    bands = {band_of(found): None for found in declared if found is not None}
    if not bands:
        return None
    if len(bands) == 1:
        return next(iter(bands))
    return Band(
        " or ".join(band.formula for band in bands),
        min(band.low_s for band in bands),
        max(band.high_s for band in bands),
    )


def band_of(found: DetectorWords) -> Band:
    """The band of one declaration."""
    band = {"heartbeat": _heartbeat, "vrrp": _vrrp, "lease": _lease, "sentinel": _sentinel}[
        found.kind
    ](found)
    if "reroute" not in found.values:
        return band
    least, most = found.values["reroute-least"], found.values["reroute"]
    span = format_duration(most)
    if least != most:
        span = f"{format_duration(least)} to {span}"
    return Band(
        f"{band.formula}, each + reroute {span}",
        round(band.low_s + least, 9),
        round(band.high_s + most, 9),
    )


def graceful(band: Band) -> Band:
    """The same where who goes can hand over first: nobody has to detect anything."""
    return Band(f"0 (handed over) or {band.formula}", 0.0, band.high_s)


def _heartbeat(found: DetectorWords) -> Band:
    """The first heartbeat to be missed was due up to one interval after the fault."""
    values = found.values
    interval, misses = values["interval"], int(values.get("misses", 1))
    timeout, promotion = values.get("timeout", 0.0), values.get("promotion", 0.0)
    return _band(
        f"({misses} - 1) x {format_duration(interval)} + promotion {format_duration(promotion)}",
        (misses - 1) * interval + promotion,
        f"{misses} x {format_duration(interval)} + timeout {format_duration(timeout)} + promotion "
        f"{format_duration(promotion)}",
        misses * interval + timeout + promotion,
    )


def _vrrp(found: DetectorWords) -> Band:
    """The backup waits ``misses`` advertisements and a skew that its priority decides."""
    values = found.values
    interval, misses = values["interval"], int(values.get("misses", _VRRP_MISSES))
    skew = (256 - values.get("priority", _PRIORITY)) / 256 * interval
    promotion = values.get("promotion", 0.0)
    rest = f"skew {format_duration(round(skew, 3))} + promotion {format_duration(promotion)}"
    return _band(
        f"({misses} - 1) x {format_duration(interval)} + {rest}",
        (misses - 1) * interval + skew + promotion,
        f"{misses} x {format_duration(interval)} + {rest}",
        misses * interval + skew + promotion,
    )


def _lease(found: DetectorWords) -> Band:
    """The lease was renewed up to one interval before the fault; who waits looks as often."""
    values = found.values
    ttl, interval, promotion = values["ttl"], values["interval"], values.get("promotion", 0.0)
    return _band(
        f"lease {format_duration(ttl)} - renewal {format_duration(interval)}",
        max(ttl - interval, 0.0),
        f"lease {format_duration(ttl)} + {format_duration(interval)} + promotion of at most "
        f"{format_duration(promotion)}",
        ttl + interval + promotion,
    )


def _sentinel(found: DetectorWords) -> Band:
    """The last answer was up to a ping before the fault; asking, election and promotion follow."""
    down_after = found.values["down-after"]
    return _band(
        f"down-after {format_duration(down_after)} - 1s",
        max(down_after - 1.0, 0.0),
        f"down-after {format_duration(down_after)} + 4s",
        down_after + 4.0,
    )


def _band(low: str, low_s: float, high: str, high_s: float) -> Band:
    return Band(f"{low} to {high}", round(low_s, 9), round(high_s, 9))
