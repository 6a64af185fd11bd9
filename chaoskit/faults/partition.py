"""``partition``: packets between the target and named others are cut in the target's namespace.

``drop`` is silence: peers time out, and TCP retransmits. ``reject`` answers with a reset, which
most detectors see at once. The two give different failover times; test both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, cast

from pydantic import Field, field_validator

from chaoskit.capabilities import Action, Cut, Cuts, Direction
from chaoskit.clock import now_ns
from chaoskit.contracts import Dial, FaultModel, Hold, Lab, Node, Targets
from chaoskit.faults.dials import dial

__all__ = ["Partition"]

EVERYBODY = "everybody"
"""All other services and the client; not the observer, which must go on seeing all sides."""


class Partition(FaultModel):
    """Cuts the target from ``from``: both ways or one way, silently or with a refusal."""

    kind: ClassVar[str] = "partition"
    needs: ClassVar[frozenset[str]] = frozenset({"cut"})
    summary: ClassVar[str] = "packets between the target and others are cut; healed by joining"

    from_: tuple[str, ...] = Field(
        (EVERYBODY,),
        alias="from",
        description="The other side: services, roles, 'client', or 'everybody' (all other "
        "services and the client; never the observer unless it is named).",
        examples=[["backup", "witness"], ["client"]],
    )
    direction: Direction = Field(
        Direction.BOTH,
        description="'both', or one way as seen from the target: 'receive' (it hears nothing, "
        "its own packets leave) or 'send' (it hears everything, nothing leaves).",
    )
    action: Action = Field(
        Action.DROP,
        description="'drop' (silence) or 'reject' (TCP reset, ICMP prohibited).",
    )

    @field_validator("from_", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """The other side is resolved when the fault is injected."""
        return {} if self.from_ == (EVERYBODY,) else {"from": self.from_}

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Cut every target from the others; verified by reading the rules back."""
        cuts = self._cuts(lab, targets)
        lab_cuts = cast("Cuts", lab)
        dials = tuple(d for cut in cuts for peer in cut.peers for d in self._proof(cut.node, peer))
        hold = Hold(now_ns(), 0, None, dials, detail=self._say(cuts))
        handle = lab_cuts.cut(cuts)
        try:
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if lab_cuts.in_force(handle) else None
            hold.in_force = lambda: lab_cuts.in_force(handle)
            yield hold
            if not lab_cuts.in_force(handle):
                hold.verified_ns = None  # it did not hold for its window: healed by somebody else
                hold.detail += "; the rules were gone before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            lab_cuts.join(handle)
            hold.healed_ns = now_ns()

    def _cuts(self, lab: Lab, targets: Targets) -> tuple[Cut, ...]:
        cuts = []
        for node in targets.nodes:
            if "from" in targets.others:
                peers = tuple(n for n in targets["from"] if n.name != node.name)
            else:
                others = tuple(n for n in lab.nodes() if n.name != node.name)
                peers = (*others, lab.node("client"))
            cuts.append(Cut(node, peers, self.direction, self.action))
        return tuple(cuts)

    def _proof(self, node: Node, peer: Node) -> tuple[Dial, ...]:
        """One dial for each pair. TCP needs both ways, so one cut direction stops the handshake.

        From the peer to the target where the target listens, else the other way round.
        """
        return dial(peer, node) or dial(node, peer)

    def _say(self, cuts: tuple[Cut, ...]) -> str:
        parts = [
            f"{cut.node.name} ({cut.node.address}) cut from {', '.join(p.name for p in cut.peers)}"
            for cut in cuts
        ]
        return f"{'; '.join(parts)}: {self.direction.value}, {self.action.value}"
