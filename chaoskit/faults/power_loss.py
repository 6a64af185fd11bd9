"""``power-loss``: the node dies at once, and its disk holds what was synced and nothing else.

``kill`` spares what a program has written and not synced: the kernel holds it and writes it out.
Pulling the plug does not. A system that acknowledges a write before it is on a disk, its own or
enough others', loses it here and in no gentler test. Nodes that are struck together lose their
power at the same moment, as the machines of one rack do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.disks import DISK_LABEL, Disks
from chaoskit.faults.dials import dial
from chaoskit.faults.disk_tries import sound, works_again
from chaoskit.faults.ending import all_gone, start_all

__all__ = ["PowerLoss"]


class PowerLoss(FaultModel):
    """Ends the targets and takes back what their disks were not told to keep; healed by a start."""

    kind: ClassVar[str] = "power-loss"
    needs: ClassVar[frozenset[str]] = frozenset({"disk", "kill"})
    summary: ClassVar[str] = (
        "the node dies and its disk forgets what was not synced; healed by starting it again"
    )
    labels: ClassVar[frozenset[str]] = frozenset({DISK_LABEL})

    def features(self) -> frozenset[str]:
        """A disk that knows what was flushed."""
        return frozenset({"disk-device"})

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there, and its disk, are decided by this fault alone."""
        return frozenset({Claim("disk"), Claim("life")})

    def prepare(self, lab: Lab) -> None:
        """See that the disks work, and not later: what a node left unsynced our sync would keep."""
        sound(cast("Disks", lab), [node for node in lab.nodes() if DISK_LABEL in node.labels])

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Cut the power of all; verified once no incarnation of any is left, and no block of it."""
        disks, nodes = cast("Disks", lab), targets.nodes
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials)
        try:
            blackout = disks.lose_power(nodes)
            hold.acknowledged_ns = blackout.told_ns
            hold.verified_ns = now_ns() if all_gone(lab, nodes) else None
            hold.detail = ", ".join(
                f"{name} lost {size // 1024} KiB that were not synced"
                for name, size in blackout.forgotten.items()
            )
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            start_all(lab, nodes)
            works_again(lab, nodes)
            hold.healed_ns = now_ns()
