"""The network of a sandbox lab, worked out before anything is started. Pure.

One bridge for each network of the stack, one /24 (or /16) for each bridge, one network namespace
for each node. Client and observer are on every network. Nothing has a route to anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from itertools import islice

from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import Refused
from chaoskit.stack.model import Service, Stack

__all__ = ["LAB_RANGE", "NetworkPlan", "Nic", "plan_network"]

LAB_RANGE = IPv4Network("198.18.0.0/15")
"""The benchmarking range of RFC 2544: it clashes with nobody's network."""


@dataclass(frozen=True)
class Nic:
    """A node's place on one network."""

    network: str
    address: IPv4Address
    prefix: int


@dataclass(frozen=True)
class NetworkPlan:
    """Who has which address where. The first of a node is the one it is known by."""

    bridges: Mapping[str, str]  # network → device
    nics: Mapping[str, tuple[Nic, ...]]  # node → its places, eth0 first
    services: Mapping[str, Service] = field(default_factory=dict)  # for their other names

    def addresses(self, node: str) -> tuple[str, ...]:
        """All addresses of a node."""
        return tuple(str(nic.address) for nic in self.nics[node])

    def hosts(self, viewer: str) -> str:
        """``/etc/hosts`` of a node: every node that it shares a network with, itself included."""
        lines = ["127.0.0.1 localhost"]
        mine = {nic.network for nic in self.nics[viewer]}
        for node, nics in self.nics.items():
            given: set[str] = set()
            for nic in (nic for nic in nics if nic.network in mine):
                names = [n for n in self._names(node, nic.network, viewer) if n not in given]
                given.update(names)
                lines += [f"{nic.address} {' '.join(names)}"] if names else []
        return "\n".join(lines) + "\n"

    def _names(self, node: str, network: str, viewer: str) -> list[str]:
        service = self.services.get(node)
        if service is None:
            return [node]
        own = [service.hostname] if service.hostname and node == viewer else []
        return list(dict.fromkeys([node, *own, *service.aliases.get(network, ())]))

    def lab_batch(self, holders: Mapping[str, int]) -> str:
        """``ip -batch`` for the lab's namespace. ``holders``: node → PID of its namespace."""
        lines = ["link set lo up"]
        for device in self.bridges.values():
            lines += [f"link add {device} type bridge stp_state 0", f"link set {device} up"]
        number = 0
        for node, nics in self.nics.items():
            for i, nic in enumerate(nics):
                peer = f"peer name eth{i} netns {holders[node]}"
                lines.append(f"link add v{number} type veth {peer}")
                lines.append(f"link set v{number} master {self.bridges[nic.network]} up")
                number += 1
        return "\n".join(lines) + "\n"

    def node_batch(self, node: str) -> str:
        """``ip -batch`` for a node's own namespace."""
        lines = ["link set lo up"]
        for i, nic in enumerate(self.nics[node]):
            lines.append(f"addr add {nic.address}/{nic.prefix} dev eth{i}")
            lines.append(f"link set eth{i} up")
        return "\n".join(lines) + "\n"


def plan_network(stack: Stack) -> NetworkPlan:
    """Give every node its addresses; static ones are kept.

    Raises ``Refused`` where a static address is outside the lab's range, taken twice, or so far
    from another one of its network that no /16 holds both.
    """
    networks = [*stack.networks] or ["default"]
    members: dict[str, dict[str, str | None]] = {
        name: dict(service.networks) or {networks[0]: None}
        for name, service in stack.services.items()
    }
    for name, places in members.items():
        for network in places:
            if network not in networks:
                raise Refused(f"{stack.file}: service {name} is on network {network}, unknown here")
    for name in (CLIENT, OBSERVER):
        if name in members:
            raise Refused(f"{stack.file}: a service is called {name}, a name that every lab uses")
        members[name] = dict.fromkeys(networks)
    nics: dict[str, dict[str, Nic]] = {name: {} for name in members}
    used: list[IPv4Network] = []
    fixed = {n: _static(stack, n, members) for n in networks}
    # Networks with static addresses choose first; the others take what is left.
    for network in sorted(networks, key=lambda n: not fixed[n]):
        subnet = _subnet(stack, network, fixed[network], used)
        used.append(subnet)
        free = (a for a in islice(subnet.hosts(), 1, None) if a not in fixed[network].values())
        for name, places in members.items():
            if network in places:
                address = fixed[network].get(name) or next(free)
                nics[name][network] = Nic(network, address, subnet.prefixlen)
    return NetworkPlan(
        bridges={network: f"br{i}" for i, network in enumerate(networks)},
        nics={name: tuple(nics[name][n] for n in places) for name, places in members.items()},
        services=dict(stack.services),
    )


def _static(
    stack: Stack, network: str, members: Mapping[str, Mapping[str, str | None]]
) -> dict[str, IPv4Address]:
    found: dict[str, IPv4Address] = {}
    for name, places in members.items():
        text = places.get(network)
        if text is None:
            continue
        try:
            address = IPv4Address(text)
        except AddressValueError:
            raise Refused(f"{stack.file}: {name}: {text} is no IPv4 address") from None
        if address not in LAB_RANGE:
            raise Refused(f"{stack.file}: {name}: {text} is outside of {LAB_RANGE}: move it there")
        if address in found.values():
            raise Refused(f"{stack.file}: {name}: {text} belongs to another service already")
        found[name] = address
    return found


def _subnet(
    stack: Stack, network: str, fixed: Mapping[str, IPv4Address], used: list[IPv4Network]
) -> IPv4Network:
    if not fixed:
        return next(s for s in LAB_RANGE.subnets(new_prefix=24) if not any(map(s.overlaps, used)))
    for prefix in (24, 16):
        subnet = IPv4Network((next(iter(fixed.values())), prefix), strict=False)
        if all(address in subnet for address in fixed.values()):
            break
    else:
        raise Refused(f"{stack.file}: the static addresses of network {network} are in no one /16")
    if any(map(subnet.overlaps, used)):
        raise Refused(f"{stack.file}: network {network} ({subnet}) overlaps another network")
    return subnet
