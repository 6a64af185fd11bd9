"""Networks of a run: a free /24 of 198.18.0.0/15 each, internal, every address known beforehand.

The range is the one reserved for benchmarks: it clashes with nobody's VPN. Addresses are fixed
per service, so a killed node comes back where clients and peers know it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import LabError, Refused
from chaoskit.lab.docker_engine import Engine, translating
from chaoskit.stack.model import Stack

__all__ = ["LAB_RANGE", "RunNetwork", "create_networks", "host_routes"]

LAB_RANGE = IPv4Network("198.18.0.0/15")
_CLIENT_HOST, _OBSERVER_HOST, _FIRST_HOST, _LAST_HOST = 2, 3, 10, 250
_TRIES = 64
_NO_HOST = {"com.docker.network.bridge.inhibit_ipv4": "true"}
"""Without an address of the host on the bridge, nothing in the lab can reach the host either."""


@dataclass(frozen=True)
class RunNetwork:
    """One network of the stack as it exists on the engine. ``addresses`` is by node name."""

    key: str  # its name in the Compose file
    name: str  # its name on the engine
    id: str
    subnet: IPv4Network
    addresses: Mapping[str, str]


def create_networks(
    engine: Engine, stack: Stack, run_id: str, labels: Mapping[str, str]
) -> dict[str, RunNetwork]:
    """Create every network of the stack; the engine's refusal of a taken subnet tries the next.

    What was created before a failure carries the run's label and is removed with the run.
    Raises ``LabError`` when no subnet of the range is free.
    """
    made: dict[str, RunNetwork] = {}
    candidates = _candidates(run_id)
    for key in stack.networks:
        fixed = _fixed(stack, key)
        name = f"chaoskit-{run_id}_{key}"
        last = "all of them are taken"
        for subnet in [fixed] if fixed else candidates:
            taken = _taken(engine)
            if not fixed and any(subnet.overlaps(other) for other in taken):
                continue
            identity, last = _create(engine, name, subnet, labels)
            if identity:
                addresses = _addresses(stack, key, subnet)
                made[key] = RunNetwork(key, name, identity, subnet, addresses)
                break
        if key not in made:
            raise LabError(
                f"no free subnet of {fixed or LAB_RANGE} for network {key}: {last}",
                hint="networks of dead runs are removed by: chaoskit heal",
            )
    return made


def _create(
    engine: Engine, name: str, subnet: IPv4Network, labels: Mapping[str, str]
) -> tuple[str, str]:
    """The new network's id, or an empty string and why its subnet was refused."""
    from docker import errors, types

    pool = types.IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
    ipam = types.IPAMConfig(pool_configs=[pool])
    with translating(f"creating network {name}"):
        try:
            created = engine.client().api.create_network(
                name,
                driver="bridge",
                internal=True,
                ipam=ipam,
                labels=dict(labels),
                options=_NO_HOST,
            )
        except errors.APIError as error:
            said = str(error.explanation or error)
            if "overlap" not in said.lower():
                raise
            return "", said
    return str(created["Id"]), ""


def _candidates(run_id: str) -> Iterator[IPv4Network]:
    """Subnets in an order of the run's own, so that runs side by side seldom want the same."""
    all_of_them = list(LAB_RANGE.subnets(new_prefix=24))
    start = zlib.crc32(run_id.encode()) % len(all_of_them)
    for step in range(_TRIES):
        yield all_of_them[(start + step * 37) % len(all_of_them)]


def _taken(engine: Engine) -> list[IPv4Network]:
    subnets: list[IPv4Network] = []
    with translating("listing networks"):
        for one in engine.client().api.networks():
            for pool in (one.get("IPAM") or {}).get("Config") or []:
                text = pool.get("Subnet") or ""
                if text and ":" not in text:
                    subnets.append(IPv4Network(text, strict=False))
    return subnets + host_routes()


def host_routes(table: str = "/proc/net/route") -> list[IPv4Network]:
    """Destinations that this host has a route to, the default route left out."""
    routes: list[IPv4Network] = []
    try:
        lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return routes
    for line in lines:
        columns = line.split()
        to, mask = (int.from_bytes(bytes.fromhex(columns[i])[::-1], "big") for i in (1, 7))
        if mask:
            routes.append(IPv4Network((to, mask.bit_count())))
    return routes


def _fixed(stack: Stack, key: str) -> IPv4Network | None:
    """The /24 that a stack's static addresses demand, if it has any on this network."""
    static = [
        IPv4Address(address)
        for service in stack.services.values()
        if (address := service.networks.get(key))
    ]
    if not static:
        return None
    subnet = IPv4Network((int(static[0]) & ~0xFF, 24))
    if not subnet.subnet_of(LAB_RANGE) or any(address not in subnet for address in static):
        raise Refused(
            f"{stack.file}: static addresses of network {key} must lie in one /24 of {LAB_RANGE}"
        )
    return subnet


def _addresses(stack: Stack, key: str, subnet: IPv4Network) -> dict[str, str]:
    members = [s for s in stack.services.values() if key in (s.networks or {"default": None})]
    given = {s.name: address for s in members if (address := s.networks.get(key))}
    base = int(subnet.network_address)
    own = {
        CLIENT: str(IPv4Address(base + _CLIENT_HOST)),
        OBSERVER: str(IPv4Address(base + _OBSERVER_HOST)),
    }
    clash = set(own.values()) & set(given.values())
    if clash:
        raise Refused(f"{stack.file}: {clash.pop()} is the address of the lab's own client")
    used = set(given.values())
    free: Sequence[str] = [
        text
        for host in range(_FIRST_HOST, _LAST_HOST)
        if (text := str(IPv4Address(base + host))) not in used
    ]
    rest = [s.name for s in members if s.name not in given]
    if len(rest) > len(free):
        raise Refused(f"{stack.file}: network {key} has more services than a /24 holds")
    return {**own, **given, **dict(zip(rest, free, strict=False))}
