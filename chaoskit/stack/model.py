"""The system under test: a Compose file, parsed. Nothing of our own invention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Detector", "Healthcheck", "Mount", "Service", "Stack"]


@dataclass(frozen=True)
class Healthcheck:
    """``test`` is an argument list to run inside the node; exit status 0 means healthy."""

    test: tuple[str, ...]
    interval_s: float = 1.0
    timeout_s: float = 5.0
    retries: int = 3
    start_period_s: float = 0.0


@dataclass(frozen=True)
class Mount:
    """``source`` is an absolute host path for a bind, a name for a volume, None for tmpfs."""

    target: str
    source: str | None = None
    kind: str = "bind"  # bind, volume, tmpfs
    read_only: bool = False
    size: int = 0  # of a tmpfs, in bytes; 0: no bound is said
    key: str = "volumes"  # of the service, where it was asked for: also configs, secrets


@dataclass(frozen=True)
class Detector:
    """The declared constants of a failure detector, seconds (label ``chaoskit.detector``)."""

    interval_s: float
    misses: int = 1
    timeout_s: float = 0.0
    promotion_s: float = 0.0


@dataclass(frozen=True)
class Service:
    """One service of the Compose file, with what the sandbox lab honours."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()  # entrypoint + command, ready to execute
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None
    healthcheck: Healthcheck | None = None
    depends_on: Mapping[str, str] = field(default_factory=dict)  # service → condition
    networks: Mapping[str, str | None] = field(default_factory=dict)  # network → static address
    mounts: tuple[Mount, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_grace_period_s: float = 10.0
    init: bool = False
    image: str | None = None
    has_build: bool = False
    line: int = 0  # where it stands in the file
    hostname: str | None = None  # what it is told that its machine is called; None: its name
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # network → more names

    def aliases_everywhere(self) -> tuple[str, ...]:
        """Its names beside its own, on whatever network."""
        return tuple(dict.fromkeys(name for names in self.aliases.values() for name in names))

    def role(self) -> str | None:
        """The role that the label declares; a role probe may say otherwise later."""
        return self.labels.get("chaoskit.role")


@dataclass(frozen=True)
class Stack:
    """A parsed Compose file. ``notes`` are keys accepted without effect, to be said once."""

    name: str  # the folder's name
    file: Path
    services: Mapping[str, Service]
    networks: tuple[str, ...] = ("default",)
    volumes: tuple[str, ...] = ()
    sandbox_refusals: tuple[str, ...] = ()  # file:line:column sentences; empty: sandbox can run it
    notes: tuple[str, ...] = ()

    def service(self, name: str) -> Service:
        """The service of that name; ``KeyError`` if there is none."""
        return self.services[name]
