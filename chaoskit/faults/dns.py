"""``dns``: on the target, names no longer mean what they should.

An outage: no name of another node is resolved there. In Docker the engine's resolver does not
answer, and whoever asks waits for it; in the sandbox, where names stand in a file, they are unknown
at once. A wrong answer: names mean another address, as with a record that was not updated. Who has
resolved a name before and keeps the address or the connection notices nothing: that is the point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar, Self, cast

from pydantic import Field, model_validator

from chaoskit.capabilities import Misname, Misnames
from chaoskit.clock import now_ns
from chaoskit.contracts import CLIENT, OBSERVER, Claim, Dial, FaultModel, Hold, Lab, Node, Targets
from chaoskit.errors import LabError
from chaoskit.faults.dials import named
from chaoskit.names import Names

__all__ = ["Answer", "Dns"]

_NOBODY = "198.19.255.254"  # of the labs' range; no lab gives it away


class Answer(StrEnum):
    """What whoever asks for a name is told."""

    OUTAGE = "outage"
    WRONG = "wrong"


def _names_of(nodes: Sequence[Node]) -> tuple[str, ...]:
    """All of them: who asks by an alias must be misled as well."""
    return tuple(name for node in nodes for name in (node.name, *node.aliases))


class Dns(FaultModel):
    """Breaks the target's view of names."""

    kind: ClassVar[str] = "dns"
    needs: ClassVar[frozenset[str]] = frozenset({"misname"})
    summary: ClassVar[str] = "names are not resolved, or wrongly; healed by resolving them"

    answer: Answer = Field(
        Answer.OUTAGE,
        description="'outage' (no name of another node is resolved) or 'wrong' (the names mean "
        "another address).",
        examples=["wrong"],
    )
    names: Names = Field(
        (),
        description="With 'wrong': whose names: services or roles. Unsaid: those of all others.",
        examples=[["primary"]],
    )
    to: str | None = Field(
        None,
        title="To",
        description="With 'wrong': the node whose address they mean, a service or role. Unsaid: "
        "an address that nobody has.",
        examples=["backup"],
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.answer is Answer.OUTAGE and (self.names or self.to):
            raise ValueError("names and to go with 'answer: wrong'; an outage is of all names")
        return self

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """Whose names, and whose address, are resolved when the fault is injected."""
        found = {"names": self.names, "to": (self.to,) if self.to else ()}
        return {key: words for key, words in found.items() if words}

    def claims(self) -> frozenset[Claim]:
        """The node's names."""
        return frozenset({Claim("names")})

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Names that are resolved, and answer."""
        return self._proof(lab, targets)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Make names wrong; verified by reading back what they mean."""
        for node in targets.nodes:
            if node.name in (CLIENT, OBSERVER):
                raise LabError(f"{node.name} is the lab's own node and uses addresses, not names")
        address = None
        if self.answer is Answer.WRONG:
            address = targets["to"][0].address if "to" in targets.others else _NOBODY
        wrong = [
            Misname(node, _names_of(self._whose(lab, targets, node)), address)
            for node in targets.nodes
        ]
        book = cast("Misnames", lab)
        on = ", ".join(node.name for node in targets.nodes)
        detail = f"no other node's name is resolved on {on}"
        if address is not None:
            detail = f"on {on}, {', '.join(wrong[0].names)} mean {address}"
        hold = Hold(now_ns(), 0, None, self._proof(lab, targets), detail=detail)
        handle = book.misname(wrong)
        try:
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if book.misnamed(handle) else None
            hold.in_force = lambda: book.misnamed(handle)
            yield hold
            if not book.misnamed(handle):
                hold.verified_ns = None
                hold.detail += "; the names were right again before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            book.rename(handle)
            hold.healed_ns = now_ns()

    def _whose(self, lab: Lab, targets: Targets, node: Node) -> tuple[Node, ...]:
        chosen = targets["names"] if "names" in targets.others else lab.nodes()
        others = tuple(other for other in chosen if other.name != node.name)
        if not others:
            raise LabError(f"there is no other node whose name {node.name} could get wrong")
        return others

    def _proof(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        to = targets.others.get("to", ())
        return tuple(
            found
            for node in targets.nodes
            for other in self._whose(lab, targets, node)
            if other.name not in {one.name for one in to}
            for found in named(node, other)
        )
