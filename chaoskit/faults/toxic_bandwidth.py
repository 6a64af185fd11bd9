"""``toxic-bandwidth``: a link carries no more than so many bytes a second."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import BytesPerSecond

__all__ = ["ToxicBandwidth"]


class ToxicBandwidth(ToxicFault):
    """Limits the link to ``rate``, in whole kilobytes a second."""

    kind: ClassVar[str] = "toxic-bandwidth"
    summary: ClassVar[str] = (
        "a link carries no more than so much a second; healed by taking the toxic off"
    )

    rate: BytesPerSecond = Field(
        description="Bytes a second, at least 1KB/s.", examples=["10KB/s", "1mbit/s"]
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("bandwidth", rate=max(1.0, self.rate / 1000))

    def proof(self, through: Dial) -> Dial:
        """Slower for each byte of the answer than the limit allows, but for some tolerance."""
        return replace(through, slow_byte_s=0.6 / self.rate, quiet_s=1.0, patience_s=5.0)
