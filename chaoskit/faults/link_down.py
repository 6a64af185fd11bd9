"""``link-down``: a link is switched off: open connections close, new ones are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from chaoskit.contracts import Claim, Dial
from chaoskit.faults.toxics import LinkFault
from chaoskit.toxics import DOWN, Toxic

__all__ = ["LinkDown"]


class LinkDown(LinkFault):
    """Switches the proxies of the links off; healed by switching them on."""

    kind: ClassVar[str] = "link-down"
    summary: ClassVar[str] = "a link is switched off: closed and refused; healed by switching it on"

    def claims(self) -> frozenset[Claim]:
        """A toxic on a link that is down would do nothing."""
        return frozenset({Claim("link")})

    def toxic(self) -> Toxic:
        """See ``LinkFault``."""
        return Toxic(DOWN)

    def proof(self, through: Dial) -> Dial:
        """Nobody listens any more."""
        return replace(through, patience_s=0.5)
