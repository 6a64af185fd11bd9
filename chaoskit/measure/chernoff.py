"""Bounds of a share of so many requests that an exact sum over them would take seconds.

Chernoff and Hoeffding: of n draws with probability p, k or more come at most with probability
exp(-n D), where D = k/n ln(k/n / p) + (1 - k/n) ln((1 - k/n) / (1 - p)) and k/n > p; likewise k or
fewer where k/n < p. So the bounds hold for every n, lie outside Clopper and Pearson's, and cost the
same whatever n is. Hoeffding (1963), theorem 1.
"""

from __future__ import annotations

import math

__all__ = ["share_lower", "share_upper"]

_STEPS = 60


def share_lower(k: int, n: int, confidence: float) -> float:
    """The smallest share that ``k`` of ``n`` does not rule out, one-sided; 0 of nothing."""
    _check(k, n)
    if k == 0:
        return 0.0
    low, high = 0.0, k / n
    for _ in range(_STEPS):
        middle = (low + high) / 2
        excluded = n * _divergence(k / n, middle) >= -math.log(1 - confidence)
        low, high = (middle, high) if excluded else (low, middle)
    return low


def share_upper(k: int, n: int, confidence: float) -> float:
    """The largest share that ``k`` of ``n`` does not rule out, one-sided; 1 of nothing."""
    _check(k, n)
    return 1.0 if n == 0 else 1.0 - share_lower(n - k, n, confidence)


def _check(k: int, n: int) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a share")


def _divergence(share: float, p: float) -> float:
    """Of a draw with probability ``share`` from one with ``p``, which is lower; nats."""
    if p <= 0.0:
        return math.inf
    found = share * math.log(share / p)
    return found if share == 1.0 else found + (1 - share) * math.log((1 - share) / (1 - p))
