"""``duplicate``: some of the packets that the target sends arrive twice.

TCP does not mind; protocols on datagrams must not either.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from chaoskit.capabilities import Netem
from chaoskit.faults.netem import NetemFault
from chaoskit.units import Ratio, format_ratio

__all__ = ["Duplicate"]


class Duplicate(NetemFault):
    """Sends packets twice."""

    kind: ClassVar[str] = "duplicate"
    summary: ClassVar[str] = (
        "a share of what the target sends arrives twice; healed by sending it once"
    )

    share: Ratio = Field(
        description="Which part of the packets: from 0.1 % to all.", examples=["1%", "25%"]
    )
    correlation: Ratio = Field(
        0.0, description="How much each draw depends on the one before.", examples=["50%"]
    )

    @field_validator("share")
    @classmethod
    def _sensible(cls, value: float) -> float:
        if value < 0.001:
            raise ValueError("share: at least 0.1%")
        return value

    def netem(self) -> Netem:
        """What the emulator is to do."""
        return Netem(duplicate=self.share, correlation=self.correlation)

    def said(self) -> str:
        """For the report."""
        return f"{format_ratio(self.share)} of the packets arrive twice"
