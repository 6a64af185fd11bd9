"""``reorder``: some of the packets that the target sends overtake those before them.

All are delayed but those, which leave at once. TCP takes three in a row for a loss.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from chaoskit.capabilities import Netem
from chaoskit.faults.netem import NetemFault
from chaoskit.units import PositiveSeconds, Ratio, format_duration, format_ratio

__all__ = ["Reorder"]


class Reorder(NetemFault):
    """Lets packets overtake."""

    kind: ClassVar[str] = "reorder"
    summary: ClassVar[str] = "a share of the packets overtakes the others; healed by delaying none"

    share: Ratio = Field(
        description="Which part of the packets: from 0.1 % to all.", examples=["1%", "25%"]
    )
    correlation: Ratio = Field(
        0.0, description="How much each draw depends on the one before.", examples=["50%"]
    )
    delay_s: PositiveSeconds = Field(
        0.01,
        alias="delay",
        description="How long all the others are delayed; the lead of those that overtake.",
        examples=["10ms"],
    )

    @field_validator("delay_s")
    @classmethod
    def _delay(cls, value: float) -> float:
        if not 0.001 <= value <= 60:
            raise ValueError("delay: from 1ms to 60s")
        return value

    @field_validator("share")
    @classmethod
    def _sensible(cls, value: float) -> float:
        if value < 0.001:
            raise ValueError("share: at least 0.1%")
        return value

    def netem(self) -> Netem:
        """What the emulator is to do."""
        return Netem(
            reorder=self.share, delay_us=round(self.delay_s * 1e6), correlation=self.correlation
        )

    def said(self) -> str:
        """For the report."""
        lead = format_duration(self.delay_s)
        return f"{format_ratio(self.share)} of the packets leave {lead} before the rest"
