"""``toxic-timeout``: nothing passes a link any more, and after a while it is closed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import Seconds

__all__ = ["ToxicTimeout"]


class ToxicTimeout(ToxicFault):
    """Stops all data; closes the connection after ``close_after``, or never."""

    kind: ClassVar[str] = "toxic-timeout"
    summary: ClassVar[str] = (
        "nothing passes a link any more, then it closes; healed by taking the toxic off"
    )

    close_after_s: Seconds = Field(
        0.0,
        alias="close_after",
        description="The connection is closed then; 0: never, while the fault is on.",
        examples=["500ms"],
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("timeout", timeout=self.close_after_s * 1000)

    def proof(self, through: Dial) -> Dial:
        """No answer comes; at most the connection is closed."""
        return replace(through, patience_s=0.5)
