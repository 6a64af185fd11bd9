"""``corrupt``: a bit of some of the packets that the target sends is turned.

Checksums find nearly all of it, so it comes out as loss; what they miss reaches the program.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from chaoskit.capabilities import Netem
from chaoskit.faults.netem import NetemFault
from chaoskit.units import Ratio, format_ratio

__all__ = ["Corrupt"]


class Corrupt(NetemFault):
    """Turns bits."""

    kind: ClassVar[str] = "corrupt"
    summary: ClassVar[str] = "a bit of a share of the packets is turned; healed by turning none"

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
        return Netem(corrupt=self.share, correlation=self.correlation)

    def said(self) -> str:
        """For the report."""
        return f"a bit of {format_ratio(self.share)} of the packets is turned"
