"""``remove``: the node is gone for good, and its address with it; a new one takes its place.

As when a machine is lost and replaced. There is nobody to refuse a connection, so clients meet
silence; and what comes back has its volumes but nothing else that it ever knew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from chaoskit.capabilities import Removes
from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.errors import ChaoskitError, HealFailed
from chaoskit.faults.dials import dial
from chaoskit.faults.ending import all_gone

__all__ = ["Remove"]


class Remove(FaultModel):
    """Ends the target and takes its address away; healed by a fresh one with the same volumes."""

    kind: ClassVar[str] = "remove"
    needs: ClassVar[frozenset[str]] = frozenset({"remove"})
    summary: ClassVar[str] = "the node is gone with its address; healed by a fresh one"

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there is decided by this fault alone."""
        return frozenset({Claim("life")})

    def prepare(self, lab: Lab) -> None:
        """Make every service's successor ready: whom it will strike may be known only then."""
        for node in lab.nodes():
            cast("Removes", lab).prepare_removal(node)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Remove every target; verified once the lab finds no incarnation of any of them."""
        removes = cast("Removes", lab)
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        names = ", ".join(f"{node.name} ({node.address})" for node in targets.nodes)
        hold = Hold(now_ns(), 0, None, dials, detail=f"{names} removed, address and all")
        try:
            hold.acknowledged_ns = max([removes.remove(node) for node in targets.nodes])
            hold.verified_ns = now_ns() if all_gone(lab, targets.nodes) else None
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            _restore_all(removes, targets)
            hold.healed_ns = now_ns()


def _restore_all(removes: Removes, targets: Targets) -> None:
    """Bring every target back, going on past one that fails."""
    problems = []
    for node in targets.nodes:
        try:
            removes.restore(node)
        except ChaoskitError as error:
            problems.append(str(error))
    if problems:
        raise HealFailed("; ".join(problems))
