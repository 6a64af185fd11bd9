"""Statistics over repeated trials. The unit is one failure, not one request.

All methods are exact and distribution-free: failover times have heavy tails, few trials, and
some that never ended (``math.inf``), which sort last and leave rank methods valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "LEAST_FOR_MEDIAN",
    "LEAST_FOR_P95",
    "RankInterval",
    "binomial_cdf",
    "exceedance_lower",
    "exceedance_upper",
    "median",
    "median_interval",
    "more_often",
    "quantile_lower",
    "quantile_upper",
    "rate_lower",
    "rate_upper",
    "trials_needed",
]

CONFIDENCE = 0.95
LEAST_FOR_MEDIAN = 6
"""Trials without which no two of them cover the median with 95 %."""
LEAST_FOR_P95 = 59
"""Trials without which none of them lies above the 95th percentile with 95 %."""


@dataclass(frozen=True)
class RankInterval:
    """``[x(low_rank), x(high_rank)]``, ranks from 1, with the coverage it has at least."""

    low: float
    high: float
    low_rank: int
    high_rank: int
    coverage: float


def _cdf(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k)."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    head = math.lgamma(n + 1)
    terms = (
        math.exp(head - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q)
        for i in range(k + 1)
    )
    return min(1.0, math.fsum(terms))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(at most ``k`` of ``n`` events), each with probability ``p``."""
    return _cdf(k, n, p)


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones for an even number; inf if censored."""
    if not values:
        raise ValueError("the median of no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> RankInterval | None:
    """The narrowest symmetric pair of order statistics that covers the median; None below n = 6.

    The low end is that of ``values``; a caller with brackets passes lows and highs apart.
    """
    n = len(values)
    best = None
    for k in range(1, n // 2 + 1):
        coverage = 1 - 2 * _cdf(k - 1, n, 0.5)
        if coverage < confidence:
            break
        best = (k, coverage)
    if best is None:
        return None
    k, coverage = best
    ordered = sorted(values)
    return RankInterval(ordered[k - 1], ordered[n - k], k, n - k + 1, coverage)


def quantile_upper(
    values: Sequence[float], q: float, confidence: float = CONFIDENCE
) -> float | None:
    """A bound that lies above the ``q`` quantile with ``confidence``; None where n is too small.

    The 95th percentile needs 59 trials, the 90th 29, the 99th 299: then the largest is the bound.
    """
    n = len(values)
    for k in range(1, n + 1):
        if _cdf(k - 1, n, q) >= confidence:
            return sorted(values)[k - 1]
    return None


def quantile_lower(
    values: Sequence[float], q: float, confidence: float = CONFIDENCE
) -> float | None:
    """A bound that lies below the ``q`` quantile with ``confidence``; None where n is too small."""
    n = len(values)
    for k in range(n, 0, -1):
        if 1 - _cdf(k - 1, n, q) >= confidence:
            return sorted(values)[k - 1]
    return None


def exceedance_upper(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """Clopper-Pearson: the largest share that ``k`` of ``n`` does not rule out, one-sided."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share")
    if k == n:
        return 1.0
    return _bisect(lambda p: _cdf(k, n, p) > 1 - confidence)


def exceedance_lower(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """Clopper-Pearson: the smallest share that ``k`` of ``n`` does not rule out, one-sided."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share")
    if k == 0:
        return 0.0
    return _bisect(lambda p: 1 - _cdf(k - 1, n, p) < 1 - confidence)


def more_often(k: int, n: int, others_k: int, others_n: int) -> float:
    """Fisher's exact test: how likely so many of ``n`` or more are, were both shares the same.

    One-sided; the sum of the hypergeometric distribution's upper tail, all margins given.
    """
    if not (0 <= k <= n and 0 <= others_k <= others_n):
        raise ValueError(f"{k} of {n} against {others_k} of {others_n} are not shares")
    struck, total = k + others_k, n + others_n
    ways = sum(
        math.comb(n, i) * math.comb(others_n, struck - i) for i in range(k, min(n, struck) + 1)
    )
    return ways / math.comb(total, struck)


def _poisson_cdf(k: int, mean: float) -> float:
    """P(Poisson(mean) <= k)."""
    if k < 0:
        return 0.0
    if mean <= 0.0:
        return 1.0
    log_mean = math.log(mean)
    terms = (math.exp(i * log_mean - mean - math.lgamma(i + 1)) for i in range(k + 1))
    return min(1.0, math.fsum(terms))


def rate_upper(k: int, watched: float, confidence: float = CONFIDENCE) -> float:
    """The largest rate that ``k`` events in ``watched`` do not rule out, one-sided; exact Poisson.

    Without an event this is the rule of three: ``-ln(0.05) / watched``, about ``3 / watched``.
    Raises ``ValueError`` where nothing was watched.
    """
    if k < 0 or not watched > 0:
        raise ValueError(f"{k} events in {watched} are no rate")
    top = 10.0 * (k + 1) + 100.0
    return top * _bisect(lambda p: _poisson_cdf(k, top * p) > 1 - confidence) / watched


def rate_lower(k: int, watched: float, confidence: float = CONFIDENCE) -> float:
    """The smallest rate that ``k`` events in ``watched`` do not rule out, one-sided."""
    if k < 0 or not watched > 0:
        raise ValueError(f"{k} events in {watched} are no rate")
    if k == 0:
        return 0.0
    top = 10.0 * (k + 1) + 100.0
    return top * _bisect(lambda p: 1 - _poisson_cdf(k - 1, top * p) < 1 - confidence) / watched


def _bisect(below: Callable[[float], bool]) -> float:
    """The point of [0, 1] where ``below`` turns from true to false."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def trials_needed(
    q: float, allowed: int = 0, confidence: float = CONFIDENCE, cap: int = 100_000
) -> int:
    """How many trials show P(exceeding) <= q if at most ``allowed`` of them exceed."""
    if not 0 < q < 1:
        raise ValueError("a share to be shown lies between 0 and 1")
    low, high = allowed + 1, cap
    while low < high:
        middle = (low + high) // 2
        if _cdf(allowed, middle, q) <= 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low
