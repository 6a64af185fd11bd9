"""One metric of one trial as a threshold sees it: a number with both ends of its bracket."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from chaoskit.measure.metrics import percentile_s
from chaoskit.measure.model import Count, DualPrimary, Interval, Metastability, Metrics, Safety
from chaoskit.measure.requests import dropped, error_share, latency, until_recovery
from chaoskit.measure.view import PHASES, View, as_seconds

__all__ = ["METRICS", "Reading", "Unit", "quantile_of", "read"]

Unit = Literal["s", "ratio", "count", "rate"]

_INTERVALS = (
    "client_outage",
    "client_outage_read",
    "failover_time",
    "time_to_detect",
    "time_to_approval",
    "failover_time_without_approval",
    "bad_time",
    "goodput_gap",
    "max_stall",
    "time_to_steady",
    "settle_time",
    "backlog_drain",
    "time_to_redundancy",
    "failback_time",
    "failback_outage",
    "gray_time",
    "dual_primary",
    "fencing_latency",
    "rpo_time",
    "client_outage_worst",
    "client_outage_median",
    "client_outage_union",
    "client_outage_intersection",
    "user_uptime",
    "mistake_duration",
    "query_accuracy",
)
_NEVER_EMPTY = frozenset({"baseline", "fault", "impact", "recovered", "run"})
"""Phases that every trial has, if its fault is over before its end. An outage there may be none."""
_EMPTY_SINCE = {
    "fault": "there was no fault, or it was on for less than the time between two requests",
    "impact": "there was no fault, or less than a second was observed from its command on",
    "recovered": "a fault without 'for' is healed only at the end",
}
_RATIOS = ("user_uptime", "query_accuracy")
_SAFETIES = (
    "lost_writes",
    "split_brain_loss",
    "post_heal_loss",
    "duplicate_writes",
    "unexpected_writes",
    "resurrected_writes",
    "divergent_writes",
    "stale_reads",
    "stale_leader_reads",
    "session_violations",
    "linearizability_violations",
)

_SEARCHED = ("linearizability_violations",)
"""Decided by a search that may run out of steps."""

_MISTAKES = {"mistake_duration": "longest", "query_accuracy": "query_accuracy"}
_COUNTS = ("metastable", "flaps", "flapping", "promotions", "false_failovers", "false_suspicions")
_WHOLE = (*_COUNTS, "lost_goodput", "latency_overshoot")

METRICS = (
    *_INTERVALS,
    *_SAFETIES,
    *_WHOLE,
    "dropped_requests",
    "error_rate",
    "availability",
    "latency",
)
"""What can be read. Others of the specification are not measured yet."""


@dataclass(frozen=True)
class Reading:
    """``high`` is ``math.inf`` where the trial ended before the event did (censored).

    ``applicable`` False: there is no such number in this trial, and ``note`` says why.
    ``enough`` False: there is one, from too little data to judge by. ``hint``: what would tell,
    where the bound lies within the interval.
    """

    low: float
    value: float
    high: float
    unit: Unit
    applicable: bool = True
    censored: bool = False
    enough: bool = True
    note: str | None = None
    hint: str | None = None


def read(  # noqa: PLR0911 - one return for each kind of metric
    view: View, metrics: Metrics, metric: str, *, stat: str | None, phase: str | None, unit: str
) -> Reading:
    """Read ``metric`` of a trial; ``stat`` is that within the trial (latency, counts).

    ``unit`` chooses between the count and the share of dropped requests. Never raises: a metric
    that this version does not measure is not applicable, and says so.
    """
    if phase is not None and phase not in PHASES:
        return _absent(f"there is no phase {phase!r}")
    if metric in _INTERVALS and phase is None:
        return _duration(metric, _interval(metrics, metric))
    if metric in _SAFETIES and phase is None:
        return _safety(metric, getattr(metrics, metric))
    if metric in _WHOLE and phase is None:
        return _whole(metrics, metric)
    if metric == "dropped_requests":
        return _dropped(view, phase, stat, unit)
    if metric in ("error_rate", "availability"):
        return _share(view, metric, phase)
    if metric == "latency":
        return _latency(view, stat or "p99", phase or "run")
    if metric.startswith("phases."):
        part = metrics.phases.get(metric.removeprefix("phases."))
        return _duration(metric, part)
    if metric in METRICS:
        return _absent(f"{metric} is not measured by phase")
    return _absent(f"{metric} is not measured")


def _interval(metrics: Metrics, metric: str) -> Interval | None:
    found: Interval | None
    of_client = metric.removeprefix("client_outage_")
    if of_client in ("worst", "median", "union", "intersection", "user_uptime"):
        found = getattr(metrics.clients, of_client, None)
    elif metric.startswith("failback_"):
        found = getattr(metrics.failback, metric.removeprefix("failback_"), None)
    elif metric in _MISTAKES:
        found = getattr(metrics.false_suspicions, _MISTAKES[metric], None)
    else:
        found = getattr(metrics, metric)
    return found


def _whole(metrics: Metrics, metric: str) -> Reading:
    """Counts, and what the fault cost beside the outage: of the whole trial."""
    if metric in _COUNTS:
        return _count(metric, getattr(metrics, metric))
    goodput = metric == "lost_goodput"
    value = metrics.lost_goodput if goodput else metrics.latency_overshoot_s
    if value is None:
        return _absent(f"{metric} needs a fault, a baseline of two seconds and a recovery")
    return _exact(value, "count" if goodput else "s")


def _exact(value: float, unit: Unit) -> Reading:
    return Reading(value, value, value, unit)


def _absent(note: str, unit: Unit = "s") -> Reading:
    nothing = math.nan
    return Reading(nothing, nothing, nothing, unit, applicable=False, note=note)


def _duration(name: str, found: Interval | None) -> Reading:
    if found is None:
        return _absent(f"{name} was not observed")
    if not found.applicable or found.value_s is None:
        return _absent(f"{name} is not applicable: {found.note or 'it did not happen'}")
    low = found.value_s if found.low_s is None else found.low_s
    high = math.inf if found.censored or found.high_s is None else found.high_s
    if isinstance(found, DualPrimary) and found.handover:
        high = low  # no shorter overlap could be told from none
    unit: Unit = "ratio" if name in _RATIOS else "s"
    hint = None
    if found.chance is not None:
        low, hint = 0.0, _by_chance(found.chance)
    return Reading(
        low, found.value_s, high, unit, censored=found.censored, note=found.note, hint=hint
    )


def _by_chance(chance: float) -> str:
    """Why the low end is 0, and what would tell."""
    return (
        f"so few bad requests may be chance, as in {chance:.0%} of trials without a fault; "
        "a longer baseline, or one with fewer bad requests, would tell"
    )


def _safety(name: str, found: Safety | None) -> Reading:
    if found is None or (found.count is None and not found.unread):
        why = found.note if found else "not measured"
        return _absent(f"{name} could not be checked: {why}", "count")
    count, hint = float(found.count or 0), None
    if found.unread:
        return Reading(count, count, math.inf, "count", note=found.note, hint=found.note)
    if found.unknown:
        hint = found.note or name
        if name in _SEARCHED:
            hint += ": a lower rate of reads and writes would make it decidable"
    return Reading(count, count, count + found.unknown, "count", note=found.note, hint=hint)


def _count(name: str, found: Count | Metastability | None) -> Reading:
    if name == "metastable":
        return _metastable(found if isinstance(found, Metastability) else None)
    assert not isinstance(found, Metastability)  # noqa: S101 - a field of its own
    if found is None or found.count is None:
        why = found.note if found else "not measured"
        return _absent(f"{name} could not be counted: {why}", "count")
    return _exact(float(found.count), "count")


def _metastable(found: Metastability | None) -> Reading:
    """1 if it is confirmed, 0 if there is none; suspected lies between."""
    if found is None:
        return _absent("metastable is not applicable: no fault that bites, or no baseline", "count")
    low, high = float(found.verdict == "confirmed"), float(found.verdict != "none")
    note = f"{found.verdict}: {found.note}" if found.note else found.verdict
    return Reading(low, low, high, "count", note=note, hint=note if low < high else None)


def _dropped(view: View, phase: str | None, stat: str | None, unit: str) -> Reading:
    """Slots that were never asked count as dropped; whether the system would have is not known."""
    found = dropped(view, view.spans[phase] if phase else until_recovery(view))
    if phase in _NEVER_EMPTY and not found.due:
        return _nothing_due("dropped_requests", phase, "ratio" if stat == "rate" else unit)
    unasked = found.by_class["not_sent"]
    if stat == "rate" or unit == "ratio":
        share = 1 / found.due if found.due else 0.0
        low = (found.count - unasked) * share
        return Reading(low, found.ratio, found.ratio, "ratio")
    count = float(found.count)
    return Reading(count - unasked, count, count, "count")


def _nothing_due(metric: str, phase: str, unit: str) -> Reading:
    why = f" ({_EMPTY_SINCE[phase]})" if phase in _EMPTY_SINCE else ""
    said = f"{metric}@{phase} says nothing: no request was due in it{why}"
    return _absent(said, "ratio" if unit == "ratio" else "count")


def _share(view: View, metric: str, phase: str | None) -> Reading:
    span = view.spans[phase or "run"]
    if phase in _NEVER_EMPTY and not view.counts(view.headline, span)["due"]:
        return _nothing_due(metric, phase, "ratio")
    low, high = error_share(view, span)
    if metric == "availability":
        return Reading(1 - high, 1 - high, 1 - low, "ratio")
    return Reading(low, high, high, "ratio")


def _latency(view: View, stat: str, phase: str) -> Reading:
    found = latency(view.headline, view.spans[phase])
    if not found.size:
        return _unanswered(view, phase)
    if stat == "mean":
        return _exact(float(found.mean()) / 1e9, "s")
    if stat == "min":
        return _exact(float(found[0]) / 1e9, "s")
    q = quantile_of(stat)
    if q is None:
        return _absent(f"latency has no statistic {stat!r}")
    value = percentile_s(view, phase, q) or 0.0
    needed = 1 if q >= 1 else round(1 / (1 - q))
    short = found.size < needed
    note = f"{found.size} answers, {stat} needs {needed}" if short else None
    return Reading(value, value, value, "s", enough=not short, note=note)


def _unanswered(view: View, phase: str) -> Reading:
    """Whoever asked and had no answer waited for as long as he was patient: at least so long."""
    counts = view.counts(view.headline, view.spans[phase])
    if counts["due"] <= counts["not_sent"]:
        return _absent(f"no request was asked in the phase {phase!r}")
    least = as_seconds(view.headline.stream.timeout_ns)
    note = f"no request was answered in the phase {phase!r}"
    return Reading(least, least, math.inf, "s", censored=True, note=note)


def quantile_of(stat: str) -> float | None:
    """``p99.9`` is 0.999, ``median`` 0.5, ``max`` 1; None of what is no quantile."""
    named = {"max": 1.0, "median": 0.5}
    match = re.fullmatch(r"p(\d+(?:\.\d+)?)", stat)
    if match is None or not 0 < float(match[1]) <= 100:
        return named.get(stat)
    return float(match[1]) / 100
