"""``fd-exhaustion``: the node has no file descriptor left.

Every process of it keeps what it has open and can open nothing more: ``accept``, ``open``, ``pipe``
and ``socket`` fail with EMFILE ("too many open files"), as after a leak or a burst of connections.
Those who are connected go on being served; a new connection is completed by the kernel and then
nobody takes it. What is closed meanwhile is not given back: the limit follows downwards, as if the
leak took that as well. Programs that do not expect it spin, log without end, or die.

The limit is the kernel's own (RLIMIT_NOFILE, the soft one), set from outside with prlimit(2) on
each process of the node, and restored for each. Where no port of the node is known, or something is
left to it, the evidence is the kernel's: no descriptor below the limit is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field

from chaoskit.contracts import OBSERVER, Claim, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.faults.dials import poke
from chaoskit.faults.limiting import limited
from chaoskit.resources import Descriptors

__all__ = ["FdExhaustion"]


class FdExhaustion(FaultModel):
    """Takes away all free file descriptors."""

    kind: ClassVar[str] = "fd-exhaustion"
    needs: ClassVar[frozenset[str]] = frozenset({"limit"})
    summary: ClassVar[str] = (
        "the node can open neither file nor connection; healed by the limit that it had before"
    )

    left: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="How many more each process can open, of what is open at any moment.",
        examples=[0, 3],
    )

    def claims(self) -> frozenset[Claim]:
        """Its descriptors; whoever stands still opens none."""
        return frozenset({Claim("descriptors"), Claim("run", share=True)})

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Connections that somebody takes."""
        return self._dials(lab, targets)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Lower the limits; verified by reading them back."""
        limits = [Descriptors(node, self.left) for node in targets.nodes]
        names = ", ".join(node.name for node in targets.nodes)
        more = f"no more than {self.left}" if self.left else "no"
        detail = f"{names}: {more} further descriptors for each process"
        with limited(lab, targets, limits, detail, self._dials(lab, targets)) as hold:
            yield hold

    def _dials(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """With some left, a connection that is closed again proves nothing either way."""
        if self.left:
            return ()
        observer = lab.node(OBSERVER)
        return tuple(dial for node in targets.nodes for dial in poke(observer, node))
