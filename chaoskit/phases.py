"""Where in the failure detector's period each trial's fault falls."""

from __future__ import annotations

import random

from chaoskit.stack.labels import detector
from chaoskit.stack.model import Stack

__all__ = ["longest_period_s", "phases_s"]


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
