"""``toxic-latency``: what goes through a link arrives later, by a fixed time and a random one."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import PositiveSeconds, Seconds

__all__ = ["ToxicLatency"]


class ToxicLatency(ToxicFault):
    """Delays everything on the link by ``delay``, give or take ``jitter``."""

    kind: ClassVar[str] = "toxic-latency"
    summary: ClassVar[str] = "what passes a link arrives later; healed by taking the toxic off"

    delay_s: PositiveSeconds = Field(
        alias="delay", description="How much later.", examples=["200ms"]
    )
    jitter_s: Seconds = Field(
        0.0, alias="jitter", description="Up to so much more or less, at random.", examples=["50ms"]
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("latency", latency=self.delay_s * 1000, jitter=self.jitter_s * 1000)

    def proof(self, through: Dial) -> Dial:
        """Slower than a good part of the shortest delay: a sound link takes a fraction of that."""
        shortest = max(self.delay_s - self.jitter_s, self.delay_s / 4)
        return replace(through, slow_s=0.7 * shortest, patience_s=2.0 + 3 * self.delay_s)
