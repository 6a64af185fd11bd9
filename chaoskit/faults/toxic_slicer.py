"""``toxic-slicer``: what goes through a link arrives in small pieces, with pauses between them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field, model_validator

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import PositiveSeconds

__all__ = ["ToxicSlicer"]


class ToxicSlicer(ToxicFault):
    """Cuts data into pieces of about ``size`` bytes and waits ``delay`` between them."""

    kind: ClassVar[str] = "toxic-slicer"
    summary: ClassVar[str] = (
        "data arrives in small pieces with pauses; healed by taking the toxic off"
    )

    size: int = Field(
        64, ge=1, le=65536, description="Average size of a piece, bytes.", examples=[16]
    )
    variation: int = Field(
        0,
        ge=0,
        le=65535,
        description="Pieces differ by up to so many bytes; less than size.",
        examples=[16],
    )
    delay_s: PositiveSeconds = Field(
        alias="delay", description="Pause after each piece.", examples=["10ms"]
    )

    @model_validator(mode="after")
    def _pieces_have_a_size(self) -> ToxicSlicer:
        if self.variation >= self.size:
            raise ValueError("variation must be less than size, or pieces could be empty")
        return self

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make(
            "slicer",
            average_size=self.size,
            size_variation=self.variation,
            delay=self.delay_s * 1_000_000,
        )

    def proof(self, through: Dial) -> Dial:
        """Slower for each byte of the answer than whole pieces would be."""
        slow_byte_s = 0.4 * self.delay_s / self.size
        return replace(through, slow_byte_s=slow_byte_s, quiet_s=3 * self.delay_s, patience_s=5.0)
