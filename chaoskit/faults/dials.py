"""Which connections prove from outside that a fault bites."""

from __future__ import annotations

from dataclasses import replace

from chaoskit.contracts import Dial, Node
from chaoskit.stack.labels import port_of

_POKE = "HEAD / HTTP/1.0\r\n\r\n"

__all__ = ["dial", "poke"]


def dial(source: Node, target: Node) -> tuple[Dial, ...]:
    """The dial from one node to another; empty where the target listens on no known port."""
    port = port_of(target.labels)
    if port is None:
        return ()
    return (Dial(source.name, target.name, target.address, port),)


def poke(source: Node, target: Node) -> tuple[Dial, ...]:
    """The same, where the program itself has to react; a text that any text protocol answers."""
    return tuple(replace(found, poke=_POKE) for found in dial(source, target))
