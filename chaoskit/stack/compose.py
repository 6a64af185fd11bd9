"""A Compose file → ``Stack``. Starts nothing and imports no plug-in.

Problems that no lab could live with are raised, all at once. What only the sandbox lab cannot do
stands in ``Stack.sandbox_refusals``; what it ignores stands in ``Stack.notes``.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from chaoskit import yaml_source as ys
from chaoskit.errors import BadInput
from chaoskit.stack.files import declare_files
from chaoskit.stack.interpolate import parse_env_file
from chaoskit.stack.model import Service, Stack
from chaoskit.stack.naming import check_names
from chaoskit.stack.reading import Reading
from chaoskit.stack.service import read_service
from chaoskit.wording import did_you_mean, listed, quoted

__all__ = ["load_stack"]

_TOP: Mapping[str, bool] = {
    "services": True,
    "networks": True,
    "volumes": True,
    "name": True,
    "version": True,
    "configs": True,
    "secrets": True,
    "include": False,
    "models": False,
}
_NETWORK: Mapping[str, bool] = {
    "internal": True,
    "driver": True,
    "ipam": True,
    "labels": True,
    "name": True,
    "attachable": True,
    "driver_opts": False,
    "enable_ipv4": False,
    "enable_ipv6": False,
    "external": False,
}
_NETWORK_IDLE = ("driver", "labels", "name", "attachable", "internal")
_VOLUME: Mapping[str, bool] = {
    "labels": True,
    "name": True,
    "driver": False,
    "driver_opts": False,
    "external": False,
}


def load_stack(path: Path, *, shown: str | None = None) -> Stack:
    """Read and check the Compose file. ``shown`` is the path to say in problems.

    Variables come from the process's environment and from ``.env`` beside the file. Raises
    ``BadInput`` with every problem found.
    """
    file = shown or str(path)
    full = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave the folder's own name
    reading = Reading(file, full.parent, _variables(full.parent))
    root = ys.read_yaml(path, reading.problems, shown)
    if not isinstance(root, ys.Mapping):
        raise BadInput([*reading.problems, root.mark.problem("a Compose file is a mapping")])
    expanded = reading.expand(root)
    assert isinstance(expanded, ys.Mapping)  # noqa: S101 - expanding keeps the shape
    reading.only(expanded, _TOP, "the Compose file")
    networks = _networks(reading, expanded)
    volumes = _volumes(reading, expanded)
    declare_files(reading, expanded)
    services = _services(reading, expanded)
    marks = _marks(expanded)
    _check_dependencies(reading, services, marks)
    _check_networks(reading, services, networks, marks)
    _check_volumes(reading, services, volumes, marks)
    check_names(reading, services, marks)
    if reading.problems:
        raise BadInput(reading.problems)
    used = {name for service in services.values() for name in service.networks}
    everywhere = [
        *networks,
        *([] if "default" in networks or "default" not in used else ["default"]),
    ]
    nameless = [
        str(mount.source)
        for service in services.values()
        for mount in service.mounts
        if mount.kind == "volume" and mount.source not in volumes
    ]
    return Stack(
        name=full.parent.name,
        file=full,
        services=services,
        networks=tuple(everywhere),
        volumes=(*volumes, *nameless),
        sandbox_refusals=tuple(str(problem) for problem in sorted(set(reading.refusals))),
        notes=_notes(reading),
    )


def _variables(folder: Path) -> dict[str, str]:
    """What ``${NAME}`` may say; a broken ``.env`` is left to those who use it."""
    values: dict[str, str] = {}
    try:
        text = ys.read_text(folder / ".env")
    except BadInput:
        pass
    else:
        values, _ = parse_env_file(text, dict(os.environ), set())
    return {**values, **os.environ}


def _notes(reading: Reading) -> tuple[str, ...]:
    notes = []
    for key, services in reading.without_effect.items():
        where = f" of {listed(services, 'and')}" if services[0] else ""
        notes.append(f"'{key}'{where} has no effect in the sandbox lab")
    notes += [
        f"{name} is not started: it belongs to the profile {quoted(profile)}"
        for name, profile in reading.left_out.items()
    ]
    notes += [
        f"the variable {name} is not set; it counts as empty" for name in sorted(reading.unset)
    ]
    return tuple(notes)


def _marks(root: ys.Mapping) -> dict[str, ys.Mapping]:
    """Service → its mapping in the file, for marks of what is checked across services."""
    services = root.get("services")
    if not isinstance(services, ys.Mapping):
        return {}
    return {e.key: e.value for e in services.entries if isinstance(e.value, ys.Mapping)}


def _services(reading: Reading, root: ys.Mapping) -> dict[str, Service]:
    table = reading.mapping(root.get("services"), "services")
    if table is None or not table.entries:
        if root.get("services") is None or table is not None:
            reading.wrong(root.mark, "the Compose file has no services")
        return {}
    wanted = [entry for entry in table.entries if _wanted(reading, entry)]
    if not wanted:
        reading.wrong(table.mark, "no service starts without a profile, and a lab asks for none")
    found = [read_service(reading, entry) for entry in wanted]
    for key in ("version", "name"):
        if root.get(key) is not None:
            reading.no_effect(key, "")
    return {service.name: service for service in found if service is not None}


def _wanted(reading: Reading, entry: ys.Entry) -> bool:
    """Whether the service starts without any profile being asked for; a lab asks for none."""
    table = entry.value if isinstance(entry.value, ys.Mapping) else None
    profiles = reading.texts(table.get("profiles"), "profiles") if table else []
    if profiles:
        reading.left_out[entry.key] = str(profiles[0])
    return not profiles


def _networks(reading: Reading, root: ys.Mapping) -> dict[str, tuple[ipaddress.IPv4Network, ...]]:
    """Declared networks → their subnets."""
    found: dict[str, tuple[ipaddress.IPv4Network, ...]] = {}
    table = reading.mapping(root.get("networks"), "networks")
    for entry in table.entries if table else ():
        what = f"network {quoted(entry.key)}"
        found[entry.key] = ()
        inner = reading.mapping(entry.value, what)
        if inner is None:
            continue
        reading.only(inner, _NETWORK, what)
        for key in _NETWORK_IDLE:
            if key != "internal" and inner.get(key) is not None:
                reading.no_effect(f"networks.{key}", "")
        ipam = reading.mapping(inner.get("ipam"), "ipam")
        if ipam is not None:
            reading.only(ipam, {"config": True, "driver": False, "options": False}, "ipam")
            found[entry.key] = _subnets(reading, ipam)
    return found


def _subnets(reading: Reading, ipam: ys.Mapping) -> tuple[ipaddress.IPv4Network, ...]:
    config = ipam.get("config")
    if config is None:
        return ()
    if not isinstance(config, ys.Sequence):
        reading.wrong(config.mark, "config of ipam must be a list, e.g. [{subnet: 198.18.0.0/24}]")
        return ()
    found = []
    for item in config.items:
        table = reading.mapping(item, "each entry of config")
        if table is None:
            continue
        keys = {"subnet": True, "gateway": True, "ip_range": False, "aux_addresses": False}
        reading.only(table, keys, "ipam config")
        node = table.get("subnet")
        text = reading.text(node, "subnet")
        if text is None or node is None:
            continue
        try:
            subnet = ipaddress.IPv4Network(text)
        except ValueError:
            reading.wrong(node.mark, f"{quoted(text)} is not a subnet such as 198.18.0.0/24")
            continue
        if not subnet.subnet_of(ipaddress.IPv4Network("198.18.0.0/15")):
            reading.refuse(
                node.mark, f"{subnet} is outside 198.18.0.0/15, the range of lab networks"
            )
        found.append(subnet)
    return tuple(found)


def _volumes(reading: Reading, root: ys.Mapping) -> tuple[str, ...]:
    table = reading.mapping(root.get("volumes"), "volumes")
    for entry in table.entries if table else ():
        inner = reading.mapping(entry.value, f"volume {quoted(entry.key)}")
        if inner is not None:
            reading.only(inner, _VOLUME, f"volume {quoted(entry.key)}")
    return table.keys() if table else ()


# ---------------------------------------------------------------- checks across services


def _mark(marks: Mapping[str, ys.Mapping], service: str, key: str) -> ys.Mark:
    table = marks[service]
    entry = table.entry(key)
    return entry.mark if entry else table.mark


def _check_dependencies(
    reading: Reading, services: Mapping[str, Service], marks: Mapping[str, ys.Mapping]
) -> None:
    for service in services.values():
        mark = _mark(marks, service.name, "depends_on")
        for other, condition in service.depends_on.items():
            if other in reading.left_out:
                reading.wrong(
                    mark,
                    f"depends_on: {quoted(other)} starts with the profile "
                    f"{quoted(reading.left_out[other])} alone, and a lab starts no profile",
                )
            elif other not in marks:
                hint = did_you_mean(other, services)
                reading.wrong(mark, f"depends_on: no service {quoted(other)}{hint}")
            elif other not in services:
                continue  # what is wrong with it has been said
            elif condition == "service_healthy" and services[other].healthcheck is None:
                # In Docker the image may bring one; here it would be waited for without end.
                reading.refuse(
                    mark,
                    f"{service.name} waits until {other} is healthy, which has no healthcheck and "
                    "so will never be",
                )
    done: set[str] = set()
    for start in services:
        circle = _circle(start, services, done)
        if circle:
            mark = _mark(marks, circle[0], "depends_on")
            reading.wrong(mark, f"services wait for each other in a circle: {' → '.join(circle)}")


def _circle(start: str, services: Mapping[str, Service], done: set[str]) -> list[str]:
    """A path from a service to itself that begins at ``start``; empty if there is none."""
    path: list[str] = []
    waiting = [(start, False)]
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            path.pop()
            done.add(name)
        elif name in path:
            circle = [*path[path.index(name) :], name]
            done.update(path)
            return circle
        elif name not in done and name in services:
            path.append(name)
            waiting.append((name, True))
            waiting += [(other, False) for other in services[name].depends_on]
    return []


def _check_networks(
    reading: Reading,
    services: Mapping[str, Service],
    networks: Mapping[str, tuple[ipaddress.IPv4Network, ...]],
    marks: Mapping[str, ys.Mapping],
) -> None:
    taken: dict[tuple[str, str], str] = {}
    for service in services.values():
        mark = _mark(marks, service.name, "networks")
        for name, address in service.networks.items():
            if name not in networks and name != "default":
                hint = did_you_mean(name, networks)
                reading.wrong(mark, f"the network {quoted(name)} is declared nowhere{hint}")
            if address is None:
                continue
            subnets = networks.get(name, ())
            if subnets and not any(ipaddress.IPv4Address(address) in s for s in subnets):
                reading.wrong(
                    mark, f"{address} is not in {subnets[0]}, the subnet of {quoted(name)}"
                )
            other = taken.setdefault((name, address), service.name)
            if other != service.name:
                reading.wrong(mark, f"{address} is the address of {quoted(other)} already")


def _check_volumes(
    reading: Reading,
    services: Mapping[str, Service],
    volumes: tuple[str, ...],
    marks: Mapping[str, ys.Mapping],
) -> None:
    for service in services.values():
        for mount in service.mounts:
            named = mount.kind == "volume" and not str(mount.source).startswith(
                f"{service.name}-volume-"
            )
            if named and mount.source not in volumes:
                hint = did_you_mean(str(mount.source), volumes)
                mark = _mark(marks, service.name, "volumes")
                reading.wrong(mark, f"the volume {quoted(mount.source)} is declared nowhere{hint}")
