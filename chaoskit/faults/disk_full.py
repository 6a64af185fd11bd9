"""``disk-full``: no space is left on the node's disk.

Whatever the node writes fails with ENOSPC, at once, and everything else works: it reads, listens,
sends its heartbeats. Only a file system of the node's own is filled up, of bounded size: the disk
that the label ``chaoskit.disk`` gives it, or a ``tmpfs`` with a size. It is filled by one large
file without a name, which nobody in the node sees and which is gone when whoever holds it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from pydantic import Field, field_validator

from chaoskit.clock import now_ns
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Targets
from chaoskit.disks import Disks
from chaoskit.faults.disk_tries import each, sound
from chaoskit.units import ByteSize, format_size

__all__ = ["DiskFull"]

_MORE = 1 << 20  # so much more than is left is written to see that it does not fit
_SLACK = 64 << 10  # what a file system keeps for itself and still counts as free
_PATIENCE_S = 10.0


class DiskFull(FaultModel):
    """Takes all space but so much; healed by giving it back."""

    kind: ClassVar[str] = "disk-full"
    needs: ClassVar[frozenset[str]] = frozenset({"disk"})
    summary: ClassVar[str] = "no space is left on the node's disk; healed by giving it back"

    leave: ByteSize = Field(
        0, description="How much stays free, in whole blocks.", examples=["64k", "1m"]
    )
    path: str = Field(
        "",
        description="A folder of the node that is a file system of its own. Unsaid: the one of "
        "its label chaoskit.disk.",
        examples=["/data"],
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and (not value.startswith("/") or ".." in value.split("/") or "\0" in value):
            raise ValueError("path: an absolute path in the node, e.g. /data")
        return value

    def claims(self) -> frozenset[Claim]:
        """The disk."""
        return frozenset({Claim("disk")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Fill up every target; verified by statvfs and by a write of ours that does not fit."""
        disks, nodes, path = cast("Disks", lab), targets.nodes, self.path
        sound(disks, nodes, path)
        names = ", ".join(node.name for node in nodes)
        hold = Hold(now_ns(), 0, None, detail=f"the disk of {names} is full", outside=False)
        try:
            rooms = [disks.fill(node, self.leave, path) for node in nodes]
            hold.acknowledged_ns = now_ns()
            full = all(room.free <= self.leave + _SLACK for room in rooms)
            size = self.leave + _MORE
            tries = [disks.try_disk(node, size, _PATIENCE_S, path).error for node in nodes]
            said = ", ".join(error or "it worked" for error in tries)
            hold.detail += (
                f": {format_size(max(room.free for room in rooms))} free of "
                f"{format_size(rooms[0].size)}; a write of ours of {format_size(size)}: {said}"
            )
            if full and set(tries) == {"ENOSPC"} and self._holds(disks, targets):
                hold.verified_ns = now_ns()
            hold.in_force = lambda: self._holds(disks, targets)
            yield hold
            if not self._holds(disks, targets):
                hold.verified_ns = None
                hold.detail += "; not any more before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            each(nodes, lambda node: disks.drain(node, path))
            hold.healed_ns = now_ns()

    def _holds(self, disks: Disks, targets: Targets) -> bool:
        return all(disks.filled(node, self.path) for node in targets.nodes)
