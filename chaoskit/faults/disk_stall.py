"""``disk-stall``: the node's disk answers nothing any more, and reports no error either.

Whoever syncs, or reads what is not in memory, hangs in the kernel and cannot even be killed; writes
that are only buffered still return. Everything that never touches the disk goes on: heartbeats,
leases, health checks. A failure detector that asks no disk sees nothing, and no failover comes:
the typical grey failure. What waits is answered when the disk is back, as by a cable that was
plugged in again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Targets
from chaoskit.disks import DISK_LABEL, DiskPace, Disks
from chaoskit.faults.disk_tries import BLOCK, paced, sound

__all__ = ["DiskStall"]

_HANGS_S = 0.05  # far longer than a block takes, which is tried before
_SEEN_S = 2.0


class DiskStall(FaultModel):
    """Lets the disk of every target answer nothing; healed by letting it answer."""

    kind: ClassVar[str] = "disk-stall"
    needs: ClassVar[frozenset[str]] = frozenset({"disk"})
    summary: ClassVar[str] = "the node's disk answers nothing; healed by letting it answer"
    labels: ClassVar[frozenset[str]] = frozenset({DISK_LABEL})

    def features(self) -> frozenset[str]:
        """A disk whose every request can be held up."""
        return frozenset({"disk-device"})

    def claims(self) -> frozenset[Claim]:
        """The disk; and its processes must be there, for one that hangs in it cannot be killed."""
        return frozenset({Claim("disk"), Claim("life", share=True)})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Stall every disk; verified by a write of ours that hangs, and the kernel's counter."""
        disks, nodes = cast("Disks", lab), targets.nodes
        before = sound(disks, nodes)
        names = ", ".join(node.name for node in nodes)
        hold = Hold(now_ns(), 0, None, detail=f"the disk of {names} answers nothing")
        with paced(lab, nodes, DiskPace(stalled=True), hold) as in_force:
            hung = [not disks.try_disk(node, BLOCK, _HANGS_S).ended for node in nodes]
            waits = wait_until(
                lambda: all(disks.requests_waiting(node) for node in nodes) or None,
                within_s=_SEEN_S,
                every_s=0.002,
            )
            if all(hung) and waits and in_force():
                hold.verified_ns = now_ns()
            waiting = sum(disks.requests_waiting(node) for node in nodes)
            hold.detail += (
                f": a write of ours, {before.took_s * 1000:.0f} ms before, hangs in it; "
                f"the kernel has {waiting} requests unanswered"
            )
            yield hold
