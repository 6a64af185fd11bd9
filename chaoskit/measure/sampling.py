"""How far a percentile, a mean or a share of requests may be off by sampling.

A bound of ``N x baseline`` compares two samples. The p99 of a thousand requests rests on the ten
slowest of them, and ten others would have given another. The intervals here hold the true value
for 95 % of such samples. A quantile lies between the order statistics that belong to the interval
of its share (Woodruff 1952). In the baseline requests that follow each other are not independent,
since one breath of the machine delays several: it counts for n / deff requests (Kish 1965; Korn
and Graubard 1998, who also allow for how roughly 20 stretches tell deff). In a phase after the
fault each counts for itself: what is slow together there may be slow by the fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.model import Metrics
from chaoskit.measure.reading import Reading, quantile_of, read
from chaoskit.measure.requests import until_recovery
from chaoskit.measure.statistics import exceedance_lower, exceedance_upper
from chaoskit.measure.view import View

__all__ = ["design_effect", "mean_span", "quantile_span", "sampled", "share_span"]

_BLOCKS = 20
"""Stretches of a phase, of as many requests each, that are compared with each other."""
_T, _Z = 2.093, 1.960
"""97.5 % of Student's t with 19 degrees of freedom, and of the normal distribution."""
_SIDE = 0.975
_MOST = 10_000
"""More independent requests than this do not make the interval narrower: it is narrow by then."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


def sampled(
    view: View, metrics: Metrics, metric: str, stat: str | None, phase: str | None
) -> Reading:
    """``metric`` over a phase as ``read`` has it, with the ends between which the true one lies.

    With 95 %, by chance alone. Of the largest and the smallest latency no interval can be told, and
    the ends are the value.
    """
    found = read(view, metrics, metric, stat=stat, phase=phase, unit="ratio")
    if not found.applicable or found.censored:  # censored: nothing was answered
        return found
    span = view.spans[phase or "run"]
    if metric == "dropped_requests" and phase is None:
        span = until_recovery(view)
    low, high = view.headline.due_between(*span)
    alone = phase != "baseline"
    if metric == "latency":
        ends = _of_latency(view, (low, high), stat or "p99", alone=alone)
    else:
        ends = share_span(~view.headline.good[low:high], alone=alone)
        if metric == "availability":
            ends = 1 - ends[1], 1 - ends[0]
    return found if ends is None else replace(found, low=ends[0], high=ends[1])


def _of_latency(
    view: View, places: tuple[int, int], stat: str, *, alone: bool
) -> tuple[float, float] | None:
    track, (low, high) = view.headline, places
    took = (track.done[low:high] - track.due[low:high])[track.answered[low:high]] / NS
    if stat == "mean":
        return mean_span(took, alone=alone)
    q = quantile_of(stat)
    return quantile_span(took, q, alone=alone) if q is not None and q < 1 else None


def quantile_span(values: Floats, q: float, *, alone: bool = False) -> tuple[float, float]:
    """Order statistics between which the ``q`` quantile lies; infinite where too few were taken.

    ``values`` in the order in which they were taken, one or more; ``alone``: each is independent.
    """
    ordered = np.sort(values)
    n = ordered.size
    at = ordered[min(n, max(1, math.ceil(q * n))) - 1]
    worth = _worth(values > at, alone=alone)
    below = _binomial_cdf(worth, q)  # how likely it is that at most k are below the true quantile
    low = int(np.searchsorted(below, 1 - _SIDE, side="right"))
    high = int(np.searchsorted(below, _SIDE, side="left")) + 1
    return (
        0.0 if low < 1 else float(ordered[max(1, low * n // worth) - 1]),
        math.inf if high > worth else float(ordered[-(-high * n // worth) - 1]),
    )


def share_span(bad: Flags, *, alone: bool = False) -> tuple[float, float]:
    """Clopper-Pearson's interval of the share of ``bad`` ones, for as many as they are worth."""
    n = bad.size
    if not n:
        return 0.0, 1.0
    worth = _worth(bad, alone=alone)
    k = int(np.count_nonzero(bad)) * worth / n
    return (
        exceedance_lower(math.floor(k), worth, _SIDE),
        exceedance_upper(math.ceil(k), worth, _SIDE),
    )


def mean_span(values: Floats, *, alone: bool = False) -> tuple[float, float]:
    """Student's interval of the mean, from the means of 20 stretches; without end for fewer.

    ``alone``: each value is independent, and the interval that of the normal distribution.
    """
    if values.size < _BLOCKS:
        return 0.0, math.inf
    if alone:
        half = _Z * float(values.std(ddof=1)) / math.sqrt(values.size)
    else:
        means = _by_block(values, lambda block: block.mean())
        half = _T * float(means.std(ddof=1)) / math.sqrt(_BLOCKS)
    mean = float(values.mean())
    return max(0.0, mean - half), mean + half


def _worth(hits: Flags, *, alone: bool) -> int:
    """As many independent requests tell as much of the share of hits as these."""
    deff = 1.0 if alone else design_effect(hits)
    rough = 1.0 if deff == 1.0 else (_Z / _T) ** 2
    return max(1, min(_MOST, int(hits.size / deff * rough)))


def design_effect(hits: Flags) -> float:
    """How many of these requests tell as much as one independent one: at least 1.

    The variance of the share of hits between 20 stretches, over what independent ones would have.
    1 where there are too few to tell.
    """
    share = float(hits.mean()) if hits.size else 0.0
    if hits.size < 2 * _BLOCKS or share in (0.0, 1.0):
        return 1.0
    shares = _by_block(hits.astype(np.float64), lambda block: block.mean())
    alone = share * (1 - share) / (hits.size / _BLOCKS)
    return max(1.0, float(shares.var(ddof=1)) / alone)


def _by_block(values: Floats, of: Callable[[Floats], float]) -> Floats:
    return np.array([of(block) for block in np.array_split(values, _BLOCKS)])


def _binomial_cdf(n: int, p: float) -> Floats:
    """P(Binomial(n, p) <= k) for k from 0 to n."""
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    k = np.arange(n + 1)
    log_pmf = logs[n] - logs - logs[::-1] + k * math.log(p) + (n - k) * math.log1p(-p)
    return np.cumsum(np.exp(log_pmf))
