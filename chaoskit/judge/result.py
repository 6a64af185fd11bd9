"""``result.json``: what a run came to. Schema-versioned.

The report is made from nothing else but this and the timelines.

Times ending in ``_s`` are seconds; ``*_ns`` are CLOCK_MONOTONIC. ``None`` means not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from chaoskit.measure.model import (
    Count,
    Dropped,
    Example,
    Frozen,
    Interval,
    Metastability,
    Metrics,
    Safety,
)

__all__ = [
    "SCHEMA_VERSION",
    "Count",
    "Dropped",
    "Example",
    "ExpectationResult",
    "FaultResult",
    "Interval",
    "Metastability",
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


class FaultResult(Frozen):
    """One fault as it was, for the report; the times are CLOCK_MONOTONIC."""

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


class ExpectationResult(Frozen):
    """One threshold and what came of it, in one trial or over all of them."""

    expression: str
    observed: str  # ready to print: "1.31 s (1.29 to 1.34)"
    verdict: Verdict
    margin: str | None = None
    trial: int | None = None  # the trial that decided it
    line: int = 0
    reason: str | None = None


class TrialResult(Frozen):
    """One trial: its verdict, the assumptions it broke, and what was measured."""

    n: int
    verdict: Verdict
    invalid_because: tuple[str, ...] = ()  # each names the reason and the knob to turn
    faults: tuple[FaultResult, ...] = ()
    metrics: Metrics | None = None
    expectations: tuple[ExpectationResult, ...] = ()
    notes: tuple[str, ...] = ()  # observer facts, generator lag, retried trials
    overhead_s: Mapping[str, float] = {}  # what the trial spent outside load, by step


class RunResult(Frozen):
    """A whole run: ``result.json``."""

    schema_version: int = SCHEMA_VERSION
    experiment: str
    question: str = ""
    verdict: Verdict
    exit_code: int
    sentence: str  # the one sentence under the verdict
    ending: str = ""  # how the run ended early, as a sentence; empty if it did not
    lab: str
    seed: int
    trials: tuple[TrialResult, ...]
    expectations: tuple[ExpectationResult, ...]
    summary: Mapping[
        str, Interval
    ] = {}  # over valid trials: median in value_s, min/max in low/high
    claims: tuple[str, ...] = ()  # what n trials can and cannot prove, as sentences
    band: Mapping[str, Any] | None = (
        None  # expected band: {"low_s", "high_s", "formula", "verdict"}
    )
    not_checked: tuple[str, ...] = ()
