"""``arp``: a peer goes on sending to where the target's address used to be.

As after a virtual address has moved and the announcement was lost: the peer's neighbour table holds
a link-layer address that nobody has, and no answer of the real owner mends it. The target itself is
sound, and everybody else reaches it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import ClassVar, cast

from pydantic import Field, field_validator

from chaoskit.capabilities import Misdirection, Misdirects
from chaoskit.clock import now_ns
from chaoskit.contracts import CLIENT, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.errors import LabError
from chaoskit.faults.cutting import Proof
from chaoskit.faults.dials import datagrams, dial, standing
from chaoskit.names import Names
from chaoskit.wording import quoted

__all__ = ["Arp"]


class Arp(FaultModel):
    """Gives peers a stale neighbour entry for the target."""

    kind: ClassVar[str] = "arp"
    needs: ClassVar[frozenset[str]] = frozenset({"misdirect"})
    summary: ClassVar[str] = "peers send to a stale link address; healed by forgetting it"

    on: Names = Field(
        (CLIENT,),
        min_length=1,
        description="Whose neighbour table is stale: services, roles, or 'client'.",
        examples=[["client"], ["backup"]],
    )
    address: str | None = Field(
        None,
        title="Address",
        description="The address that is stale, where it is not the target's own: a virtual one.",
        examples=["198.18.0.100"],
    )

    @field_validator("address")
    @classmethod
    def _ipv4(cls, value: str | None) -> str | None:
        try:
            return None if value is None else str(IPv4Address(value))
        except ValueError:
            raise ValueError(f"{quoted(value)} is no IPv4 address, such as 198.18.0.100") from None

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """The peers are resolved when the fault is injected."""
        return {"on": self.on}

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Everything that is tried while it is on."""
        fails, works = self._proof(lab, targets)
        return (*fails, *works)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Make the entries; verified by reading them back."""
        wrong = [
            Misdirection(peer, self.address or node.address)
            for node in targets.nodes
            for peer in targets["on"]
            if peer.name != node.name
        ]
        if not wrong:
            raise LabError("the target cannot be a stale neighbour of itself: name others in 'on'")
        tables = cast("Misdirects", lab)
        dials, spared = self._proof(lab, targets)
        names = ", ".join(dict.fromkeys(one.node.name for one in wrong))
        what = ", ".join(dict.fromkeys(one.address for one in wrong))
        detail = f"{names} send what is for {what} to a link address that nobody has"
        hold = Hold(now_ns(), 0, None, dials, spared, detail=detail)
        handle = tables.misdirect(wrong)
        try:
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if tables.misdirected(handle) else None
            hold.in_force = lambda: tables.misdirected(handle)
            yield hold
            if not tables.misdirected(handle):
                hold.verified_ns = None
                hold.detail += "; an entry was gone before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            tables.redirect(handle)
            hold.healed_ns = now_ns()

    def _proof(self, lab: Lab, targets: Targets) -> Proof:
        """The peer's datagrams do not arrive; those of somebody else do."""
        fails: tuple[Dial, ...] = ()
        works: tuple[Dial, ...] = ()
        misled = {peer.name for peer in targets["on"]}
        everybody = standing(lab, (*lab.nodes(), lab.node(CLIENT)))
        for node in targets.nodes:
            for peer in targets["on"]:
                if peer.name == node.name:
                    continue
                found = dial(peer, node) or datagrams(peer, node)
                fails += tuple(_at(one, self.address) for one in found)
            sound = (n for n in everybody if n.name not in misled | {node.name})
            works += tuple(d for other in list(sound)[:1] for d in datagrams(other, node))
        return fails, works


def _at(found: Dial, address: str | None) -> Dial:
    """The dial at another address of the target's."""
    return found if address is None else Dial(found.source, found.target, address, found.port)
