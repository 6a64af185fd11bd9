"""``loss``: a random share of the packets between the target and others is lost.

Each packet is lost or not, independently of the one before; drawn by the kernel, in the target's
namespace, silently. With ``correlation`` losses come in bursts, as on a radio link; that takes the
kernel's network emulator and applies to all that the target sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Self

from pydantic import Field, model_validator

from chaoskit.capabilities import Cut, Direction, Netem
from chaoskit.contracts import CLIENT, Claim, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.errors import NotInjected
from chaoskit.faults.cutting import EVERYBODY, Proof, cuts_from, held
from chaoskit.faults.dials import datagrams, standing
from chaoskit.faults.shapes import shaped, some_peer
from chaoskit.names import Names
from chaoskit.units import Ratio, format_ratio

__all__ = ["Loss"]

_BURST = 20  # datagrams in a try: even one per cent is seen to be lost within a second


class Loss(FaultModel):
    """Loses packets at random, one way or both."""

    kind: ClassVar[str] = "loss"
    needs: ClassVar[frozenset[str]] = frozenset({"cut"})
    summary: ClassVar[str] = "a random share of the packets is lost; healed by losing none"

    share: Ratio = Field(
        description="Which part of the packets is lost, each way: from 0.1 % to 99 %.",
        examples=["5%", "20%"],
    )
    from_: Names = Field(
        (EVERYBODY,),
        alias="from",
        min_length=1,
        description="The other side: services, roles, 'client', or 'everybody' (all other "
        "services and the client; never the observer unless it is named).",
        examples=[["backup"], ["client"]],
    )
    direction: Direction = Field(
        Direction.BOTH,
        description="'both', or one way as seen from the target: 'receive' or 'send'.",
        examples=["send"],
    )
    correlation: Ratio = Field(
        0.0,
        description="How much each loss depends on the one before. More than 0 needs the "
        "kernel's netem, strikes all that the target sends, and nothing that it receives.",
        examples=["75%"],
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not 0.001 <= self.share <= 0.99:
            raise ValueError("share: from 0.1% to 99%; to lose everything, use partition")
        if self.correlation and (self.direction is not Direction.SEND or self.selectors()):
            raise ValueError(
                "correlation is for all that the target sends: with it, direction is 'send' and "
                "'from' is not given"
            )
        return self

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """The other side is resolved when the fault is injected."""
        return {} if self.from_ == (EVERYBODY,) else {"from": self.from_}

    def features(self) -> frozenset[str]:
        """Bursts are more than the packet filter can draw."""
        return frozenset({"shape", "netem"}) if self.correlation else frozenset()

    def claims(self) -> frozenset[Claim]:
        """With correlation, the device's queue."""
        return frozenset({Claim("egress")}) if self.correlation else frozenset()

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Without the fault, nothing is lost."""
        fails, works = self._proof(lab, targets)
        return (*fails, *works)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Lose packets; verified by reading the rules back, proved by counting datagrams."""
        proof = self._proof(lab, targets)
        what = f"{format_ratio(self.share)} of the packets of "
        what += ", ".join(node.name for node in targets.nodes)
        if self.correlation:
            netem = Netem(loss=self.share, correlation=self.correlation)
            with shaped(lab, targets, netem, proof, f"{what} are lost, in bursts") as hold:
                yield hold
            return
        cuts = self._cuts(lab, targets)
        if not cuts:
            raise NotInjected("nobody is there whose packets could be lost: the target is alone")
        peers = ", ".join(peer.name for peer in cuts[0].peers)
        with held(lab, cuts, proof, f"{what} to or from {peers} are lost") as hold:
            hold.lost_share = self.share
            yield hold

    def _cuts(self, lab: Lab, targets: Targets) -> tuple[Cut, ...]:
        like = Cut(lab.node(CLIENT), (), self.direction, share=self.share)
        return cuts_from(lab, targets, like)

    def _proof(self, lab: Lab, targets: Targets) -> Proof:
        """A run of datagrams loses some, but now and then a single one gets through."""
        fails: tuple[Dial, ...] = ()
        works: tuple[Dial, ...] = ()
        for cut in self._cuts(lab, targets):
            peer = some_peer(cut.node, standing(lab, cut.peers) or cut.peers)
            ways = []
            if self.direction is not Direction.SEND:
                ways.append((peer, cut.node))
            if self.direction is not Direction.RECEIVE:
                ways.append((cut.node, peer))
            for source, target in ways:
                fails += datagrams(source, target, _BURST)
                works += datagrams(source, target)
        return fails, works
