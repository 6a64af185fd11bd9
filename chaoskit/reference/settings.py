"""Configuration by environment, and the times that follow from it.

Every problem is one sentence; ``python3 -m chaoskit.reference`` prints it and exits with 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from chaoskit.reference.group_defects import FRONTDOOR

__all__ = [
    "FAILBACKS",
    "BadSettings",
    "Endpoint",
    "Reader",
    "Rules",
    "Settings",
    "Timing",
    "duration_ns",
    "next_due",
]

_UNITS_NS = {"us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
FAILBACKS = ("never", "manual", "automatic")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class BadSettings(Exception):
    """The environment is wrong; ``str()`` is one sentence for a person."""


def duration_ns(text: str) -> int:
    """Nanoseconds of ``100ms``, ``1.5s`` or ``250us``. Raises ``ValueError``."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS_NS[match[2]])


def next_due(due: int, every: int, now: int) -> int:
    """The next slot of a schedule, without catching up on slots that were slept through."""
    due += every
    return due if due > now else now + every


@dataclass(frozen=True)
class Timing:
    """Everything that is waited for, in ns of CLOCK_MONOTONIC.

    A primary's lease ends before the witness's (by half a probe timeout) and before the moment
    at which the backup asks (by a whole one), counted from the same heartbeat: a primary that
    nobody hears has stopped before anybody can take over.
    """

    interval_ns: int = 100_000_000
    misses: int = 3
    timeout_ns: int = 50_000_000
    write_timeout_ns: int = 1_000_000_000
    work_ns: int = 0
    """How long a client's request takes before it is executed, like one with a query behind it."""

    @property
    def lease_ns(self) -> int:
        """How long a primary may serve on one answered heartbeat, counted from its sending."""
        return self.interval_ns * self.misses

    @property
    def witness_ns(self) -> int:
        """How long the witness gives the office to nobody else, counted from hearing."""
        return self.lease_ns + self.timeout_ns // 2

    @property
    def detect_ns(self) -> int:
        """How long a backup waits, from the last heartbeat seen, before it declares death."""
        return self.lease_ns + self.timeout_ns

    @property
    def tick_ns(self) -> int:
        """How often the state machine looks at its clock: the grain of every wait above."""
        return max(2_000_000, min(10_000_000, self.interval_ns // 10))


@dataclass(frozen=True)
class Rules:
    """What a node may do by itself, and what an operator decides."""

    approval: bool = False
    """A failover waits for an operator; a switchover by plan does not, it *is* an operator's."""
    failback: str = "never"
    """What a preferred node does once it is in sync again: one of ``FAILBACKS``."""
    failback_after_ns: int = 2_000_000_000
    """For how long it must have been in sync."""


@dataclass(frozen=True)
class Endpoint:
    """Where a peer listens. ``host`` is a name or an address."""

    host: str
    port: int


@dataclass(frozen=True)
class Settings:
    """What one process was told. ``peer`` and ``witness`` are None for the witness itself."""

    node: str
    bind: str = "0.0.0.0"  # noqa: S104 - a service of a lab: reachable there, and nowhere else
    port: int = 8080
    peer: Endpoint | None = None
    witness: Endpoint | None = None
    preferred: bool = False
    timing: Timing = Timing()
    rules: Rules = Rules()
    defect: str | None = None
    state_file: str | None = None
    data: str | None = None
    """Folder of a data node in which every write is logged and synced; None: memory only."""
    disk_patience_ns: int = 300_000_000
    """After so long without a sync a node takes part in nothing until its disk is back."""

    @staticmethod
    def of_node(environment: Mapping[str, str]) -> Settings:
        """Settings of a data node. Raises ``BadSettings``."""
        env = Reader(environment)
        return Settings(
            node=env.name("CHAOSKIT_NODE"),
            bind=env.text("CHAOSKIT_BIND", "0.0.0.0"),  # noqa: S104 - as above
            port=env.port("CHAOSKIT_PORT"),
            peer=env.endpoint("CHAOSKIT_PEER"),
            witness=env.endpoint("CHAOSKIT_WITNESS"),
            preferred=env.flag("CHAOSKIT_PREFERRED"),
            timing=env.timing(),
            rules=env.rules(),
            defect=env.defect(),
            data=environment.get("CHAOSKIT_DATA") or None,
            disk_patience_ns=env.duration("CHAOSKIT_DISK_PATIENCE", "300ms"),
        )

    @staticmethod
    def of_witness(environment: Mapping[str, str]) -> Settings:
        """Settings of the witness. Raises ``BadSettings``."""
        env = Reader(environment)
        return Settings(
            node=env.name("CHAOSKIT_NODE", "witness"),
            bind=env.text("CHAOSKIT_BIND", "0.0.0.0"),  # noqa: S104 - as above
            port=env.port("CHAOSKIT_PORT"),
            timing=env.timing(),
            defect=env.defect(),
            state_file=environment.get("CHAOSKIT_STATE") or None,
        )


class Reader:
    """Reads typed values out of an environment, with one sentence for each way to be wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._env = environment

    def text(self, key: str, default: str | None = None) -> str:
        """A text; raises ``BadSettings`` like all others."""
        value = self._env.get(key, "").strip() or default
        if value is None:
            raise BadSettings(f"{key} is not set; it has no default")
        return value

    def name(self, key: str, default: str | None = None) -> str:
        """A name of a node."""
        value = self.text(key, default)
        if not _NAME.fullmatch(value):
            raise BadSettings(f"{key}={value!r} is not a node name (letters, digits, . _ -)")
        return value

    def port(self, key: str) -> int:
        """A port number."""
        value = self.text(key, "8080")
        if not value.isdigit() or not 0 <= int(value) < 65536:
            raise BadSettings(f"{key}={value!r} is not a port number")
        return int(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.text(key, "false").lower()
        if value not in {"true", "false"}:
            raise BadSettings(f"{key}={value!r} must be true or false")
        return value == "true"

    def endpoint(self, key: str) -> Endpoint:
        """Where somebody listens."""
        value = self.text(key)
        parts = urlsplit(value)
        try:
            port = parts.port or 8080
        except ValueError:
            port = 0
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise BadSettings(f"{key}={value!r} is not of the form http://name:8080")
        return Endpoint(parts.hostname, port)

    def duration(self, key: str, default: str) -> int:
        """Nanoseconds."""
        value = self.text(key, default)
        try:
            return duration_ns(value)
        except ValueError:
            raise BadSettings(f"{key}={value!r} is not a duration such as 100ms or 1.5s") from None

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        """One of a few words; the first if none is said."""
        value = self.text(key, words[0])
        if value not in words:
            raise BadSettings(f"{key}={value!r} must be one of {', '.join(words)}")
        return value

    def defect(self) -> str | None:
        """The planted flaw; whether a node knows it, says who picks the state machine."""
        name = self._env.get("CHAOSKIT_DEFECT") or None
        if name and name.startswith(FRONTDOOR) and not self._env.get("CHAOSKIT_FRONTDOOR"):
            raise BadSettings(
                f"CHAOSKIT_DEFECT={name!r} is a flaw of a front door, and this stack has none"
                " (CHAOSKIT_FRONTDOOR is not set); it would find nothing wrong"
            )
        return name

    def rules(self) -> Rules:
        """What operators decide."""
        return Rules(
            self.choice("CHAOSKIT_FAILOVER", ("automatic", "approval")) == "approval",
            self.choice("CHAOSKIT_FAILBACK", FAILBACKS),
            self.duration("CHAOSKIT_FAILBACK_AFTER", "2s"),
        )

    def timing(self) -> Timing:
        """The times of a detector."""
        misses = self.text("CHAOSKIT_MISSES", "3")
        if not misses.isdigit() or not 2 <= int(misses) <= 1000:
            raise BadSettings(f"CHAOSKIT_MISSES={misses!r} must be a whole number from 2 to 1000")
        interval = self.duration("CHAOSKIT_INTERVAL", "100ms")
        timeout = self.duration("CHAOSKIT_PROBE_TIMEOUT", "50ms")
        if interval < 10_000_000:
            raise BadSettings("CHAOSKIT_INTERVAL must be at least 10ms")
        if not 2_000_000 <= timeout <= interval:
            raise BadSettings("CHAOSKIT_PROBE_TIMEOUT must lie between 2ms and CHAOSKIT_INTERVAL")
        write = self.duration("CHAOSKIT_WRITE_TIMEOUT", "1s")
        work = self.duration("CHAOSKIT_WORK", "0ms")
        if work >= write:
            raise BadSettings("CHAOSKIT_WORK must be less than CHAOSKIT_WRITE_TIMEOUT")
        return Timing(interval, int(misses), timeout, write, work)
