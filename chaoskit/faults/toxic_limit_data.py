"""``toxic-limit-data``: a link closes once so many bytes have passed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic

__all__ = ["ToxicLimitData"]


class ToxicLimitData(ToxicFault):
    """Closes each connection after ``bytes`` bytes."""

    kind: ClassVar[str] = "toxic-limit-data"
    summary: ClassVar[str] = (
        "a connection closes after so many bytes; healed by taking the toxic off"
    )

    bytes_: int = Field(
        alias="bytes", ge=0, le=2**40, description="How many may pass.", examples=[100, 0]
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("limit_data", bytes=self.bytes_)

    def proof(self, through: Dial) -> Dial:
        """The answer is no longer than the limit; seen where a sound one is longer."""
        return replace(through, min_bytes=self.bytes_ + 1)
