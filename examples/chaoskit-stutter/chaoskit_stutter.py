"""``stutter``: the node stands still again and again, like one that swaps or collects garbage."""

from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field

from chaoskit.clock import NS, now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold
from chaoskit.faults.dials import poke
from chaoskit.units import PositiveSeconds


class Stutter(FaultModel):
    kind: ClassVar[str] = "stutter"
    needs: ClassVar[frozenset[str]] = frozenset({"pause"})
    summary: ClassVar[str] = "stands still for a while, goes on for as long, and so on"
    still: PositiveSeconds = Field(description="How long each time.", examples=["300ms"])

    def claims(self):
        return frozenset({Claim("life", share=True), Claim("run")})

    @contextmanager
    def inject(self, lab, targets):
        (node,), observer = targets.nodes, lab.node(OBSERVER)
        hold = Hold(began := now_ns(), 0, None, poke(observer, node), detail="it stutters")
        try:
            lab.pause(node)
            hold.acknowledged_ns = now_ns()
            hold.tend = lambda: self.turn(lab, node, began)
            hold.verified_ns = now_ns() if lab.paused(node) else None
            yield hold
        finally:
            hold.heal_commanded_ns, _, hold.healed_ns = now_ns(), lab.resume(node), now_ns()

    def turn(self, lab, node, began):
        if (stands := int((now_ns() - began) / NS / self.still) % 2 == 0) != lab.paused(node):
            (lab.pause if stands else lab.resume)(node)
