"""The texts that labels may have, parsed: each function raises ``LabelError`` with a phrase."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.units import UnitError, parse_duration, parse_size
from chaoskit.wording import did_you_mean, quoted

__all__ = [
    "ROLES",
    "DetectorWords",
    "DiskWords",
    "LabelError",
    "Link",
    "Url",
    "a_clock",
    "a_detector",
    "a_disk",
    "a_flag",
    "a_link",
    "a_number_of_shards",
    "a_place",
    "a_role",
    "an_http_place",
    "clock_problem",
    "retries",
    "role_table",
    "spread",
]

ROLES = ("primary", "backup", "witness", "frontdoor", "client")
SMALLEST_DISK, LARGEST_DISK = 16 << 20, 1 << 30
LONGEST_RETRIES = 120
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
    """``chaoskit.detector`` as declared: a kind and its numbers (seconds, counts).

    Of a range the upper end stands under the key, the lower one under ``<key>-least``.
    """

    kind: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Link:
    """A connection through this service's Toxiproxy; ``listen``: the proxy's port, if declared."""

    service: str
    port: int
    listen: int | None = None


@dataclass(frozen=True)
class DiskWords:
    """``chaoskit.disk`` as declared: a folder of the node that is a disk, and its size in bytes."""

    path: str
    size: int


class LabelError(ValueError):
    """What is wrong with a label's text, as a phrase."""


def a_place(text: str) -> Url:
    """A place on a node: scheme, port, path. Raises ``LabelError``."""
    found = _URL.fullmatch(text.strip())
    if found is None:
        raise LabelError(f"{quoted(text)} is not a place; write e.g. http://:8080/role")
    scheme, place, path = found.groups()
    if "@" in place:
        raise LabelError("a name or password must not stand in a label; use the environment")
    host, colon, digits = place.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", digits) or not 0 < int(digits) < 65536:
        raise LabelError(f"{quoted(text)} needs a port from 1 to 65535, e.g. {scheme}://:8080")
    if host:
        try:
            inside = ipaddress.IPv4Address(host) in _LAB_RANGE
        except ValueError:
            inside = False
        if not inside:
            raise LabelError(
                f"leave {quoted(host)} out: the node's own address is filled in; only a fixed "
                f"address inside {_LAB_RANGE} can stand there"
            )
    return Url(scheme, int(digits), path, host)


def an_http_place(text: str) -> Url:
    """The same for operators, who are asked in one way only (docs/stacks.md)."""
    found = a_place(text)
    if found.scheme != "http":
        raise LabelError(f"operators speak http, not {quoted(found.scheme)}")
    return found


def a_role(text: str) -> str:
    """One of ``ROLES``. Raises ``LabelError``."""
    if text not in ROLES:
        raise LabelError(f"unknown role {quoted(text)}{did_you_mean(text, ROLES)}")
    return text


def a_clock(text: str) -> str:
    """How the service's clock can be shifted. Raises ``LabelError``."""
    if text != "faketime":
        raise LabelError(f"{quoted(text)} is no way to shift a clock; write faketime")
    return text


def clock_problem(environment: Mapping[str, str]) -> str | None:
    """What a service that says ``faketime`` lacks in its environment, as a phrase."""
    if "libfaketime" not in environment.get("LD_PRELOAD", ""):
        return (
            "the service needs LD_PRELOAD with the path of libfaketime.so.1 in its environment, "
            "e.g. /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
        )
    file = environment.get("FAKETIME_TIMESTAMP_FILE", "")
    if not re.fullmatch(r"(/[A-Za-z0-9_.@:-]+)+", file) or {".", ".."} & set(file.split("/")):
        return (
            "the service needs FAKETIME_TIMESTAMP_FILE in its environment, a path of its own that "
            "starts with / and has only letters, digits and _ . @ : - in it, e.g. /tmp/faketime"
        )
    if "FAKETIME" in environment:
        return "FAKETIME in its environment would make libfaketime read no file; leave it out"
    for name in ("FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"):
        if environment.get(name) != "1":
            return f'the service needs {name}: "1" in its environment'
    return None


def role_table(text: str) -> dict[str, str]:
    """A probe's words for roles. Raises ``LabelError``."""
    words: dict[str, str] = {}
    for part in re.split(r"[,\s]+", text.strip()):
        word, equals, role = part.partition("=")
        if not equals or not word:
            raise LabelError(
                f"{quoted(text)} is not a word list; write e.g. leader=primary,replica=backup"
            )
        if word in words:
            raise LabelError(f"the word {quoted(word)} is there twice")
        words[word] = a_role(role)
    return words


_COUNTS = frozenset({"misses", "priority"})
_RANGES = frozenset({"reroute"})
_KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # the keys that a kind needs, and those that it may have
    "heartbeat": (
        frozenset({"interval"}),
        frozenset({"misses", "timeout", "promotion", "reroute"}),
    ),
    "vrrp": (frozenset({"interval"}), frozenset({"misses", "priority", "promotion", "reroute"})),
    "lease": (frozenset({"ttl", "interval"}), frozenset({"promotion", "reroute"})),
    "sentinel": (frozenset({"down-after"}), frozenset({"interval", "reroute"})),
}


def a_detector(text: str) -> DetectorWords:
    """A failure detector, as declared. Raises ``LabelError``."""
    words: dict[str, str] = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise LabelError(f"{quoted(part)} is not key=value; write e.g. interval=100ms misses=3")
        if key in words:
            raise LabelError(f"{quoted(key)} is there twice")
        words[key] = value
    kind = words.pop("kind", "heartbeat")
    if kind not in _KINDS:
        raise LabelError(f"unknown kind {quoted(kind)}{did_you_mean(kind, _KINDS)}")
    required, optional = _KINDS[kind]
    for key in words:
        if key not in required | optional:
            raise LabelError(
                f"unknown key {quoted(key)} for kind={kind}{did_you_mean(key, required | optional)}"
            )
    missing = sorted(required - words.keys())
    if missing:
        raise LabelError(f"{missing[0]}= is missing, e.g. {missing[0]}=1s")
    values = {key: _quantity(key, value) for key, value in words.items() if key not in _RANGES}
    for key in _RANGES & words.keys():
        values[f"{key}-least"], values[key] = _range(key, words[key])
    values.setdefault("interval", 1.0)  # Redis pings once a second; all other kinds require it
    return DetectorWords(kind, values)


def _quantity(key: str, value: str) -> float:
    if key in _COUNTS:
        if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) == 0:
            raise LabelError(f"{key}= wants a whole number from 1 on, not {quoted(value)}")
        return int(value)
    try:
        seconds = parse_duration(value)
    except UnitError as error:
        raise LabelError(f"{key}=: {error}") from None
    if seconds == 0 and key in ("interval", "ttl", "down-after"):
        raise LabelError(f"{key}= must be longer than 0")
    return seconds


def _range(key: str, value: str) -> tuple[float, float]:
    """``50ms`` or ``0s-150ms``: the least and the most that it can be."""
    least, dash, most = value.partition("-")
    ends = _quantity(key, least), _quantity(key, most if dash else least)
    if ends[1] < ends[0]:
        raise LabelError(f"{key}= ends before it begins: {quoted(value)}")
    return ends


def a_flag(text: str) -> bool:
    """True or false. Raises ``LabelError``."""
    if text not in ("true", "false"):
        raise LabelError(f"write true or false, not {quoted(text)}")
    return text == "true"


def spread(text: str) -> str:
    """How clients share their requests out. Raises ``LabelError``."""
    if text != "spread":
        raise LabelError(f"write spread, not {quoted(text)}, or leave the label out")
    return text


def a_number_of_shards(text: str) -> int:
    """How many parts the workload has. Raises ``LabelError``."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 < int(text) <= 1000:
        raise LabelError(f"{quoted(text)} is not a number of shards; write 2 to 1000")
    return int(text)


def retries(text: str) -> str:
    """What a service tries again by itself, in words or a number. Raises ``LabelError``."""
    if not text.strip() or len(text) > LONGEST_RETRIES or not text.isprintable():
        raise LabelError(
            f"say in at most {LONGEST_RETRIES} characters what is tried again, and when"
        )
    return text.strip()


def a_disk(text: str) -> DiskWords:
    """A folder that is a disk of the node's own, and how large. Raises ``LabelError``."""
    words = text.split()
    if len(words) != 2 or not words[0].startswith("/"):
        raise LabelError(f"{quoted(text)} is not a disk; write path and size, e.g. /data 64m")
    path = words[0].rstrip("/")
    try:
        size = parse_size(words[1])
    except UnitError as error:
        raise LabelError(str(error)) from None
    if not path or ".." in path.split("/") or ":" in path:
        raise LabelError(f"{quoted(words[0])} must be an absolute path in the node, and not '/'")
    if not SMALLEST_DISK <= size <= LARGEST_DISK:
        raise LabelError(f"{quoted(text)}: a disk lives in memory; its size is 16m to 1g")
    return DiskWords(path, size // 4096 * 4096)


def a_link(text: str) -> Link:
    """Where a link leads, and where its proxy listens. Raises ``LabelError``."""
    found = re.fullmatch(
        r"(?:to:\s*)?([A-Za-z0-9._-]+):([0-9]{1,5})(?:\s+listen:\s*([0-9]{1,5}))?", text.strip()
    )
    ports = [int(digits) for digits in found.groups()[1:] if digits] if found else [0]
    if found is None or not all(0 < port < 65536 for port in ports):
        raise LabelError(f"{quoted(text)} is not a link; write to: service:port, e.g. to: db:5432")
    return Link(found[1], ports[0], ports[1] if len(ports) > 1 else None)
