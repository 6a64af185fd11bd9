"""``partition``: packets between the target and named others are cut in the target's namespace.

``drop`` is silence: peers time out, and TCP retransmits. ``reject`` answers with a reset, which
most detectors see at once. The two give different failover times; test both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from chaoskit.capabilities import Action, Connections, Cut, Direction
from chaoskit.contracts import CLIENT, OBSERVER, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.errors import LabError, NotInjected
from chaoskit.faults.cutting import EVERYBODY, cuts_from, held, prove, said
from chaoskit.faults.grudges import Shape, between, grudge
from chaoskit.names import Names

__all__ = ["Partition"]


class Partition(FaultModel):
    """Cuts the target from ``from``, groups from each other, or all targets in a known shape."""

    kind: ClassVar[str] = "partition"
    needs: ClassVar[frozenset[str]] = frozenset({"cut"})
    summary: ClassVar[str] = "packets between the target and others are cut; healed by joining"

    from_: Names = Field(
        (EVERYBODY,),
        alias="from",
        min_length=1,
        description="The other side: services, roles, 'client', or 'everybody' (all other "
        "services and the client; never the observer unless it is named).",
        examples=[["backup", "witness"], ["client"]],
    )
    groups: tuple[tuple[str, ...], ...] = Field(
        (),
        description="Instead of 'from': groups that cannot see each other. Whoever is named must "
        "be a target too, or the client; whoever is in no group sees everybody.",
        examples=[[["node-a", "node-b"], ["node-c", "client"]]],
    )
    shape: Shape | None = Field(
        None,
        title="Shape",
        description="Instead of 'from': 'bridge' (two halves of the targets that only one node in "
        "the middle sees) or 'majorities-ring' (each sees a majority, no two the same one).",
        examples=["bridge", "majorities-ring"],
    )
    direction: Direction = Field(
        Direction.BOTH,
        description="'both', or one way as seen from the target: 'receive' (it hears nothing, "
        "its own packets leave) or 'send' (it hears everything, nothing leaves).",
        examples=["receive"],
    )
    action: Action = Field(
        Action.DROP,
        description="'drop' (silence), 'reject' (TCP reset, ICMP prohibited) or 'unreachable' "
        "(ICMP host unreachable, as a router with no way on answers).",
        examples=["reject"],
    )
    connections: Connections = Field(
        Connections.ALL,
        description="'all', or of TCP alone: 'new' (none can be opened, open ones go on) or "
        "'established' (those open before go silent, new ones work: half-open).",
        examples=["established"],
    )

    @field_validator("groups")
    @classmethod
    def _two_groups(cls, value: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if len(value) == 1 or not all(value):
            raise ValueError("give two groups or more, none of them empty")
        words = [word for group in value for word in group]
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice is not None:
            raise ValueError(f"'{twice}' is in two groups: it cannot be on both sides")
        return value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [
            name
            for name, is_given in (
                ("from", self.from_ != (EVERYBODY,)),
                ("groups", bool(self.groups)),
                ("shape", self.shape is not None),
            )
            if is_given
        ]
        if len(given) > 1:
            raise ValueError(f"give either {given[0]} or {given[1]}: each says who is cut off")
        if given in (["groups"], ["shape"]) and self.direction is not Direction.BOTH:
            raise ValueError(f"{given[0]} cut both ways; direction goes with 'from'")
        return self

    def idle(self) -> frozenset[str]:
        """Groups and shapes say themselves who is cut off from whom, and cut both ways."""
        return frozenset({"from", "direction"}) if self.groups or self.shape else frozenset()

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """The other side, and groups, are resolved when the fault is injected."""
        if self.groups:
            return {f"groups[{i}]": words for i, words in enumerate(self.groups)}
        return {} if self.from_ == (EVERYBODY,) or self.shape else {"from": self.from_}

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Everything that is tried while it is on."""
        fails, works = prove(lab, self._cuts(lab, targets))
        return (*fails, *works)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Cut whoever is to be cut off; verified by reading the rules back."""
        cuts = self._cuts(lab, targets)
        if not cuts:
            raise NotInjected("the partition would cut nobody off: the target is all there is")
        with held(lab, cuts, prove(lab, cuts), said(cuts)) as hold:
            yield hold

    def _cuts(self, lab: Lab, targets: Targets) -> tuple[Cut, ...]:
        like = Cut(lab.node(CLIENT), (), self.direction, self.action, self.connections)
        if self.shape is not None:
            pairs = grudge(self.shape, targets.nodes)
        elif self.groups:
            pairs = between([targets[f"groups[{i}]"] for i in range(len(self.groups))])
            known = {node.name for node in targets.nodes} | {CLIENT, OBSERVER}
            for node, others in pairs:
                stranger = next((n.name for n in (node, *others) if n.name not in known), None)
                if stranger is not None:
                    raise LabError(f"{stranger} is in a group, but not among the targets")
        else:
            return cuts_from(lab, targets, like)
        return tuple(
            Cut(node, peers, like.direction, like.action, like.connections) for node, peers in pairs
        )
