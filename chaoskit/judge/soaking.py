"""What time without a fault proves: how rarely nodes fail over, or suspect others, for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.result import Metrics
from chaoskit.judge.wording import plural, seconds
from chaoskit.measure.model import Mistakes
from chaoskit.measure.statistics import median, rate_lower, rate_upper

__all__ = ["soaked"]

_ASKS = frozenset({"false_failovers", "false_suspicions", "mistake_duration", "query_accuracy"})


def soaked(thresholds: Sequence[Threshold], measured: Sequence[Metrics]) -> tuple[str, ...]:
    """A sentence on false failovers and one on false suspicions, where that was the question.

    That is where a threshold asks, or where no fault was to bite in any trial.
    """
    found = [m.false_failovers for m in measured if m.false_failovers is not None]
    counted = [f for f in found if f.count is not None and f.watched_s > 0]
    asked = any(t.metric in _ASKS for t in thresholds)
    if not asked and not (counted and all(f.soak for f in counted)):
        return ()
    said: list[str] = []
    if counted:
        k, watched = sum(f.count or 0 for f in counted), sum(f.watched_s for f in counted)
        text = f"{plural(k, 'false failover')} in {_watched(watched)} without a fault"
        said.append(f"{text}: {_rated(k, watched)}")
    wrong = [m.false_suspicions for m in measured if m.false_suspicions is not None]
    said += _suspected([w for w in wrong if w.count is not None and w.watched_s > 0])
    return tuple(said)


def _suspected(found: Sequence[Mistakes]) -> list[str]:
    """Rate, duration and query accuracy over all trials; T_MR is the rate's inverse."""
    if not found:
        return []
    k, watched = sum(f.count or 0 for f in found), sum(f.watched_s for f in found)
    detectors = plural(max(f.links for f in found), "failure detector")
    text = f"{plural(k, 'false suspicion')} by {detectors} in {_watched(watched)} of listening"
    if not k:
        return [f"{text}: {_rated(k, watched)}"]
    low = watched / rate_upper(k, 1.0, 0.975)
    high = watched / rate_lower(k, 1.0, 0.975)
    right = 1 - sum(f.wrong_s for f in found) / watched
    lasted = [d for f in found for d in f.durations_s]
    middle = f"corrected after {seconds(median(lasted))} (median), " if lasted else ""
    longest = max(f.longest.value_s or 0.0 for f in found if f.longest is not None)
    said = (
        f"{text}: one in {seconds(watched / k)} ({seconds(low)} to {seconds(high)}, 95 %), "
        f"{middle}{seconds(longest)} at the longest; right for {right:.4%} of the time"
    )
    return [said]


def _watched(watched_s: float) -> str:
    hours = watched_s / 3600
    return f"{hours:.3g} h" if hours >= 1 else seconds(watched_s)


def _rated(k: int, watched_s: float) -> str:
    """How many an hour that proves; exact Poisson."""
    hours = watched_s / 3600
    if k:
        low, high = rate_lower(k, hours, 0.975), rate_upper(k, hours, 0.975)
        return f"between {_rate(low)} and {_rate(high)} an hour (95 %)"
    most = _rate(rate_upper(0, hours))
    return f"we can only claim that there are at most {most} an hour (95 %)"


def _rate(an_hour: float) -> str:
    """Three digits; above a hundred, whole ones rounded up."""
    return f"{math.ceil(an_hour):,}" if an_hour >= 100 else f"{an_hour:.3g}"
