"""What the charts of a report are drawn from, aggregated from a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Band", "Dot", "RoleSpan", "Timeline"]


@dataclass(frozen=True)
class RoleSpan:
    """``role`` None: the node did not answer."""

    node: str
    from_s: float
    to_s: float
    role: str | None


@dataclass(frozen=True)
class Band:
    """A stretch of time to shade: a fault in force, or an outage."""

    label: str
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Dot:
    """One request of the close-up around the fault."""

    due_s: float
    latency_s: float | None  # from due; None where nothing came back
    outcome: str
    stream: str


@dataclass(frozen=True)
class Timeline:
    """Seconds on one axis; 0 is when the first fault was acknowledged (load start if none).

    ``outcomes[stream][outcome][i]`` counts requests due in bin i; outcome names are those of
    ``Outcome`` in lower case. ``latency[stat][i]`` in seconds, of answered requests, from due.
    """

    start_s: float
    bin_s: float
    outcomes: Mapping[str, Mapping[str, tuple[int, ...]]]
    latency: Mapping[str, tuple[float | None, ...]]
    roles: tuple[RoleSpan, ...]
    faults: tuple[Band, ...]
    outages: tuple[Band, ...]
    dots: tuple[Dot, ...]
