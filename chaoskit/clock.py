"""The one clock.

Every time in chaoskit is ``CLOCK_MONOTONIC`` in nanoseconds: one host has one such clock for all
its processes, containers and network namespaces, so events seen in different namespaces can be
compared, and stepping the wall clock changes no figure. Wall time is a label only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["NS", "Clock", "MonotonicClock", "now_ns", "time_namespace", "utc_label", "wait_until"]

NS = 1_000_000_000
"""Nanoseconds in a second."""

T = TypeVar("T")


def now_ns() -> int:
    """``CLOCK_MONOTONIC`` in nanoseconds."""
    return time.monotonic_ns()


def time_namespace(pid: int | str = "self") -> str | None:
    """The name of a process's time namespace; None if it ended or the kernel has none."""
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/time").readlink())
    return None


def utc_label() -> str:
    """Wall time as ``20260131T235959Z``; a label, never an input to a calculation."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


class Clock(Protocol):
    """What code that waits is given, so that a test can wait without waiting."""

    def now_ns(self) -> int:
        """Nanoseconds that only grow."""

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""


class MonotonicClock:
    """The real one."""

    def now_ns(self) -> int:
        """``CLOCK_MONOTONIC``."""
        return now_ns()

    def sleep(self, seconds: float) -> None:
        """Sleep; a negative or zero duration returns at once."""
        if seconds > 0:
            time.sleep(seconds)


def wait_until(
    look: Callable[[], T | None],
    *,
    within_s: float,
    every_s: float = 0.02,
    clock: Clock | None = None,
) -> T | None:
    """Call ``look`` until it returns something true; None if it did not within ``within_s``.

    ``look`` is called at least once, and once more at the deadline.
    """
    clock = clock or MonotonicClock()
    deadline = clock.now_ns() + int(within_s * NS)
    while True:
        seen = look()
        if seen:
            return seen
        left = (deadline - clock.now_ns()) / NS
        if left <= 0:
            return None
        clock.sleep(min(every_s, left))
