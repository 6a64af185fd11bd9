"""``memory``: the node can hold so much memory and no more.

What it needs beyond that, the kernel first takes from its page cache; then it ends one of the
node's processes, the largest (OOM kill). With ``fill`` a process of ours inside the limit holds
whatever is left, so that every allocation of the node's meets the limit, and is the first that the
kernel ends when the node needs more. That is pressure, mostly without the node's end: one that asks
for much at once can be quicker than what the kernel takes back. The process goes with the fault,
with its harness, and after an hour by itself.

The limit is one of a control group (version 1 or 2): the container's own in Docker, one of ours in
the sandbox lab, where the node's processes are moved into it and back. What a process held before
it was moved is not counted there. A node that never comes up against the limit does not feel it:
the kernel's count of refused charges and OOM kills is the evidence, and without one the trial is
INVALID. A node that was ended by it is started again when the fault is healed. Needs root.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

from pydantic import Field, model_validator

from chaoskit import resources
from chaoskit.clock import NS, now_ns, wait_until
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Node, Targets
from chaoskit.faults.ending import start_all
from chaoskit.faults.limiting import limited
from chaoskit.units import ByteSize, format_size

__all__ = ["Memory"]

_LEAST = 1 << 20
_LATE_S = 0.5


class Memory(FaultModel):
    """Limits memory, and may fill what is left."""

    kind: ClassVar[str] = "memory"
    needs: ClassVar[frozenset[str]] = frozenset({"limit", "kill"})
    summary: ClassVar[str] = "the node's memory is limited; healed by the limit that it had before"

    limit: ByteSize | None = Field(
        None,
        description="What all its processes together can hold. Instead of 'spare'.",
        examples=["64m"],
    )
    spare: ByteSize | None = Field(
        None,
        description="How much more than when the fault comes it can hold. Unsaid, and no 'limit': "
        "16m.",
        examples=["16m", "2m"],
    )
    fill: bool = Field(
        False,
        description="true: a process of ours holds what is left, so that the limit is met at once.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.limit is not None and self.spare is not None:
            raise ValueError("limit and spare: one of them")
        if (self.limit if self.limit is not None else self.room) < _LEAST:
            raise ValueError("limit and spare: at least 1m; with less the node would only die")
        return self

    @property
    def room(self) -> int:
        """Bytes that it can hold on top, where no limit is said."""
        return 16 << 20 if self.spare is None else self.spare

    def features(self) -> frozenset[str]:
        """The controller."""
        return frozenset({"cgroup-memory"})

    def claims(self) -> frozenset[Claim]:
        """Its memory, and whether it is there: the kernel may end it."""
        return frozenset({Claim("memory"), Claim("life"), Claim("run", share=True)})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Set the limit; verified by reading it back, bitten when the kernel has refused more."""
        limits = [
            resources.Memory(node, self.limit, self.room, self.fill) for node in targets.nodes
        ]
        names = ", ".join(node.name for node in targets.nodes)
        much = f"{format_size(self.room)} more" if self.limit is None else format_size(self.limit)
        filled = ", all of it held by another" if self.fill else ""
        hold = None
        try:
            detail = f"{names}: {much} of memory{filled}"
            with limited(lab, targets, limits, detail, may_end=True) as hold:
                yield hold
        finally:
            healed_ns = _started(lab, targets.nodes)
            if hold is not None:
                hold.healed_ns = healed_ns


def _started(lab: Lab, nodes: Sequence[Node]) -> int:
    """Start whom the limit has ended, and say when all ran.

    A kill that the kernel had decided on when the limit went may strike after it, on a busy machine
    some hundredths of a second: so they have to run on for a while.
    """
    start_all(lab, nodes)
    healed_ns = now_ns()
    until_ns = healed_ns + int(_LATE_S * NS)
    while wait_until(
        lambda: any(lab.identity(node) is None for node in nodes),
        within_s=max(0.0, (until_ns - now_ns()) / NS),
        every_s=0.02,
    ):
        start_all(lab, nodes)
        healed_ns = now_ns()
    return healed_ns
