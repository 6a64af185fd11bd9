"""What a service's labels say about failover, typed. ``docs/stacks.md`` is the grammar.

The functions raise ``BadInput`` where a label cannot be read; ``check_labels`` finds every such
label of a stack at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from chaoskit import registry
from chaoskit.errors import BadInput, Problem
from chaoskit.stack.model import Detector, Service, Stack
from chaoskit.units import UnitError, parse_duration
from chaoskit.wording import did_you_mean, listed, quoted
from chaoskit.yaml_source import Text

__all__ = [
    "KNOWN",
    "ROLES",
    "DetectorWords",
    "Url",
    "check_labels",
    "clients",
    "detector",
    "detector_words",
    "endpoint",
    "health_probe",
    "holds_data",
    "is_target",
    "links",
    "port",
    "port_of",
    "role_probe",
    "role_words",
    "shard_count",
]

ROLES = ("primary", "backup", "witness", "frontdoor", "client")

KNOWN: Mapping[str, str] = {
    "chaoskit.role": "the service's role: " + listed(ROLES),
    "chaoskit.role.words": "the probe's words for roles, e.g. leader=primary,replica=backup",
    "chaoskit.probe.role": "where to ask for the role, e.g. http://:8080/role",
    "chaoskit.probe.health": "where to ask for health, e.g. http://:8080/health",
    "chaoskit.endpoint": "where clients connect, e.g. http://:8080",
    "chaoskit.detector": "declared constants, e.g. interval=100ms misses=3 promotion=50ms",
    "chaoskit.data": "true or false: is a final read owed from this service",
    "chaoskit.clients": "spread: requests are shared out among all services that say so",
    "chaoskit.shards": "how many parts the workload has, each with an owner of its own, e.g. 6",
    "chaoskit.target": "true or false: may a lab that somebody else started touch it",
}
"""Every label that the code reads → what it says; ``chaoskit.link.<name>`` comes on top."""

LINK = "chaoskit.link."
# What the labs write on what they create, for their own search; not for the file.
_RESERVED = frozenset({"chaoskit.run", "chaoskit.owner"})
_LAB_RANGE = ipaddress.ip_network("198.18.0.0/15")
_URL = re.compile(r"([a-z][a-z0-9+.-]{0,20})://([^/?#\s]*)((?:/[!-~]*)?)")


@dataclass(frozen=True)
class Url:
    """A place on a node: scheme, port and path; the address is filled in when it is known."""

    scheme: str
    port: int
    path: str = ""
    host: str = ""  # a fixed address, e.g. a virtual one that moves; empty: the node's own

    def at(self, address: str) -> str:
        """The whole URL, with ``address`` where the label names no fixed one."""
        return f"{self.scheme}://{self.host or address}:{self.port}{self.path}"

    def __str__(self) -> str:
        return self.at("")


@dataclass(frozen=True)
class DetectorWords:
    """``chaoskit.detector`` as declared: a kind and its numbers (seconds, counts)."""

    kind: str
    values: Mapping[str, float]


T = TypeVar("T")


class _LabelError(ValueError):
    """What is wrong with a label's text, as a phrase."""


# ---------------------------------------------------------------- typed access


def endpoint(service: Service) -> Url | None:
    """What clients talk to on this service; None where they do not."""
    return _read(service, "chaoskit.endpoint", _url)


def role_probe(service: Service) -> Url | None:
    """Where to ask the service for its role."""
    return _read(service, "chaoskit.probe.role", _url)


def health_probe(service: Service) -> Url | None:
    """Where to ask the service whether it is healthy."""
    return _read(service, "chaoskit.probe.health", _url)


def role_words(service: Service) -> dict[str, str]:
    """The probe's own words → our roles; empty where it speaks ours."""
    return _read(service, "chaoskit.role.words", _words) or {}


def detector_words(service: Service) -> DetectorWords | None:
    """The failure detector as declared, whatever its kind."""
    return _read(service, "chaoskit.detector", _detector)


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
    return _read(service, "chaoskit.clients", _clients)


def shard_count(service: Service) -> int:
    """How many shards the workload has; 0 where it is not said."""
    return _read(service, "chaoskit.shards", _shards) or 0


def holds_data(service: Service) -> bool:
    """Whether a final read is owed from it; by default from every primary and backup."""
    said = _read(service, "chaoskit.data", _yes_or_no)
    return service.role() in ("primary", "backup") if said is None else said


def is_target(service: Service) -> bool:
    """Whether a lab that somebody else started may touch it."""
    return _read(service, "chaoskit.target", _yes_or_no) or False


def links(service: Service) -> dict[str, tuple[str, int]]:
    """Declared links: name → the service and port at the other end."""
    names = [name for name in service.labels if name.startswith(LINK)]
    return {
        name.removeprefix(LINK): found for name in names if (found := _read(service, name, _to))
    }


def port(service: Service) -> int | None:
    """The port it listens on, as far as labels say: the endpoint's, else the role probe's."""
    return port_of(service.labels)


def port_of(labels: Mapping[str, str]) -> int | None:
    """The same from labels alone; None too where those cannot be read."""
    for name in ("chaoskit.endpoint", "chaoskit.probe.role", "chaoskit.probe.health"):
        if name in labels:
            try:
                return _url(labels[name]).port
            except _LabelError:
                continue
    return None


def _read(service: Service, name: str, parse: Callable[[str], T]) -> T | None:
    text = service.labels.get(name)
    if text is None:
        return None
    try:
        return parse(text)
    except _LabelError as error:
        raise BadInput([_problem("", service, name, str(error))]) from None


def _problem(file: str, service: Service, name: str, phrase: str) -> Problem:
    value = service.labels.get(name)
    sentence = f"{name} of {service.name}: {phrase}"
    if isinstance(value, Text):
        return value.mark.problem(sentence)
    return Problem(file or f"service {service.name}", max(service.line, 1), 1, sentence)


# ---------------------------------------------------------------- parsers


def _url(text: str) -> Url:
    found = _URL.fullmatch(text.strip())
    if found is None:
        raise _LabelError(f"{quoted(text)} is not a place; write e.g. http://:8080/role")
    scheme, place, path = found.groups()
    if "@" in place:
        raise _LabelError("a name or password must not stand in a label; use the environment")
    host, colon, digits = place.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", digits) or not 0 < int(digits) < 65536:
        raise _LabelError(f"{quoted(text)} needs a port from 1 to 65535, e.g. {scheme}://:8080")
    if host:
        try:
            inside = ipaddress.IPv4Address(host) in _LAB_RANGE
        except ValueError:
            inside = False
        if not inside:
            raise _LabelError(
                f"leave {quoted(host)} out: the node's own address is filled in; only a fixed "
                f"address inside {_LAB_RANGE} can stand there"
            )
    return Url(scheme, int(digits), path, host)


def _role(text: str) -> str:
    if text not in ROLES:
        raise _LabelError(f"unknown role {quoted(text)}{did_you_mean(text, ROLES)}")
    return text


def _words(text: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for part in re.split(r"[,\s]+", text.strip()):
        word, equals, role = part.partition("=")
        if not equals or not word:
            raise _LabelError(
                f"{quoted(text)} is not a word list; write e.g. leader=primary,replica=backup"
            )
        if word in words:
            raise _LabelError(f"the word {quoted(word)} is there twice")
        words[word] = _role(role)
    return words


_COUNTS = frozenset({"misses", "priority"})
_KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # the keys that a kind needs, and those that it may have
    "heartbeat": (frozenset({"interval"}), frozenset({"misses", "timeout", "promotion"})),
    "vrrp": (frozenset({"interval"}), frozenset({"misses", "priority", "promotion"})),
    "lease": (frozenset({"ttl", "interval"}), frozenset({"promotion"})),
    "sentinel": (frozenset({"down-after"}), frozenset({"interval"})),
}


def _detector(text: str) -> DetectorWords:
    words: dict[str, str] = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise _LabelError(
                f"{quoted(part)} is not key=value; write e.g. interval=100ms misses=3"
            )
        if key in words:
            raise _LabelError(f"{quoted(key)} is there twice")
        words[key] = value
    kind = words.pop("kind", "heartbeat")
    if kind not in _KINDS:
        raise _LabelError(f"unknown kind {quoted(kind)}{did_you_mean(kind, _KINDS)}")
    required, optional = _KINDS[kind]
    for key in words:
        if key not in required | optional:
            raise _LabelError(
                f"unknown key {quoted(key)} for kind={kind}{did_you_mean(key, required | optional)}"
            )
    missing = sorted(required - words.keys())
    if missing:
        raise _LabelError(f"{missing[0]}= is missing, e.g. {missing[0]}=1s")
    values = {key: _quantity(key, value) for key, value in words.items()}
    values.setdefault("interval", 1.0)  # Redis pings once a second; all other kinds require it
    return DetectorWords(kind, values)


def _quantity(key: str, value: str) -> float:
    if key in _COUNTS:
        if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) == 0:
            raise _LabelError(f"{key}= wants a whole number from 1 on, not {quoted(value)}")
        return int(value)
    try:
        seconds = parse_duration(value)
    except UnitError as error:
        raise _LabelError(f"{key}=: {error}") from None
    if seconds == 0 and key in ("interval", "ttl", "down-after"):
        raise _LabelError(f"{key}= must be longer than 0")
    return seconds


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise _LabelError(f"write true or false, not {quoted(text)}")
    return text == "true"


def _clients(text: str) -> str:
    if text != "spread":
        raise _LabelError(f"write spread, not {quoted(text)}, or leave the label out")
    return text


def _shards(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 < int(text) <= 1000:
        raise _LabelError(f"{quoted(text)} is not a number of shards; write 2 to 1000")
    return int(text)


def _to(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:to:\s*)?([A-Za-z0-9._-]+):([0-9]{1,5})", text.strip())
    if found is None or not 0 < int(found[2]) < 65536:
        raise _LabelError(f"{quoted(text)} is not a link; write to: service:port, e.g. to: db:5432")
    return found[1], int(found[2])


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "chaoskit.role": _role,
    "chaoskit.role.words": _words,
    "chaoskit.probe.role": _url,
    "chaoskit.probe.health": _url,
    "chaoskit.endpoint": _url,
    "chaoskit.detector": _detector,
    "chaoskit.data": _yes_or_no,
    "chaoskit.target": _yes_or_no,
    "chaoskit.clients": _clients,
    "chaoskit.shards": _shards,
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
                scheme = _url(text).scheme
                if scheme not in schemes:
                    hint = did_you_mean(scheme, schemes)
                    phrase = f"no probe speaks {quoted(scheme)}{hint}"
            if phrase is not None:
                problems.append(_problem(str(stack.file), service, name, phrase))
    return problems


def _check_one(  # noqa: PLR0911 - one answer per rule
    stack: Stack, service: Service, name: str, text: str
) -> str | None:
    """What is wrong with one label; None if nothing is."""
    if name.startswith(LINK):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name.removeprefix(LINK)):
            return "a link's name is made of small letters, digits and dashes"
        parser: Callable[[str], object] = _to
    elif name in _RESERVED:
        return "the labs write this label themselves; remove it"
    elif name in _PARSERS:
        parser = _PARSERS[name]
    else:
        return f"unknown label{did_you_mean(name, [*KNOWN, LINK + '<name>'])}"
    try:
        found = parser(text)
    except _LabelError as error:
        return str(error)
    if name.startswith(LINK) and isinstance(found, tuple) and found[0] not in stack.services:
        return f"no service {quoted(found[0])}{did_you_mean(found[0], stack.services)}"
    if name == "chaoskit.role.words" and "chaoskit.probe.role" not in service.labels:
        return "words for roles need chaoskit.probe.role, which would speak them"
    return None
