"""Which connections prove from outside that a fault bites."""

from __future__ import annotations

from chaoskit.contracts import Dial, Node
from chaoskit.stack.labels import port_of

__all__ = ["dial"]


def dial(source: Node, target: Node) -> tuple[Dial, ...]:
    """The dial from one node to another; empty where the target listens on no known port."""
    port = port_of(target.labels)
    if port is None:
        return ()
    return (Dial(source.name, target.name, target.address, port),)
