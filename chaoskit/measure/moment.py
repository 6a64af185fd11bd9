"""A moment that is known to a width."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Moment"]


@dataclass(frozen=True)
class Moment:
    """When something happened, ns: not earlier than ``at - before``, not later than ``+ after``."""

    at: int
    before: int = 0
    after: int = 0
