"""``disk-slow``: every request to the node's disk takes longer, or they share a low rate.

A disk that is about to die, a neighbour that uses it up, a volume that was throttled. Nothing
fails. Whatever syncs before it answers becomes as slow as the disk, and the more waits the longer
it takes: one request after the other. What is only buffered or read from memory stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self, cast

from pydantic import Field, model_validator

from chaoskit.clock import now_ns
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Targets
from chaoskit.disks import DISK_LABEL, DiskPace, Disks
from chaoskit.errors import LabError
from chaoskit.faults.disk_tries import BLOCK, paced, sound
from chaoskit.units import BytesPerSecond, Seconds, format_bandwidth, format_duration

__all__ = ["DiskSlow"]

_LONGEST_S = 10.0
_SLOWEST, _FASTEST = 4096, 1_000_000_000  # bytes/s
_PROOF_S = 0.1  # how long the rate alone should keep the write that is tried
_TRIED_MOST = 4 << 20
_BEFORE = 3
_SHARE = 0.8  # of what it must take by the parameters, for timers that are a little early


class DiskSlow(FaultModel):
    """Answers every request of the target's disk later; healed by answering at once."""

    kind: ClassVar[str] = "disk-slow"
    needs: ClassVar[frozenset[str]] = frozenset({"disk"})
    summary: ClassVar[str] = "the node's disk is slow; healed by letting it answer at once"
    labels: ClassVar[frozenset[str]] = frozenset({DISK_LABEL})

    latency_s: Seconds = Field(
        0.02,
        alias="latency",
        description="How much later each request is answered, up to 10s. One sync of a journaling "
        "file system is two to six of them.",
        examples=["20ms", "200ms"],
    )
    rate: BytesPerSecond | None = Field(
        None,
        description="How much the disk reads and writes at most, from 4096B/s. Unsaid: no limit.",
        examples=["100KB/s", "1MB/s"],
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.latency_s > _LONGEST_S:
            raise ValueError("latency: up to 10s; to let nothing pass, use disk-stall")
        if self.rate is not None and not _SLOWEST <= self.rate <= _FASTEST:
            raise ValueError("rate: from 4096B/s to 1GB/s; to let nothing pass, use disk-stall")
        if self.rate is None and self.latency_s < 0.001:
            raise ValueError("latency, rate: one of them is needed, a latency of 1ms at least")
        return self

    def features(self) -> frozenset[str]:
        """A disk whose every request can be held up."""
        return frozenset({"disk-device"})

    def claims(self) -> frozenset[Claim]:
        """The disk."""
        return frozenset({Claim("disk")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Slow every disk down; verified by a write of ours that takes as long as it must."""
        disks, nodes = cast("Disks", lab), targets.nodes
        size, least_s = self._proof()
        # Others use this machine too: what it can do is the best of a few.
        whole = (sound(disks, nodes, size=size) for _ in range(_BEFORE))
        before = min(whole, key=lambda trial: trial.took_s)
        if before.took_s >= least_s:
            raise LabError(
                f"a write of ours took {before.took_s * 1000:.0f} ms without the fault: that it "
                f"takes {least_s * 1000:.0f} ms with it would prove nothing; make the fault slower"
            )
        names = ", ".join(node.name for node in nodes)
        hold = Hold(now_ns(), 0, None, detail=f"the disk of {names} {self._said()}")
        pace = DiskPace(latency_s=self.latency_s, rate=self.rate or 0.0)
        with paced(lab, nodes, pace, hold) as in_force:
            tries = [disks.try_disk(node, size, 60 * least_s + 10) for node in nodes]
            slow = all(one.ended and not one.error and one.took_s >= least_s for one in tries)
            if slow and in_force():
                hold.verified_ns = now_ns()
            took = min(one.took_s for one in tries)
            hold.detail += (
                f": a write of ours took {took * 1000:.0f} ms, {before.took_s * 1000:.0f} before"
            )
            yield hold

    def _proof(self) -> tuple[int, float]:
        """How many bytes to try with, and how long that must take at least."""
        if self.rate is None:
            return BLOCK, self.latency_s * _SHARE
        size = min(_TRIED_MOST, max(BLOCK, int(self.rate * _PROOF_S)))
        return size, max(self.latency_s, size / self.rate) * _SHARE

    def _said(self) -> str:
        parts = [f"answers {format_duration(self.latency_s)} late"] if self.latency_s else []
        parts += [f"moves {format_bandwidth(self.rate)}"] if self.rate else []
        return " and ".join(parts)
