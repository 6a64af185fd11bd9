"""What a service's labels say about failover, typed. ``docs/stacks.md`` is the grammar.

The functions raise ``BadInput`` where a label cannot be read; ``check_labels`` finds every such
label of a stack at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from chaoskit import registry
from chaoskit.errors import BadInput, Problem
from chaoskit.stack.label_words import (
    ROLES,
    DetectorWords,
    DiskWords,
    LabelError,
    Link,
    Url,
    a_clock,
    a_detector,
    a_disk,
    a_flag,
    a_link,
    a_number_of_shards,
    a_place,
    a_role,
    an_http_place,
    clock_problem,
    retries,
    role_table,
    spread,
)
from chaoskit.stack.model import Detector, Service, Stack
from chaoskit.wording import did_you_mean, listed, quoted
from chaoskit.yaml_source import Text

__all__ = [
    "KNOWN",
    "OPERATOR",
    "ROLES",
    "SWITCHOVER",
    "DetectorWords",
    "DiskWords",
    "Link",
    "Url",
    "check_labels",
    "clients",
    "detector",
    "detector_words",
    "disk",
    "endpoint",
    "events_probe",
    "health_probe",
    "holds_data",
    "is_target",
    "links",
    "place_of",
    "port",
    "port_of",
    "retried",
    "role_probe",
    "role_words",
    "shard_count",
    "toxiproxy",
]


KNOWN: Mapping[str, str] = {
    "chaoskit.role": "the service's role: " + listed(ROLES),
    "chaoskit.role.words": "the probe's words for roles, e.g. leader=primary,replica=backup",
    "chaoskit.probe.role": "where to ask for the role, e.g. http://:8080/role",
    "chaoskit.probe.health": "where to ask for health, e.g. http://:8080/health",
    "chaoskit.probe.events": "what the node saw and decided, e.g. http://:8080/events",
    "chaoskit.endpoint": "where clients connect, e.g. http://:8080",
    "chaoskit.operator": "where pending failovers are seen and decided, e.g. http://:8080/failover",
    "chaoskit.operator.switchover": "where a switchover is asked for, e.g. http://:8080/switchover",
    "chaoskit.detector": "declared constants, e.g. interval=100ms misses=3 promotion=50ms",
    "chaoskit.data": "true or false: is a final read owed from this service",
    "chaoskit.clients": "spread: requests are shared out among all services that say so",
    "chaoskit.shards": "how many parts the workload has, each with an owner of its own, e.g. 6",
    "chaoskit.retries": "what the service tries again by itself, e.g. connects twice, any server",
    "chaoskit.clock": "faketime: the service is started with libfaketime (chaoskit explain clock)",
    "chaoskit.disk": "a folder that is a disk of the node's own, and its size, e.g. /data 64m",
    "chaoskit.target": "true or false: may a lab that somebody else started touch it",
    "chaoskit.toxiproxy": "this service is a Toxiproxy; where its API is, e.g. http://:8474",
}
"""Every label that the code reads → what it says; ``chaoskit.link.<name>`` comes on top."""

OPERATOR = "chaoskit.operator"
SWITCHOVER = "chaoskit.operator.switchover"
LINK = "chaoskit.link."
# What the labs write on what they create, for their own search; not for the file.
_RESERVED = frozenset({"chaoskit.run", "chaoskit.owner"})


T = TypeVar("T")


# ---------------------------------------------------------------- typed access


def endpoint(service: Service) -> Url | None:
    """What clients talk to on this service; None where they do not."""
    return _read(service, "chaoskit.endpoint", a_place)


def role_probe(service: Service) -> Url | None:
    """Where to ask the service for its role."""
    return _read(service, "chaoskit.probe.role", a_place)


def health_probe(service: Service) -> Url | None:
    """Where to ask the service whether it is healthy."""
    return _read(service, "chaoskit.probe.health", a_place)


def events_probe(service: Service) -> Url | None:
    """Where the service tells what it saw and decided."""
    return _read(service, "chaoskit.probe.events", a_place)


def role_words(service: Service) -> dict[str, str]:
    """The probe's own words → our roles; empty where it speaks ours."""
    return _read(service, "chaoskit.role.words", role_table) or {}


def detector_words(service: Service) -> DetectorWords | None:
    """The failure detector as declared, whatever its kind."""
    return _read(service, "chaoskit.detector", a_detector)


def detector(service: Service) -> Detector | None:
    """The declared detector; ``interval_s`` is the period of its heartbeat, whatever its kind.

    ``chaoskit.stack.band`` turns the declaration into the failover time to expect.
    """
    found = detector_words(service)
    if found is None:
        return None
    values = found.values
    return Detector(
        interval_s=values["interval"],
        misses=int(values.get("misses", 1)),
        timeout_s=values.get("timeout", 0.0),
        promotion_s=values.get("promotion", 0.0),
    )


def clients(service: Service) -> str | None:
    """``spread`` where requests are shared out; None: one service at a time is asked."""
    return _read(service, "chaoskit.clients", spread)


def retried(service: Service) -> str | None:
    """What it says that it tries again by itself, so that clients do not see it; None: nothing."""
    return _read(service, "chaoskit.retries", retries)


def shard_count(service: Service) -> int:
    """How many shards the workload has; 0 where it is not said."""
    return _read(service, "chaoskit.shards", a_number_of_shards) or 0


def holds_data(service: Service) -> bool:
    """Whether a final read is owed from it; by default from every primary and backup."""
    said = _read(service, "chaoskit.data", a_flag)
    return service.role() in ("primary", "backup") if said is None else said


def disk(service: Service) -> DiskWords | None:
    """The disk of its own that it asks for; None where its files lie where all files lie."""
    return _read(service, "chaoskit.disk", a_disk)


def is_target(service: Service) -> bool:
    """Whether a lab that somebody else started may touch it."""
    return _read(service, "chaoskit.target", a_flag) or False


def toxiproxy(service: Service) -> Url | None:
    """Where the API of the Toxiproxy is that this service runs; None if it is none."""
    return _read(service, "chaoskit.toxiproxy", a_place)


def links(service: Service) -> dict[str, Link]:
    """Declared links: name of the proxy → where it leads."""
    names = [name for name in service.labels if name.startswith(LINK)]
    return {
        name.removeprefix(LINK): found for name in names if (found := _read(service, name, a_link))
    }


def place_of(labels: Mapping[str, str], name: str, address: str) -> str | None:
    """The URL that a label of a node names, with its address; None where it has no such label."""
    return a_place(labels[name]).at(address) if name in labels else None


def port(service: Service) -> int | None:
    """The port it listens on, as far as labels say: the endpoint's, else the role probe's."""
    return port_of(service.labels)


def port_of(labels: Mapping[str, str]) -> int | None:
    """The same from labels alone; None too where those cannot be read."""
    for name in ("chaoskit.endpoint", "chaoskit.probe.role", "chaoskit.probe.health"):
        if name in labels:
            try:
                return a_place(labels[name]).port
            except LabelError:
                continue
    return None


def _read(service: Service, name: str, parse: Callable[[str], T]) -> T | None:
    text = service.labels.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except LabelError as error:
        raise BadInput([_problem("", service, name, str(error))]) from None


def _problem(file: str, service: Service, name: str, phrase: str) -> Problem:
    value = service.labels.get(name)
    sentence = f"{name} of {service.name}: {phrase}"
    if isinstance(value, Text):
        return value.mark.problem(sentence)
    return Problem(file or f"service {service.name}", max(service.line, 1), 1, sentence)


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "chaoskit.role": a_role,
    "chaoskit.role.words": role_table,
    "chaoskit.probe.role": a_place,
    "chaoskit.probe.health": a_place,
    "chaoskit.probe.events": a_place,
    "chaoskit.endpoint": a_place,
    "chaoskit.operator": an_http_place,
    "chaoskit.operator.switchover": an_http_place,
    "chaoskit.detector": a_detector,
    "chaoskit.data": a_flag,
    "chaoskit.clock": a_clock,
    "chaoskit.target": a_flag,
    "chaoskit.disk": a_disk,
    "chaoskit.toxiproxy": a_place,
    "chaoskit.clients": spread,
    "chaoskit.shards": a_number_of_shards,
    "chaoskit.retries": retries,
}

# ---------------------------------------------------------------- checking a whole stack


def check_labels(stack: Stack) -> list[Problem]:
    """Every label that is unknown or cannot be read, each with its place. Starts nothing."""
    problems: list[Problem] = []
    schemes: tuple[str, ...] | None = None
    for service in stack.services.values():
        for name, text in service.labels.items():
            if not name.startswith("chaoskit"):
                continue
            phrase = _check_one(stack, service, name, text)
            if phrase is None and name.startswith("chaoskit.probe."):
                schemes = schemes or tuple(registry.names("chaoskit.probes"))
                scheme = a_place(text).scheme
                if name == "chaoskit.probe.events" and scheme != "http":
                    phrase = f"events are told over http, not {quoted(scheme)}"
                elif scheme not in schemes:
                    hint = did_you_mean(scheme, schemes)
                    phrase = f"no probe speaks {quoted(scheme)}{hint}"
            if phrase is not None:
                problems.append(_problem(str(stack.file), service, name, phrase))
    return problems


def _check_link(stack: Stack, service: Service, link: Link) -> str | None:
    if link.service not in stack.services:
        return f"no service {quoted(link.service)}{did_you_mean(link.service, stack.services)}"
    if "chaoskit.toxiproxy" not in service.labels:
        return (
            "a link is declared on the service that runs the Toxiproxy, with "
            "chaoskit.toxiproxy: http://:8474"
        )
    return None


def _check_disk(service: Service, asked: DiskWords) -> str | None:
    for mount in service.mounts:
        place = mount.target.rstrip("/")
        if place == asked.path and mount.kind == "bind":
            return f"{place} is a folder of this machine already, by 'volumes'"
        if place != asked.path and f"{place}/".startswith(f"{asked.path}/"):
            return f"{place} is mounted below it, by 'volumes' or 'tmpfs'"
    return None


def _check_one(  # noqa: PLR0911 - one answer per rule
    stack: Stack, service: Service, name: str, text: str
) -> str | None:
    """What is wrong with one label; None if nothing is."""
    if name.startswith(LINK):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name.removeprefix(LINK)):
            return "a link's name is made of small letters, digits and dashes"
        parser: Callable[[str], object] = a_link
    elif name in _RESERVED:
        return "the labs write this label themselves; remove it"
    elif name in _PARSERS:
        parser = _PARSERS[name]
    else:
        return f"unknown label{did_you_mean(name, [*KNOWN, LINK + '<name>'])}"
    try:
        found = parser(text)
    except LabelError as error:
        return str(error)
    if isinstance(found, DiskWords):
        return _check_disk(service, found)
    if isinstance(found, Link):
        return _check_link(stack, service, found)
    if name == "chaoskit.clock":
        return clock_problem(service.environment)
    if name == "chaoskit.role.words" and "chaoskit.probe.role" not in service.labels:
        return "words for roles need chaoskit.probe.role, which would speak them"
    return None
