"""What a node may use of the machine, taken away and given back: capabilities of labs.

``limit``: processor time, memory, descriptors. ``clock``: the time of day as the node sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from chaoskit.contracts import Node

__all__ = ["ClockShift", "Cpu", "Descriptors", "Limit", "Limits", "Memory", "ShiftsClock"]


@dataclass(frozen=True)
class Cpu:
    """All processes of ``node`` together run ``quota_us`` of every ``period_us``, on all CPUs."""

    node: Node
    quota_us: int
    period_us: int


@dataclass(frozen=True)
class Memory:
    """All processes of ``node`` together hold at most ``limit`` bytes.

    Without it: ``spare`` bytes more than they hold when it is put in force. With ``fill`` a process
    of ours in the node's group holds whatever is left, and gives way before any of the node's.
    """

    node: Node
    limit: int | None = None
    spare: int = 0
    fill: bool = False


@dataclass(frozen=True)
class Descriptors:
    """Each process of ``node`` can open ``left`` more files or sockets, and none beyond that."""

    node: Node
    left: int = 0


Limit = Cpu | Memory | Descriptors


@runtime_checkable
class Limits(Protocol):
    """``limit``: a control group's limit on the node, or the kernel's on each process of it."""

    def limit(self, limits: Sequence[Limit]) -> str:
        """Put all in force, read them back, return a handle. All or nothing; only ever less."""

    def limited(self, handle: str) -> bool:
        """Ask the kernel whether every limit of the handle holds now."""

    def limit_met(self, handle: str) -> bool:
        """Ask the kernel whether the target has come up against any of them since."""

    def tighten(self, handle: str) -> None:
        """Reach who has come since, and take what has become free. To be called often."""

    def unlimit(self, handle: str) -> None:
        """Restore what was there, exactly, and see that it is. Idempotent. ``HealFailed``."""


@dataclass(frozen=True)
class ClockShift:
    """The time of day on ``node`` is ``offset_s`` ahead of this machine's (negative: behind)."""

    node: Node
    offset_s: float


@runtime_checkable
class ShiftsClock(Protocol):
    """``clock``: what the node's programs are told when they ask for the time of day."""

    def shift_clock(self, shifts: Sequence[ClockShift]) -> str:
        """Put all in force, read them back, return a handle. All or nothing."""

    def move_clock(self, handle: str, offset_s: float) -> None:
        """Another offset for all of them. Raises ``LabError``."""

    def clock_shifted(self, handle: str) -> bool:
        """Whether every shift of the handle is there now, as it was last set."""

    def clock_offset(self, node: Node) -> float:
        """Seconds by which the node's clock is ahead, as a program in it reads it. ``LabError``."""

    def unshift_clock(self, handle: str) -> None:
        """Set them right, and see that they are. Idempotent. Raises ``HealFailed``."""
