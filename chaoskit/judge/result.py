"""``result.json``: what a run came to. Schema-versioned; the report is made from nothing else
but this and the timelines.

Times ending in ``_s`` are seconds; ``*_ns`` are CLOCK_MONOTONIC. ``None`` means not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = [
    "SCHEMA_VERSION",
    "Count",
    "Dropped",
    "Example",
    "ExpectationResult",
    "FaultResult",
    "Interval",
    "Metrics",
    "RunResult",
    "Safety",
    "TrialResult",
    "Verdict",
]

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """``docs/reading-a-report.md`` says what each means for a release."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    INTERRUPTED = "INTERRUPTED"
    ABORTED = "ABORTED"
    ERROR = "ERROR"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Frozen):
    """A measured duration or ratio with the bracket that contains the truth.

    ``censored``: it had not ended when observation ended; ``value_s`` is then a lower bound.
    ``applicable`` False: the event did not happen (nothing failed over); the rest is None.
    """

    value_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    censored: bool = False
    applicable: bool = True
    note: str | None = None


class Dropped(_Frozen):
    """Requests due from commanded to recovery that were not good."""

    count: int
    due: int
    ratio: float
    by_class: Mapping[str, int]  # ok_late, fail_definite, ambiguous, not_sent
    by_error: Mapping[str, int] = {}


class Example(_Frozen):
    """One offending operation, in words and numbers."""

    token: int
    sent_ns: int | None = None
    acknowledged_ns: int | None = None
    server: str | None = None
    after_fault_s: float | None = None  # acknowledged − fault acknowledged
    detail: str = ""


class Safety(_Frozen):
    """A count that must be 0, with the first offenders. ``checked`` False: nothing was checked."""

    count: int | None
    examples: tuple[Example, ...] = ()
    checked: bool = True
    note: str | None = None


class Count(_Frozen):
    count: int | None
    note: str | None = None


class Metrics(_Frozen):
    """Everything measured in one trial. ``values`` holds the metrics that have no field."""

    client_outage: Interval
    client_outage_read: Interval | None = None
    failover_time: Interval
    time_to_detect: Interval | None = None
    bad_time: Interval
    goodput_gap: Interval
    max_stall: Interval
    dropped_requests: Dropped
    lost_writes: Safety
    duplicate_writes: Safety
    unexpected_writes: Safety
    flaps: Count
    recovery: str  # "failover", "in-place restart", "none", "failed"
    phases: Mapping[str, Interval] = {}
    values: Mapping[str, float | None] = {}  # "error_rate@outage", "latency.p99@recovered", ...
    tally: Mapping[str, Mapping[str, int]] = {}  # stream → outcome → count, with "due"


class FaultResult(_Frozen):
    fault: str
    target: str
    node: str  # who it came to; several are joined by ", "
    commanded_ns: int
    acknowledged_ns: int
    verified_ns: int | None
    bitten_ns: int | None
    healed_ns: int | None
    felt_healed_ns: int | None = None
    detail: str = ""


class ExpectationResult(_Frozen):
    expression: str
    observed: str  # ready to print: "1.31 s (1.29 to 1.34)"
    verdict: Verdict
    margin: str | None = None
    trial: int | None = None  # the trial that decided it
    line: int = 0
    reason: str | None = None


class TrialResult(_Frozen):
    n: int
    verdict: Verdict
    invalid_because: tuple[str, ...] = ()  # each names the reason and the knob to turn
    faults: tuple[FaultResult, ...] = ()
    metrics: Metrics | None = None
    expectations: tuple[ExpectationResult, ...] = ()
    notes: tuple[str, ...] = ()  # observer facts, generator lag, retried trials
    overhead_s: Mapping[str, float] = {}  # what the trial spent outside load, by step


class RunResult(_Frozen):
    schema_version: int = SCHEMA_VERSION
    experiment: str
    question: str = ""
    verdict: Verdict
    exit_code: int
    sentence: str  # the one sentence under the verdict
    lab: str
    seed: int
    trials: tuple[TrialResult, ...]
    expectations: tuple[ExpectationResult, ...]
    summary: Mapping[str, Interval] = {}  # over valid trials: median in value_s, min/max in low/high
    claims: tuple[str, ...] = ()  # what n trials can and cannot prove, as sentences
    band: Mapping[str, Any] | None = None  # expected band: {"low_s", "high_s", "formula", "verdict"}
    not_checked: tuple[str, ...] = ()
