"""A threshold: a bound on one metric, as an experiment states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """``failover_time < 5s``, ``latency.p99@recovered < 2 x baseline``, ``P(m > 5s) <= 10%``.

    ``value`` is in seconds, a ratio (percent / 100), a count, a rate per second, or, with unit
    ``baseline``, a factor on the same metric over the baseline.
    """

    text: str  # as written, blanks normalised
    metric: str
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: float
    unit: Literal["s", "ratio", "count", "rate", "baseline"]
    stat: str | None = None  # "p99", "max", "count", ...
    phase: str | None = None  # what follows @: one of ``catalogue.PHASES``
    exceedance: float | None = None  # q of "P(metric op value) <= q"; op and value are the inner
    line: int = 0  # in the experiment file; 0 when it came from a flag
    because: str | None = None
