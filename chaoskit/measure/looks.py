"""Looking at a growing number of trials without fooling oneself: a plan of looks, fixed before.

Whoever looks after 3, 10, 30 and 59 trials and stops when a 95 % bound suits is wrong more often
than in 5 %. Here the 5 % are spent over the looks by the function of Lan and DeMets (1983) that
resembles the boundary of O'Brien and Fleming, ``2 - 2 Phi(z / sqrt(t))`` at ``t`` of the trials:
next to nothing early, nearly all of it at the cap. For shares the spending is counted exactly: what
a look cannot use, because trials are whole, is left to later ones. So 59 trials without a miss
still show that at most 5 % miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

__all__ = ["ERROR", "LADDER", "Boundary", "boundaries", "describe", "looks_up_to", "spending"]

LADDER = (3, 10, 30, 59)
"""The trials of the profiles smoke, pr, nightly and certificate."""
ERROR = 0.05
"""Of all looks together, on either side."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Boundary:
    """One look, at ``n`` trials.

    The share is shown if at most ``pass_at`` exceed, missed if at least ``fail_at`` do. ``level``
    is the error that this look may make in other statistics, on either side.
    """

    n: int
    pass_at: int  # -1: nothing can be shown yet
    fail_at: int  # n + 1: nothing can be missed yet
    level: float


def looks_up_to(cap: int) -> tuple[int, ...]:
    """The looks of a run of at most ``cap`` trials: the ladder below it, and the cap."""
    if cap < 1:
        raise ValueError("a run has at least one trial")
    return (*(n for n in LADDER if n < cap), cap)


def spending(looks: Sequence[int], error: float = ERROR) -> tuple[float, ...]:
    """Error spent up to each look, all of it at the last."""
    z = _NORMAL.inv_cdf(1 - error / 2)
    return tuple(2 - 2 * _NORMAL.cdf(z / math.sqrt(n / looks[-1])) for n in looks)


@lru_cache(maxsize=256)
def boundaries(
    looks: tuple[int, ...], allowed: float, error: float = ERROR
) -> tuple[Boundary, ...]:
    """Where each look decides about ``P(exceeding) <= allowed``.

    Whatever the true share is, the run says PASS wrongly, or FAIL wrongly, in at most ``error`` of
    all cases each, over all looks together; exact, by recursion over the number of exceedances.
    """
    spent = spending(looks, error)
    passes = _crossings(looks, allowed, spent)
    fails = _crossings(looks, 1 - allowed, spent)  # counted from the other side
    levels = [now - before for now, before in zip(spent, (0.0, *spent), strict=False)]
    return tuple(Boundary(n, passes[i], n - fails[i], levels[i]) for i, n in enumerate(looks))


def _crossings(looks: Sequence[int], p: float, spent: Sequence[float]) -> list[int]:
    """At each look the most events that cross, so that crossings stay within what is spent."""
    alive, before, used = {0: 1.0}, 0, 0.0
    found = []
    for n, limit in zip(looks, spent, strict=True):
        alive = _convolved(alive, n - before, p)
        before = n
        at = -1
        while at < n and used + alive.get(at + 1, 0.0) <= limit:
            at += 1
            used += alive.pop(at, 0.0)
        found.append(at)
    return found


def _convolved(alive: dict[int, float], trials: int, p: float) -> dict[int, float]:
    """The distribution of events after so many trials more."""
    added = [math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(trials + 1)]
    found: dict[int, float] = {}
    for seen, chance in alive.items():
        for k, more in enumerate(added):
            found[seen + k] = found.get(seen + k, 0.0) + chance * more
    return found


def describe(looks: Sequence[int]) -> str:
    """The plan as a sentence, for the header of a run."""
    when = ", ".join(str(n) for n in looks)
    return (
        f"looks after {when} valid trials; stops when every threshold is decided or safety is "
        f"violated, at most {looks[-1]} trials; {ERROR * 100:g} % error over all looks"
    )
