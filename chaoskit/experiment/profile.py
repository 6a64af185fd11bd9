"""How much proof an experiment owes: from a quick look to a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["PROFILES", "Profile", "ProfileName"]

ProfileName = Literal["smoke", "pr", "nightly", "certificate"]


@dataclass(frozen=True)
class Profile:
    """The least that a valid trial needs before and after the fault, and how many trials."""

    baseline_s: float  # load without a fault, at least
    baseline_requests: int  # and at least so many requests of it
    stable_s: float  # no role changed for so long before the fault
    steady_s: float  # as good as the baseline for so long, to call it steady again
    trials: int


PROFILES: Mapping[ProfileName, Profile] = {
    "smoke": Profile(3.0, 300, 1.0, 2.0, 3),
    "pr": Profile(5.0, 500, 2.0, 5.0, 10),
    "nightly": Profile(30.0, 3000, 10.0, 10.0, 30),
    "certificate": Profile(30.0, 3000, 10.0, 10.0, 59),
}
"""59 trials without a miss show with 95 % confidence that at most 5 % of failovers would miss."""
