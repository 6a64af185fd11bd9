"""``toxic-slow-close``: the end of a connection arrives late."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import PositiveSeconds

__all__ = ["ToxicSlowClose"]


class ToxicSlowClose(ToxicFault):
    """Keeps a connection open for ``delay`` after the other end has closed it."""

    kind: ClassVar[str] = "toxic-slow-close"
    summary: ClassVar[str] = "the end of a connection arrives late; healed by taking the toxic off"

    delay_s: PositiveSeconds = Field(
        alias="delay", description="How much later it closes.", examples=["1s"]
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("slow_close", delay=self.delay_s * 1000)

    def proof(self, through: Dial) -> Dial:
        """The answer comes at once, the hang-up after it late."""
        slow_s, patience_s = 0.7 * self.delay_s, 2.0 + 2 * self.delay_s
        return replace(through, read="close", slow_s=slow_s, patience_s=patience_s)
