"""``pause``: the node's processes stand still, as on a machine that was suspended or swaps.

Nothing is closed: its kernel goes on completing handshakes and acknowledging bytes, so clients
wait instead of being refused, and on waking up the node believes that no time has passed. That is
how stale leaders come about. Below the detector's threshold it must do nothing; see ``kill`` and
``partition`` for the two other faces of a node that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from chaoskit.capabilities import Pauses
from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.errors import ChaoskitError, HealFailed
from chaoskit.faults.dials import poke

__all__ = ["Pause"]


class Pause(FaultModel):
    """Stops every process of the target; healed by letting them go on."""

    kind: ClassVar[str] = "pause"
    needs: ClassVar[frozenset[str]] = frozenset({"pause"})
    summary: ClassVar[str] = "the node's processes stand still; healed by letting them go on"

    def claims(self) -> frozenset[Claim]:
        """Whether its processes go on; they must be there all the while."""
        return frozenset({Claim("life", share=True), Claim("run")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Pause every target; verified by reading the state of its processes back."""
        pauses = cast("Pauses", lab)
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in poke(observer, node))
        names = ", ".join(node.name for node in targets.nodes)
        hold = Hold(now_ns(), 0, None, dials, detail=f"every process of {names} stands still")
        try:
            for node in targets.nodes:
                pauses.pause(node)
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if _all_paused(pauses, targets) else None
            hold.in_force = lambda: _all_paused(pauses, targets)
            yield hold
            if not _all_paused(pauses, targets):
                hold.verified_ns = None  # it did not hold for its window: somebody else woke it
                hold.detail += "; they ran again before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            _resume_all(pauses, targets)
            hold.healed_ns = now_ns()


def _all_paused(pauses: Pauses, targets: Targets) -> bool:
    return all(pauses.paused(node) for node in targets.nodes)


def _resume_all(pauses: Pauses, targets: Targets) -> None:
    """Resume every target, going on past one that fails."""
    problems = []
    for node in targets.nodes:
        try:
            pauses.resume(node)
        except ChaoskitError as error:
            problems.append(f"{node.name}: {error}")
    if problems:
        raise HealFailed("could not resume: " + "; ".join(problems))
