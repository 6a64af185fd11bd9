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
from chaoskit.measure.statistics import LEAST_FOR_P95

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
    "OverTrials",
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


class OverTrials(Interval):
    """A duration over ``n`` valid trials: median in ``value_s``, least and most in low and high.

    ``median_low_s`` to ``median_high_s`` covers the median with ``coverage``, at least 95 %; all
    three None below six trials. ``p95_high_s`` lies above the 95th percentile with 95 %; None below
    59 trials. An end is None too where it lies on one of the ``unended``: then there is none.
    """

    n: int = 0
    unended: int = 0
    median_low_s: float | None = None
    median_high_s: float | None = None
    coverage: float | None = None
    p95_high_s: float | None = None

    @property
    def middle_s(self) -> float | None:
        """The median; None where half of the trials never ended."""
        return None if self.unended * 2 >= self.n > 0 else self.value_s

    @property
    def last_s(self) -> float | None:
        """The bound of the 95th percentile if there are 59 trials, else the most; None: no end."""
        return self.p95_high_s if self.n >= LEAST_FOR_P95 else self.high_s

    @property
    def last_name(self) -> str:
        """What ``last_s`` is, before the number."""
        return "p95 at most" if self.n >= LEAST_FOR_P95 else f"max of {self.n}:"


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
    summary: Mapping[str, OverTrials] = {}
    claims: tuple[str, ...] = ()  # what n trials can and cannot prove, as sentences
    band: Mapping[str, Any] | None = (
        None  # expected band: {"low_s", "high_s", "formula", "verdict"}
    )
    not_checked: tuple[str, ...] = ()
    planted: Mapping[str, str] = {}  # service → the flaw that its environment plants in it
