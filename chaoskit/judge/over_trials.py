"""Durations over the valid trials of a run: what is in the middle, and what lies behind it.

The median has an interval of order statistics, which assumes nothing of how times are spread and
needs six trials. Of the 95th percentile only an upper bound is given, which needs 59; below that
the largest value says what it can. Wilks (1941); `chaoskit.measure.statistics` has the ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chaoskit.judge.result import Interval, Metrics, OverTrials
from chaoskit.measure.statistics import median, median_interval, quantile_upper

__all__ = ["summary"]

_SUMMARISED: Mapping[str, Callable[[Metrics], Interval | None]] = {
    "client_outage": lambda m: m.client_outage,
    "client_outage_read": lambda m: m.client_outage_read,
    "client_outage_worst": lambda m: _several(m, "worst"),
    "client_outage_median": lambda m: _several(m, "median"),
    "client_outage_union": lambda m: _several(m, "union"),
    "client_outage_intersection": lambda m: _several(m, "intersection"),
    "failover_time": lambda m: m.failover_time,
    "time_to_detect": lambda m: m.time_to_detect,
    "time_to_approval": lambda m: _asked(m, m.time_to_approval),
    "failover_time_without_approval": lambda m: _asked(m, m.failover_time_without_approval),
    "bad_time": lambda m: m.bad_time,
    "goodput_gap": lambda m: m.goodput_gap,
    "max_stall": lambda m: m.max_stall,
    "time_to_steady": lambda m: m.time_to_steady,
    "gray_time": lambda m: m.gray_time,
    "dual_primary": lambda m: m.dual_primary,
    "fencing_latency": lambda m: m.fencing_latency,
    "rpo_time": lambda m: m.rpo_time,
}


def _several(metrics: Metrics, name: str) -> Interval | None:
    """What is said of clients where there are several; of one it is the outage once more."""
    clients = metrics.clients
    found: Interval | None = None
    if clients is not None and clients.clients > 1:
        found = getattr(clients, name)
    return found


def _asked(metrics: Metrics, found: Interval | None) -> Interval | None:
    """What is said only where an operator was asked and approved: else it tells nothing."""
    waited = metrics.time_to_approval
    return found if waited is not None and waited.applicable else None


def summary(measured: Sequence[Metrics]) -> Mapping[str, OverTrials]:
    """Over valid trials: the median, its interval and the extremes, of durations.

    A censored trial sorts last: the median is a lower bound if it falls on one.
    """
    found: dict[str, OverTrials] = {}
    for name, pick in _SUMMARISED.items():
        shown = [i for m in measured if (i := pick(m)) is not None]
        applicable = [i for i in shown if i.applicable and i.value_s is not None]
        if applicable:
            found[name] = _over_trials(applicable)
        elif shown:
            found[name] = OverTrials(applicable=False, note=shown[0].note)
    for name in dict.fromkeys(p for m in measured for p in m.phases):
        found[f"phases.{name}"] = _over_trials(
            [m.phases[name] for m in measured if name in m.phases]
        )
    return found


def _over_trials(shown: Sequence[Interval]) -> OverTrials:
    if all(i.at_most for i in shown):  # of which a median would be no more than another upper end
        return OverTrials(**max(shown, key=lambda i: i.value_s or 0.0).model_dump(), n=len(shown))
    values = [math.inf if i.censored or i.value_s is None else i.value_s for i in shown]
    lows = [i.low_s or 0.0 for i in shown]
    highs = [math.inf if i.censored or i.high_s is None else i.high_s for i in shown]
    middle = median(values)
    if math.isinf(middle):
        middle = min(i.value_s or 0.0 for i in shown if i.censored)
    unended = sum(i.censored for i in shown)
    low, high = median_interval(lows), median_interval(highs)
    return OverTrials(
        value_s=middle,
        low_s=min(lows),
        high_s=_finite(max(highs)),
        censored=unended > 0,
        note=f"{unended} of {len(shown)} not over when observation ended" if unended else None,
        n=len(shown),
        unended=unended,
        median_low_s=low.low if low else None,
        median_high_s=_finite(high.high) if high else None,
        coverage=low.coverage if low else None,
        p95_high_s=_finite(quantile_upper(highs, 0.95)),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
