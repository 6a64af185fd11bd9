"""Which connections prove from outside that a fault bites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chaoskit.contracts import CLIENT, OBSERVER, Dial, Lab, Node
from chaoskit.stack.labels import port_of

_POKE = "HEAD / HTTP/1.0\r\n\r\n"

__all__ = ["datagrams", "dial", "kept", "named", "poke", "standing", "transfer"]


def standing(lab: Lab, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """From and to whom anything can be tried: services that run, the client, the observer."""
    ours = (CLIENT, OBSERVER)
    return tuple(n for n in nodes if n.name in ours or lab.identity(n) is not None)


def dial(source: Node, target: Node) -> tuple[Dial, ...]:
    """The dial from one node to another; empty where the target listens on no known port."""
    port = port_of(target.labels)
    if port is None:
        return ()
    return (Dial(source.name, target.name, _address(source, target), port),)


def poke(source: Node, target: Node) -> tuple[Dial, ...]:
    """The same, where the program itself has to react; a text that any text protocol answers."""
    return tuple(replace(found, poke=_POKE) for found in dial(source, target))


def kept(source: Node, target: Node) -> tuple[Dial, ...]:
    """A connection that stays open; its bytes must go on being acknowledged."""
    return tuple(replace(found, how="kept") for found in dial(source, target))


def named(source: Node, target: Node) -> tuple[Dial, ...]:
    """The dial by the target's name: it must be resolved, to the target's own address."""
    return tuple(
        replace(one, how="name", address=target.name, expect=one.address, patience_s=0.5)
        for one in dial(source, target)
    )


def datagrams(source: Node, target: Node, count: int = 1) -> tuple[Dial, ...]:
    """Datagrams to an observer in the target's network: one way, and no port is needed."""
    address = _address(source, target)
    patience_s = 0.2 if count == 1 else 0.5
    return (
        Dial(
            *(source.name, target.name, address, 0),
            how="datagram",
            size=count,
            patience_s=patience_s,
        ),
    )


def transfer(source: Node, target: Node, size: int, slow_s: float) -> tuple[Dial, ...]:
    """So many bytes to an observer in the target's network, in less than ``slow_s`` seconds."""
    address = _address(source, target)
    return (
        Dial(
            *(source.name, target.name, address, 0),
            how="transfer",
            size=size,
            slow_s=slow_s,
            patience_s=max(1.0, 4 * slow_s),
        ),
    )


def _address(source: Node, target: Node) -> str:
    """The target's address on a network that the source is on too, where there is one."""
    mine = {address.rpartition(".")[0] for address in source.all_addresses()}
    shared = (a for a in target.all_addresses() if a.rpartition(".")[0] in mine)
    return next(shared, target.address)
