"""What measuring one trial comes to: the metrics part of ``result.json``.

Times ending in ``_s`` are seconds; ``*_ns`` are CLOCK_MONOTONIC. ``None`` means not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "ClientOutages",
    "Count",
    "Dropped",
    "DualPrimary",
    "Example",
    "Failback",
    "Frozen",
    "Heartbeats",
    "Impact",
    "Impossible",
    "Interval",
    "Metastability",
    "Metrics",
    "Mistakes",
    "PartlyOut",
    "RegisterStep",
    "Safety",
    "Share",
    "Sharing",
    "only_upper",
]


class Frozen(BaseModel):
    """Base of everything in ``result.json``: no field is changed later, none is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Frozen):
    """A measured duration or ratio with the bracket that contains the truth.

    ``censored``: it had not ended when observation ended; ``value_s`` is then a lower bound and
    ``high_s`` is None. ``applicable`` False: the event did not happen (nothing failed over); the
    rest is None. Where only an upper end is known, ``low_s`` is 0 and ``value_s`` is that end.
    ``chance``: it may be nothing, for bad requests as before the fault bring as much about with
    this probability; None below 1 %, and where nothing was to bite.
    """

    value_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    censored: bool = False
    applicable: bool = True
    note: str | None = None
    chance: float | None = None

    @property
    def at_most(self) -> bool:
        """Whether no more is known than an upper end."""
        return only_upper(self.low_s, self.value_s, self.high_s)


def only_upper(low: float | None, value: float | None, high: float | None) -> bool:
    """Whether a bracket says "at most" and no more: from nothing to its value."""
    return low == 0 and value is not None and 0 < value == high


class Dropped(Frozen):
    """Requests due from commanded to recovery that were not good."""

    count: int
    due: int
    ratio: float
    by_class: Mapping[str, int]  # ok_late, fail_definite, ambiguous, not_sent
    by_error: Mapping[str, int] = {}


class Example(Frozen):
    """One offending operation, in words and numbers."""

    token: int
    sent_ns: int | None = None
    acknowledged_ns: int | None = None
    server: str | None = None
    after_fault_s: float | None = None  # acknowledged - fault acknowledged
    detail: str = ""


class DualPrimary(Interval):
    """For how long two nodes were in office at once, with the first writes that prove it.

    ``writes``: acknowledged by one in the midst of another's; None where nobody asked the nodes
    themselves and clients saw none. Each example says in ``detail`` which two of the other's
    writes it lies between. ``handover``: nothing is proven, and what is possible is no longer than
    two writes of usual length that were under way when the office changed hands.
    """

    handover: bool = False
    writes: int | None = None
    examples: tuple[Example, ...] = ()


class Safety(Frozen):
    """A count that must be 0, with the first offenders. ``checked`` False: nothing was checked.

    ``unknown``: so many more may be, or may not: they could not be decided. ``unread``: nobody
    knows how many more there are, for a data node was asked in the end and did not answer.
    """

    count: int | None
    unknown: int = 0
    unread: bool = False
    examples: tuple[Example, ...] = ()
    checked: bool = True
    note: str | None = None


_KEEPS = 0.05
"""Of the share that a node had: who is left with less than this no longer serves."""


class Share(Frozen):
    """Of the answers that clients got in a stretch, those that one node gave; None: no answers."""

    before: float | None
    fault: float | None
    after: float | None

    @property
    def gone(self) -> bool:
        """Whether the node served before the fault, and next to nothing while it was on."""
        return self._lost(self.fault)

    @property
    def not_back(self) -> bool:
        """Whether it served before the fault, and next to nothing after all was healed."""
        return self._lost(self.after)

    def _lost(self, left: float | None) -> bool:
        return bool(self.before) and left is not None and left < _KEEPS * (self.before or 0.0)


class Impact(Frozen):
    """The phase ``impact``, one second from the fault's command on, beside the seconds before it.

    Rates are answered requests a second. Latencies are of answered requests, from when they were
    due, seconds.
    """

    due: int
    bad: int
    bad_before: int  # in the worst second of the baseline
    rate: float
    rate_before: float  # median of the baseline's seconds
    p50_s: float | None
    p50_before_s: float | None
    p99_s: float | None
    p99_before_s: float | None


class ClientOutages(Frozen):
    """Outages since the fault as each client of one stream had them.

    ``union`` and ``intersection``: how long in sum any client, every client, was in an outage.
    ``user_uptime`` is a ratio, of the whole observation. ``due`` and ``bad`` count requests.
    """

    clients: int
    worst: Interval
    worst_client: str | None  # None: nobody was out
    median: Interval
    union: Interval
    intersection: Interval
    user_uptime: Interval
    by_client: Mapping[str, Interval]
    due: Mapping[str, int]
    bad: Mapping[str, int]


class Sharing(Frozen):
    """What losing one of several nodes that serve came to. ``impact`` None: no fault to look at."""

    shares: Mapping[str, Share] = {}  # server → its share
    impact: Impact | None = None  # the second after the fault
    outage_by_shard: Mapping[str, Interval] = {}  # shard → its longest outage, headline stream


class RegisterStep(Frozen):
    """One operation on a register; seconds from the fault. ``done_s`` None: never answered."""

    write: bool
    value: int
    sent_s: float
    done_s: float | None
    server: str | None = None
    client: str | None = None
    stream: str | None = None
    needed: bool = True  # one of those that cannot all be explained; else it only stood beside them
    last: bool = False  # the one whose end made it impossible


class Impossible(Frozen):
    """Operations on one register that no order explains, by when they were sent."""

    key: int
    detail: str
    steps: tuple[RegisterStep, ...]


class Heartbeats(Frozen):
    """What one node saw of another's heartbeats; intervals until the fault, seconds."""

    seen: int
    interval_s: float | None  # median
    longest_s: float | None
    p05_s: float | None = None  # 5th and 95th percentile of the intervals
    p95_s: float | None = None
    jitter_s: float | None  # the one less the other
    missed_before: int
    missed_after: int


class Failback(Frozen):
    """The way back of the primary's role to the node that had it before the fault.

    ``kind``: never, automatic, or manual (a step of the experiment asked for it). ``time`` counts
    from the last heal. ``outage`` is the longest that clients felt of it. Both are not applicable,
    with a note, where the node came home only because a fault struck its successor: never.
    """

    kind: str
    home: str
    time: Interval | None = None
    outage: Interval | None = None


class Count(Frozen):
    """A plain number of things."""

    count: int | None
    note: str | None = None


class FalseFailovers(Count):
    """Takeovers without cause. ``watched_s``: for how long one would have been seen.

    ``soak``: no fault bites in the trial, so that this is the whole of it.
    """

    watched_s: float = 0.0
    soak: bool = False


class Mistakes(Count):
    """How often a node took another for dead while no fault was in force, and for how long.

    ``links`` detectors, one for each node that listens and each that it hears, were watched for
    ``watched_s`` in sum and wrong for ``wrong_s`` of it. ``durations_s``: of the mistakes that were
    corrected. ``query_accuracy``: the share of the time in which they were right; a ratio.
    """

    links: int = 0
    watched_s: float = 0.0
    wrong_s: float = 0.0
    durations_s: tuple[float, ...] = ()
    longest: Interval | None = None
    query_accuracy: Interval | None = None


class Metastability(Frozen):
    """Whether service stayed degraded after heal: none, suspected, confirmed or unknown."""

    verdict: Literal["none", "suspected", "confirmed", "unknown"]
    degraded_s: float = 0.0  # the longest stretch after heal and grace, until the load was shed
    observed_s: float = 0.0  # how long that was looked at
    note: str | None = None


class PartlyOut(Frozen):
    """A stretch in which some requests went bad and others did not; seconds since the fault."""

    from_s: float
    to_s: float
    bad: int
    asked: int

    @property
    def span_s(self) -> float:
        """How long it was."""
        return self.to_s - self.from_s

    @property
    def ratio(self) -> float:
        """The share of requests that were bad."""
        return self.bad / self.asked


class Metrics(Frozen):
    """Everything measured in one trial. ``values`` holds the metrics that have no field."""

    client_outage: Interval
    client_outage_read: Interval | None = None
    client_outage_by_stream: Mapping[str, Interval] = {}
    partly_out: PartlyOut | None = None  # of the headline stream, where it is much longer than that
    clients: ClientOutages | None = None  # of the headline stream
    clients_read: ClientOutages | None = None
    failover_time: Interval
    time_to_detect: Interval | None = None
    time_to_approval: Interval | None = None
    failover_time_without_approval: Interval | None = None
    bad_time: Interval
    goodput_gap: Interval
    max_stall: Interval
    dropped_requests: Dropped
    lost_writes: Safety
    rpo_time: Interval | None = None
    split_brain_loss: Safety | None = None  # of lost_writes, those acknowledged under the fault
    post_heal_loss: Safety | None = None  # of lost_writes, those acknowledged after the heal
    recovered_writes: Count | None = None  # of unknown outcome, and there in the end
    vanished_writes: Count | None = None  # of unknown outcome, and not there
    duplicate_writes: Safety
    unexpected_writes: Safety
    resurrected_writes: Safety | None = None
    divergent_writes: Safety | None = None
    stale_reads: Safety | None = None
    stale_leader_reads: Safety | None = None  # past the front door, of a node that claims office
    session_violations: Safety | None = None
    linearizability_violations: Safety | None = None  # registers, not operations
    impossible: tuple[Impossible, ...] = ()  # the first registers among them
    time_to_steady: Interval | None = None
    settle_time: Interval | None = None
    backlog_drain: Interval | None = None
    time_to_redundancy: Interval | None = None
    failback: Failback | None = None
    heartbeats: Mapping[str, Heartbeats] = {}
    gray_time: Interval | None = None
    dual_primary: DualPrimary | None = None
    fencing_latency: Interval | None = None
    metastable: Metastability | None = None
    flaps: Count
    flapping: Count | None = None
    promotions: Count | None = None
    false_failovers: FalseFailovers | None = None
    false_suspicions: Mistakes | None = None
    sharing: Sharing | None = None  # where several nodes are meant to serve
    lost_goodput: float | None = None  # requests short of the baseline's share since the fault
    latency_overshoot_s: float | None = None  # worst second's p99 after recovery, above baseline's
    would_page: Mapping[str, str] = {}  # objective → the alert that would have gone off, or "no"
    recovery: str  # as ``recovery_kind`` has them: "failover", "in-place restart", "none", ...
    phases: Mapping[str, Interval] = {}
    values: Mapping[str, float | None] = {}  # "error_rate@outage", "latency.p99@recovered", ...
    tally: Mapping[str, Mapping[str, int]] = {}  # stream → outcome → count, with "due"
    tally_impact: Mapping[str, Mapping[str, int]] = {}  # the same, from commanded to recovery
    spans_s: Mapping[str, tuple[float, float]] = {}  # phase → from, to; 0 = fault acknowledged

    @property
    def same_node_served(self) -> bool:
        """Nobody took over: who served before is the only one who served afterwards, if anybody.

        ``failover_time`` then holds how long that took, and is none of a failover.
        """
        return self.recovery in ("in-place restart", "rejected")
