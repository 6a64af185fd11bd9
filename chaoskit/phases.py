"""Where in the failure detector's period each trial's fault falls."""

from __future__ import annotations

import random

from chaoskit.stack.labels import detector
from chaoskit.stack.model import Stack

__all__ = ["longest_period_s", "open_phases_s", "phases_s"]


def longest_period_s(stack: Stack) -> float:
    """The longest interval that any service's detector declares; 0.0 where none does."""
    found = (detector(service) for service in stack.services.values())
    return max((d.interval_s for d in found if d is not None), default=0.0)


def phases_s(period_s: float, trials: int, seed: int) -> tuple[float, ...]:
    """``trials`` moments in [0, period): one in each of as many equal slices, in random order.

    Uniform and stratified, so that n trials cover the period evenly: with a fixed phase a
    lease-based system shows a fraction of its true spread. The same seed gives the same phases.
    """
    rng = random.Random(f"phases/{seed}")  # noqa: S311 - not a secret
    slices = list(range(trials))
    rng.shuffle(slices)
    return tuple(period_s * (k + rng.random()) / trials for k in slices)


def open_phases_s(period_s: float, trials: int, seed: int) -> tuple[float, ...]:
    """``trials`` moments in [0, period), the first n of which cover it evenly for every n.

    For a run that may stop at any look. The sequence of van der Corput (1935), base 2, turned by a
    random angle of the run's seed: each moment alone is uniform, and no slice of the period is
    wider than twice the mean gap of those so far.
    """
    turn = random.Random(f"phases/{seed}").random()  # noqa: S311 - not a secret
    return tuple(period_s * ((_mirrored(i) + turn) % 1.0) for i in range(trials))


def _mirrored(index: int) -> float:
    """The binary digits of a number, mirrored at the point: 1, 10, 11 -> .1, .01, .11."""
    found, digit = 0.0, 0.5
    while index:
        found += digit * (index & 1)
        index, digit = index >> 1, digit / 2
    return found
