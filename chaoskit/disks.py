"""A disk of a node's own, and the capability of a lab that can fill it up and hold it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from chaoskit.contracts import Node

__all__ = ["DISK_LABEL", "Blackout", "DiskPace", "DiskTrial", "Disks", "Room"]

DISK_LABEL = "chaoskit.disk"
"""The label by which a service asks for a disk of its own: ``/data 64m``."""


@dataclass(frozen=True)
class DiskPace:
    """How a disk answers: not at all, or after ``latency_s`` and at ``rate`` bytes a second.

    One request at a time; 0 means: as fast as it can.
    """

    stalled: bool = False
    latency_s: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True)
class Blackout:
    """A loss of power: node → bytes that are forgotten, and when the last was told to end, ns."""

    forgotten: Mapping[str, int]
    told_ns: int


@dataclass(frozen=True)
class Room:
    """A file system as the kernel counts it, in bytes. ``held``: by us, to fill it up."""

    size: int
    free: int
    held: int = 0


@dataclass(frozen=True)
class DiskTrial:
    """What became of bytes that were written and synced in the node's folder by a process of ours.

    ``ended`` is False where it had not returned when patience ran out; ``error`` is the name of
    the errno (``ENOSPC``), empty where it worked.
    """

    ended: bool
    took_s: float
    error: str = ""


@runtime_checkable
class Disks(Protocol):
    """``disk``: a node's own file system is filled up, or the disk below it held up.

    ``path`` is a folder of the node's; empty: where its ``chaoskit.disk`` is. Everything raises
    ``LabError`` where that is no file system of the node's own and of bounded size.
    """

    def ready_disk(self, node: Node, path: str = "") -> Room:
        """Make ready what the rest needs, and look. Idempotent."""

    def try_disk(self, node: Node, size: int, patience_s: float, path: str = "") -> DiskTrial:
        """Write and sync ``size`` bytes there; what is written is gone again afterwards."""

    def fill(self, node: Node, leave: int, path: str = "") -> Room:
        """Take all space but ``leave`` bytes, in a file that nobody sees. Raises ``LabError``."""

    def filled(self, node: Node, path: str = "") -> bool:
        """Ask the kernel whether that space is taken, where the node has the path now."""

    def drain(self, node: Node, path: str = "") -> None:
        """Give the space back, and see that it is. Idempotent. Raises ``HealFailed``."""

    def hold_up(self, node: Node, pace: DiskPace) -> None:
        """Let the disk answer like that from now on, whatever waits included."""

    def held_up(self, node: Node) -> bool:
        """Whether the disk is held up now, and is what the node has mounted."""

    def requests_waiting(self, node: Node) -> int:
        """How many requests the kernel has given to the disk that it has not answered."""

    def let_go(self, node: Node) -> None:
        """Let it answer at once, and see that it does. Idempotent. Raises ``HealFailed``."""

    def lose_power(self, nodes: Sequence[Node]) -> Blackout:
        """End them all at the same moment, and let their disks forget what was not synced then.

        From that moment no sync returns to anybody who could tell of it. Afterwards every node is
        down as if it had been killed, and its disk works.
        """
