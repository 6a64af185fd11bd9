"""``latency``: everything that the target sends comes later, and with jitter not evenly so.

A peer sees it answer, only late: below its timeout that is a slow node, above it a dead one.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import Field, model_validator

from chaoskit.capabilities import Netem
from chaoskit.contracts import Dial, Node
from chaoskit.faults.dials import dial
from chaoskit.faults.netem import LONGEST_S, NetemFault
from chaoskit.units import PositiveSeconds, Ratio, Seconds, format_duration

__all__ = ["Latency", "Spread"]


class Spread(StrEnum):
    """How jitter is distributed."""

    UNIFORM = "uniform"
    NORMAL = "normal"


class Latency(NetemFault):
    """Delays packets."""

    kind: ClassVar[str] = "latency"
    summary: ClassVar[str] = "what the target sends is delayed; healed by delaying nothing"

    delay_s: PositiveSeconds = Field(
        alias="delay", description="How much later each packet leaves.", examples=["75ms", "1s"]
    )
    jitter_s: Seconds = Field(
        0.0,
        alias="jitter",
        description="By how much the delay varies either way; packets may overtake each other.",
        examples=["50ms"],
    )
    correlation: Ratio = Field(
        0.0,
        description="How much each packet's jitter depends on the one before.",
        examples=["25%"],
    )
    distribution: Spread = Field(
        Spread.UNIFORM,
        description="How jitter is distributed: 'uniform' or 'normal'.",
        examples=["normal"],
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not 0.001 <= self.delay_s <= LONGEST_S:
            raise ValueError("delay: from 1ms to 60s")
        if self.jitter_s > self.delay_s:
            raise ValueError(
                "jitter: at most as much as delay; nothing can leave before it is sent"
            )
        return self

    def netem(self) -> Netem:
        """In whole microseconds."""
        return Netem(
            delay_us=round(self.delay_s * 1e6),
            jitter_us=round(self.jitter_s * 1e6),
            normal=self.distribution is Spread.NORMAL,
            correlation=self.correlation,
        )

    def said(self) -> str:
        """For the report."""
        jitter = f" give or take {format_duration(self.jitter_s)}" if self.jitter_s else ""
        return f"each packet leaves {format_duration(self.delay_s)}{jitter} later"

    def shows(self, node: Node, peer: Node) -> tuple[Dial, ...]:
        """A handshake takes a packet of the target's, so it takes as long as that is held."""
        least_s = self.delay_s - self.jitter_s / 2
        found = dial(peer, node) or dial(node, peer)
        return tuple(
            replace(one, slow_s=max(0.5 * least_s, 0.001), patience_s=0.2 + 3 * self.delay_s)
            for one in found
        )
