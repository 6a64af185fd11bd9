"""A trial's history, read back: the only input of every measurement.

On disk (``docs/architecture.md``)::

    trials/01/requests.npy        numpy array of dtype REQUEST, in no particular order
              strings.json        {"errors": ["", ...], "servers": ["", ...], "clients": ["", ...],
                                   "streams": [Stream, ...]}; index 0 of the first three is "none"
              observations.jsonl  one poll of one probe a line: Observation
              events.jsonl        what nodes told of themselves, one event a line: NodeEvent
              marks.jsonl         one line for everything the engine did: Mark
              final/<place>.npy   what a final read returned, place = a node's name or "frontdoor":
                                  two columns of u8, token and multiplicity
              logs/<node>.log
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

__all__ = [
    "FRONTDOOR",
    "FaultRecord",
    "FinalRead",
    "History",
    "NodeEvent",
    "Observation",
    "Stream",
    "Window",
]

FRONTDOOR = "frontdoor"


@dataclass(frozen=True)
class Stream:
    """One comb of requests: evenly spaced, open loop, one operation, one way to connect."""

    name: str  # "write", "read", "write/new", "read/new", "pinned:<node>", "pinned-read:<node>"
    op: str  # "write" or "read"
    rate: float  # requests a second
    connections: str  # "kept" or "new"
    deadline_ns: int  # later than this, counted from due, is not good
    timeout_ns: int  # the client gives up, counted from sent
    pinned: str = ""  # the one node it asks, past the front door; empty: a client like others


@dataclass(frozen=True)
class Observation:
    """One poll of one probe.

    Something changed between ``sent_ns`` of the poll before and ``done_ns`` of the poll that first
    shows it.
    """

    node: str
    question: str  # "role" or "health"
    sent_ns: int
    done_ns: int
    value: str | None  # the role in our words; None: no answer
    epoch: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class NodeEvent:
    """What a node says that it saw or decided, and when, by its own reading of the clock."""

    node: str
    t_ns: int
    event: str  # a word of docs/stacks.md, or one of the system's own
    seen_ns: int  # when the answer that told it was complete
    detail: str = ""
    epoch: int | None = None


@dataclass(frozen=True)
class FaultRecord:
    """One fault as it was: an interval, not an instant."""

    step: int
    fault: str  # its kind
    target: str  # the selector as written
    nodes: tuple[str, ...]  # who it came to
    commanded_ns: int
    acknowledged_ns: int
    verified_ns: int | None
    bitten_ns: int | None
    heal_commanded_ns: int | None
    healed_ns: int | None  # undo read back
    felt_healed_ns: int | None  # the dials work again
    detail: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    must_bite: bool = True  # False for noop
    problem: str | None = None  # why verification, biting or healing failed


@dataclass(frozen=True)
class Window:
    """The stretches of a trial that the engine knows, in ns."""

    load_start_ns: int  # first slot of the combs
    baseline_start_ns: int  # after warm-up
    observe_end_ns: int  # the combs were told to stop
    final_read_ns: int | None = None  # final reads began


@dataclass(frozen=True)
class FinalRead:
    """Everything a place returned at the end, after heal and quiescence."""

    place: str
    tokens: np.ndarray[Any, np.dtype[np.uint64]]
    counts: np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class History:
    """Everything known about one trial."""

    requests: np.ndarray[Any, np.dtype[np.void]]
    streams: tuple[Stream, ...]
    errors: tuple[str, ...]
    servers: tuple[str, ...]
    clients: tuple[str, ...]
    observations: tuple[Observation, ...]
    faults: tuple[FaultRecord, ...]
    window: Window
    finals: Mapping[str, FinalRead]
    nodes: tuple[str, ...]  # services that hold data: a final read is owed from each of them
    events: tuple[NodeEvent, ...] = ()  # in no particular order
    incidents: tuple[str, ...] = ()  # what the engine itself knows went wrong with the harness
    poll_every_ns: int = 50_000_000
    tick_lag_ns: int = 0  # the harness's own heartbeat: how late it was at worst in the window
    alive_at_end: bool = True  # the load child was still running when it was told to stop
    cut_short: str = ""  # what the file of the requests lacks, where it lacks its end
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def polls(self) -> Mapping[str, tuple[Observation, ...]]:
        """Role observations by node, each in the order they were sent."""
        found: dict[str, list[Observation]] = {}
        for seen in self.observations:
            if seen.question == "role":
                found.setdefault(seen.node, []).append(seen)
        return {
            node: tuple(sorted(found[node], key=lambda o: (o.sent_ns, o.done_ns)))
            for node in sorted(found)
        }

    @property
    def complete(self) -> bool:
        """Is there a record of every request? A load that was killed takes its last ones with it.

        Where not, what nobody is recorded to have written may have been written all the same.
        """
        return self.alive_at_end and not self.cut_short

    @property
    def pinned(self) -> tuple[int, ...]:
        """Numbers of the streams that ask one node, past the front door."""
        return tuple(i for i, stream in enumerate(self.streams) if stream.pinned)
