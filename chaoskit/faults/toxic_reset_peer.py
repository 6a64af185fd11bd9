"""``toxic-reset-peer``: connections through a link are reset."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import Dial
from chaoskit.faults.toxics import ToxicFault
from chaoskit.toxics import Toxic
from chaoskit.units import Seconds

__all__ = ["ToxicResetPeer"]


class ToxicResetPeer(ToxicFault):
    """Resets each connection ``reset_after`` it was opened, or at once."""

    kind: ClassVar[str] = "toxic-reset-peer"
    summary: ClassVar[str] = "connections through a link are reset; healed by taking the toxic off"

    reset_after_s: Seconds = Field(
        0.0, alias="reset_after", description="How long it lives before that.", examples=["100ms"]
    )

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return self.make("reset_peer", timeout=self.reset_after_s * 1000)

    def proof(self, through: Dial) -> Dial:
        """The connection opens and is torn down before an answer has passed."""
        return replace(through, read="close", patience_s=2.0 + self.reset_after_s)
