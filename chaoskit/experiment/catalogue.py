"""The metrics, statistics and phases that a threshold may name, and what goes with what."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "METRICS",
    "PHASES",
    "PINNED",
    "PROVEN",
    "SAFETY",
    "STATS",
    "ZERO",
    "MetricFacts",
    "is_stat",
    "kinds_of",
    "within_trial",
]

Kind = Literal["s", "ratio", "count"]

PHASES = ("baseline", "fault", "impact", "outage", "recovery", "recovered", "run")
"""What may follow ``@``: stretches of a trial."""

STATS = ("min", "max", "mean", "p50", "p95", "p99", "pN", "count", "rate")
"""What may follow ``.``; pN is any percentile, e.g. p99.9."""


def within_trial(metric: str, stat: str) -> bool:
    """Is the statistic one of a trial's requests, rather than one over the trials?"""
    return metric == "latency" or stat in ("count", "rate")


def is_stat(word: str) -> bool:
    """Whether ``word`` is a statistic; percentiles lie between 0 and 100, both excluded."""
    if word in ("min", "max", "mean", "count", "rate"):
        return True
    found = re.fullmatch(r"p([0-9]{1,2}(?:\.[0-9]{1,4})?)", word)
    return found is not None and float(found[1]) > 0


@dataclass(frozen=True)
class MetricFacts:
    """``kinds`` are the units that its value may have.

    ``over``: what its statistics are taken over; without one, every valid trial must keep the
    bound. ``requests`` have no sensible default, so a statistic is owed.
    """

    kinds: frozenset[Kind]
    summary: str
    over: Literal["trials", "requests", "nothing"] = "trials"
    phased: bool = False  # takes @phase, and "N x baseline"


def _facts(
    kinds: str,
    summary: str,
    over: Literal["trials", "requests", "nothing"] = "trials",
    *,
    phased: bool = False,
) -> MetricFacts:
    names: Mapping[str, Kind] = {"s": "s", "ratio": "ratio", "count": "count"}
    return MetricFacts(frozenset(names[k] for k in kinds.split()), summary, over, phased)


METRICS: Mapping[str, MetricFacts] = {
    "client_outage": _facts("s", "the longest stretch in which clients were not served"),
    "client_outage_read": _facts("s", "the same for reads"),
    "client_outage_worst": _facts("s", "the longest outage of the client that had the longest"),
    "client_outage_median": _facts("s", "the longest outage of the client in the middle"),
    "client_outage_union": _facts("s", "how long in sum at least one client was out"),
    "client_outage_intersection": _facts("s", "how long in sum every client was out"),
    "user_uptime": _facts("ratio", "clients' time in which they were served, of all of it"),
    "bad_time": _facts("s", "bad requests, as the time they stand for"),
    "failover_time": _facts("s", "from the fault to the first good write after the outage"),
    "dropped_requests": _facts(
        "count ratio", "requests due from the fault to recovery that were not good", phased=True
    ),
    "error_rate": _facts("ratio", "bad requests of those due", phased=True),
    "availability": _facts("ratio", "good requests of those due", phased=True),
    "lost_writes": _facts("count", "acknowledged writes that no node has", "nothing"),
    "rpo_time": _facts("s", "how far before the fault the earliest lost write was acknowledged"),
    "split_brain_loss": _facts("count", "lost writes acknowledged under the fault", "nothing"),
    "post_heal_loss": _facts("count", "lost writes acknowledged after the heal", "nothing"),
    "duplicate_writes": _facts("count", "writes that are stored more than once", "nothing"),
    "resurrected_writes": _facts("count", "writes refused to the client, yet stored", "nothing"),
    "unexpected_writes": _facts("count", "stored values that nobody wrote", "nothing"),
    "divergent_writes": _facts(
        "count", "writes that not every data node has, and equally often", "nothing"
    ),
    "stale_reads": _facts("count", "reads of a value that had been replaced", "nothing"),
    "stale_leader_reads": _facts(
        "count", "stale reads of a node that still says it is primary, asked itself", "nothing"
    ),
    "session_violations": _facts(
        "count", "reads older than what their client had read or written", "nothing"
    ),
    "linearizability_violations": _facts(
        "count", "registers whose reads and writes no order explains", "nothing"
    ),
    "dual_primary": _facts("s", "how long two nodes both acknowledged writes"),
    "fencing_latency": _facts("s", "how long the deposed primary still acknowledged"),
    "time_to_steady": _facts("s", "from the fault until service is as good as before it"),
    "settle_time": _facts("s", "from the first good write until service is as good as before"),
    "backlog_drain": _facts("s", "from the first good write until answers are as fast as before"),
    "lost_goodput": _facts("count", "requests short of the baseline's share since the fault"),
    "latency_overshoot": _facts("s", "worst second's p99 after recovery, above the baseline's"),
    "time_to_redundancy": _facts("s", "from the fault until every data node is whole again"),
    "failback_time": _facts("s", "from the heal until the old primary is primary again"),
    "failback_outage": _facts("s", "the longest outage that clients felt of the way back"),
    "gray_time": _facts("s", "clients without service while every probe says that all is well"),
    "metastable": _facts(
        "count", "1 if service stayed down until the load was shed, though healed", "nothing"
    ),
    "flapping": _facts("count", "changes of primary beyond one a fault", "nothing"),
    "promotions": _facts("count", "how often the office changed hands since the fault", "nothing"),
    "false_failovers": _facts("count", "takeovers while no fault was in force", "nothing"),
    "false_suspicions": _facts(
        "count", "nodes taken for dead while no fault was in force", "nothing"
    ),
    "mistake_duration": _facts("s", "the longest time until such a mistake was corrected"),
    "query_accuracy": _facts("ratio", "the share of time in which failure detectors were right"),
    "time_to_detect": _facts("s", "from the fault until the control plane declares it"),
    "time_to_approval": _facts("s", "how long the failover waited until an operator approved it"),
    "failover_time_without_approval": _facts(
        "s", "failover_time less the wait for an operator's approval"
    ),
    "latency": _facts(
        "s", "of answered requests, from when they were due", "requests", phased=True
    ),
    "max_stall": _facts("s", "how long the slowest single request took"),
    "goodput_gap": _facts("s", "the longest gap between good answers, less the usual one"),
    "flaps": _facts("count", "how often service was lost", "nothing"),
}
"""Metric → what a threshold on it may say."""


SAFETY = frozenset(
    {
        "lost_writes",
        "duplicate_writes",
        "unexpected_writes",
        "resurrected_writes",
        "stale_reads",
        "stale_leader_reads",
        "session_violations",
        "linearizability_violations",
    }
)
"""Violations are proven by what was stored or read, whatever else is broken in the trial."""


PROVEN = SAFETY | {"dual_primary", "split_brain_loss", "post_heal_loss"}
"""What a missed bound on is proven by: FAIL even in a trial that is invalid otherwise."""


PINNED = frozenset(
    {
        "dual_primary",
        "fencing_latency",
        "split_brain_loss",
        "post_heal_loss",
        "stale_leader_reads",
    }
)
"""What a deposed primary does where no client is sent any more: it shows to pinned streams only."""


ZERO = PROVEN | {"divergent_writes"}
"""What is to be 0 whatever the statistics say: one run may have none that another had none of."""


def kinds_of(metric: str, others: Collection[str]) -> frozenset[Kind] | None:
    """Units that the metric's value may have; None where any may (a third party's metric)."""
    if metric in METRICS:
        return METRICS[metric].kinds
    return None if metric in others else frozenset()
