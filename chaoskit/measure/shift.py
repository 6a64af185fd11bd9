"""How far one set of trials is shifted against another: rank methods for few trials.

All is exact as long as both sides together are few (``EXACT_UP_TO`` pairs), and distribution-free.
A trial that had not ended when observation did ranks as ``+inf``, above every one that ended. The
*interval* of the shift is more careful: such a trial counts from its lower bound at the low end
and as ``+inf`` at the high end, so both ends stay valid and one of them may be unbounded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, variance

from chaoskit.measure.statistics import median

__all__ = [
    "EXACT_UP_TO",
    "LEAST_TRIALS",
    "Observed",
    "Shift",
    "cliffs_delta",
    "least_p",
    "mann_whitney_p",
    "shift",
    "trials_to_decide",
    "u_counts",
]

CONFIDENCE = 0.95
EXACT_UP_TO = 3600
"""Pairs (m x n) up to which the distribution of U is counted; beyond, it is as good as normal."""

LEAST_TRIALS = 4
"""Of each side: 3 against 3 have 20 orders, so none is rarer than 10 %, counted on both sides."""

_NORMAL = NormalDist()
_MOST_TRIALS = 1000
_LIKELY = 0.8


@dataclass(frozen=True)
class Observed:
    """One trial's value; ``ended`` False: it is a lower bound, the trial was over before."""

    value: float
    ended: bool = True

    @property
    def rank(self) -> float:
        """What it sorts by."""
        return self.value if self.ended else math.inf


@dataclass(frozen=True)
class Shift:
    """NEW less BASE: Hodges-Lehmann estimate, and the interval that contains the true shift.

    ``coverage`` is what the interval covers at least, ``None`` if there are too few trials for
    95 %: then it is ``-inf`` to ``inf``. ``point`` is ``inf`` or ``-inf`` where trials without an
    end decide, and ``nan`` where nothing else is left. ``delta`` is Cliff's: P(NEW is larger) less
    P(NEW is smaller). ``p`` is that of Mann and Whitney, two-sided.
    """

    point: float
    low: float
    high: float
    coverage: float | None
    delta: float
    p: float


# ---------------------------------------------------------------- distributions, counted


def _rank_sums(ranks: Sequence[int], m: int) -> tuple[int, ...]:
    """How many choices of ``m`` of the ranks have each sum, by index.

    The polynomial of each count is held in one integer, a digit for a sum: adding an element is a
    shift and an addition.
    """
    width = len(ranks) + 1  # bits; C(N, m) < 2**N
    polynomials = [1] + [0] * m
    for rank in ranks:
        for chosen in range(m, 0, -1):
            polynomials[chosen] += polynomials[chosen - 1] << (rank * width)
    found, mask = polynomials[m], (1 << width) - 1
    text = found.to_bytes((found.bit_length() + 7) // 8 or 1, "little")
    sums = []
    for index in range(sum(sorted(ranks)[len(ranks) - m :]) + 1):
        start = index * width
        piece = int.from_bytes(text[start // 8 : (start + width) // 8 + 1], "little")
        sums.append(piece >> (start % 8) & mask)
    return tuple(sums)


@lru_cache(maxsize=64)
def u_counts(m: int, n: int) -> tuple[int, ...]:
    """Of all orders of m and n different values, how many have each U = 0 .. m n."""
    if m < 1 or n < 1:
        raise ValueError("both sides need a trial")
    least = m * (m + 1) // 2
    return _rank_sums(range(1, m + n + 1), m)[least:]


def _tail_rank(m: int, n: int) -> tuple[int, float] | None:
    """The largest k so that the k-th smallest and k-th largest difference enclose 95 %."""
    tail = (1 - CONFIDENCE) / 2
    if m * n > EXACT_UP_TO:
        deviation = math.sqrt(m * n * (m + n + 1) / 12)
        k = math.floor(m * n / 2 - _NORMAL.inv_cdf(1 - tail) * deviation - 0.5)
        return max(k, 1), CONFIDENCE
    total, below, best = math.comb(m + n, m), 0, None
    for k, count in enumerate(u_counts(m, n), start=1):
        below += count  # P(U <= k - 1) x total
        if below > tail * total:
            break
        best = (k, 1 - 2 * below / total)
    return best


def least_p(m: int, n: int) -> float:
    """The smallest two-sided p that ``m`` against ``n`` trials can have."""
    return min(1.0, 2 / math.comb(m + n, m))


def mann_whitney_p(base: Sequence[Observed], new: Sequence[Observed]) -> float:
    """Two-sided; by the distribution given the ties, counted, or normal for many trials."""
    m, n = len(new), len(base)
    doubled = _doubled_ranks([*(o.rank for o in new), *(o.rank for o in base)])
    seen = sum(doubled[:m])
    if m * n > EXACT_UP_TO:
        return _normal_p(doubled, m, seen)
    sums = _rank_sums(doubled, m)
    total = math.comb(m + n, m)
    tail = min(sum(sums[: seen + 1]), sum(sums[seen:]))
    return min(1.0, 2 * tail / total)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the mid-rank of each: whole numbers."""
    counts, ranks, below = Counter(values), {}, 0
    for value in sorted(counts):
        ranks[value] = 2 * below + counts[value] + 1
        below += counts[value]
    return [ranks[value] for value in values]


def _normal_p(doubled: Sequence[int], m: int, seen: int) -> float:
    total = len(doubled)
    middle = m * sum(doubled) / total
    spread = sum((r - sum(doubled) / total) ** 2 for r in doubled)
    deviation = math.sqrt(spread * m * (total - m) / (total * (total - 1)))
    if deviation == 0:
        return 1.0
    return min(1.0, 2 * (1 - _NORMAL.cdf(max(abs(seen - middle) - 1, 0.0) / deviation)))


def cliffs_delta(base: Sequence[Observed], new: Sequence[Observed]) -> float:
    """From -1 (every NEW is smaller) to 1 (every NEW is larger); ties count for neither."""
    larger = sum((y.rank > x.rank) - (y.rank < x.rank) for x in base for y in new)
    return larger / (len(base) * len(new))


# ---------------------------------------------------------------- the shift


def shift(base: Sequence[Observed], new: Sequence[Observed]) -> Shift:
    """How far NEW is shifted against BASE. Raises ``ValueError`` where a side is empty."""
    if not base or not new:
        raise ValueError("both sides need a trial")
    pairs = [(x, y) for x in base for y in new]
    lows = sorted(y.value - x.rank for x, y in pairs)
    highs = sorted(y.rank - x.value for x, y in pairs)
    found = _tail_rank(len(base), len(new))
    low, high, coverage = -math.inf, math.inf, None
    if found is not None:
        k, coverage = found
        low, high = lows[k - 1], highs[-k]
    return Shift(
        point=median([_difference(x, y) for x, y in pairs]),
        low=low,
        high=high,
        coverage=coverage,
        delta=cliffs_delta(base, new),
        p=mann_whitney_p(base, new),
    )


def _difference(base: Observed, new: Observed) -> float:
    """By rank: two that never ended do not differ."""
    if base.rank == new.rank:
        return 0.0
    return new.rank - base.rank


def trials_to_decide(
    base: Sequence[Observed], new: Sequence[Observed], found: Shift, allowed: float
) -> int | None:
    """Trials of each side that would decide in four of five cases, if the estimate is true.

    A rough number: the interval narrows with the root of the number of trials. ``None`` where no
    practical number would (more than 1,000, the estimate at the margin itself, or trials without
    an end leave the interval unbounded).
    """
    if not math.isfinite(found.point) or not math.isfinite(allowed):
        return None
    each = 2 * len(base) * len(new) / (len(base) + len(new))
    above = found.point > allowed
    half = found.point - found.low if above else found.high - found.point
    sided, likely = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2), _NORMAL.inv_cdf(_LIKELY)
    error = half / sided if found.coverage is not None else _error(base, new, each)
    if not math.isfinite(error):
        return None
    margin = abs(found.point - allowed)
    if margin == 0:
        return None
    if above:  # the low end over 0, and the estimate over the margin
        ratio = max((sided + likely) * error / found.point, likely * error / margin)
    else:
        ratio = (sided + likely) * error / margin
    needed = max(math.ceil(each * ratio**2), LEAST_TRIALS)
    if found.coverage is not None:
        needed = max(needed, math.floor(each) + 1)
    return needed if needed <= _MOST_TRIALS else None


def _error(base: Sequence[Observed], new: Sequence[Observed], each: float) -> float:
    """Standard error of the shift from the spread inside both sides; nan if it cannot be told."""
    sides = [[o.value for o in side] for side in (base, new) if len(side) > 1]
    if not sides or any(not o.ended for o in (*base, *new)):
        return math.nan
    spread = math.fsum(variance(s) * (len(s) - 1) for s in sides) / sum(len(s) - 1 for s in sides)
    return math.sqrt(spread * 2 / each * math.pi / 3)
