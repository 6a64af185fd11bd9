"""What faults that shape a link have in common: how they go in and out, and what proves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from chaoskit.capabilities import Netem, Rate, Shape, Shapes
from chaoskit.clock import now_ns
from chaoskit.contracts import CLIENT, OBSERVER, Hold, Lab, Node, Targets
from chaoskit.errors import LabError
from chaoskit.faults.cutting import Proof
from chaoskit.faults.dials import standing
from chaoskit.stack.labels import port_of

__all__ = ["observer_of", "shaped", "some_peer"]


@contextmanager
def shaped(
    lab: Lab, targets: Targets, what: Rate | Netem, proof: Proof, detail: str
) -> Iterator[Hold]:
    """Every target shaped, verified by reading the disciplines back, until the exit."""
    for node in targets.nodes:
        if node.name in (CLIENT, OBSERVER):
            raise LabError(f"{node.name} is the lab's own node; shape what the services send")
    shapes = cast("Shapes", lab)
    dials, spared = proof
    hold = Hold(now_ns(), 0, None, dials, spared, detail=detail)
    handle = shapes.shape([Shape(node, what) for node in targets.nodes])
    try:
        hold.acknowledged_ns = now_ns()
        hold.verified_ns = now_ns() if shapes.shaped(handle) else None
        hold.in_force = lambda: shapes.shaped(handle)
        yield hold
        if not shapes.shaped(handle):
            hold.verified_ns = None  # it did not hold for its window: healed by somebody else
            hold.detail += "; the queueing discipline was gone before the heal"
    finally:
        hold.heal_commanded_ns = now_ns()
        shapes.unshape(handle)
        hold.healed_ns = now_ns()


def some_peer(node: Node, peers: Sequence[Node]) -> Node:
    """One of them to try it with: a service that is on a network of the node's, if there is one."""
    mine = {address.rpartition(".")[0] for address in node.all_addresses()}
    near = [p for p in peers if {a.rpartition(".")[0] for a in p.all_addresses()} & mine]
    served = [peer for peer in near if port_of(peer.labels) is not None]
    return (served or near or list(peers))[0]


def observer_of(lab: Lab, node: Node) -> Node:
    """Who tries what a node sends: another service near it, else the client."""
    others = [other for other in lab.nodes() if other.name != node.name]
    return some_peer(node, standing(lab, [*others, lab.node(CLIENT)]))
