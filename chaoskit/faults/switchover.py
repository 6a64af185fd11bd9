"""``switchover``: an operator asks the primary to hand its office to a backup, by plan.

It breaks nothing, but clients may feel it, so it is measured like a fault: acknowledged with the
request, verified with its answer. What clients feel comes after the answer as well, and counts as
under the switchover for as long as ``for`` says, without it until the run's end. What a graceful
system owes: nothing lost, one primary, clients served again within about a round trip. A refusal is
an answer, too; thresholds say what is expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from chaoskit.clock import now_ns
from chaoskit.contracts import FaultModel, Hold, Lab, Targets
from chaoskit.errors import LabError
from chaoskit.operator import Desk, switch_place
from chaoskit.stack.labels import SWITCHOVER

__all__ = ["Switchover"]

_READY_WITHIN_S = 10.0


def _words(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Switchover(FaultModel):
    """Asks the target to make another node primary, and waits for no more than the answer."""

    kind: ClassVar[str] = "switchover"
    needs: ClassVar[frozenset[str]] = frozenset({"spawn"})
    summary: ClassVar[str] = (
        "an operator moves the primary's office to a backup, by plan; nothing is undone"
    )
    labels: ClassVar[frozenset[str]] = frozenset({SWITCHOVER})

    to: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        ("backup",),
        description="Who becomes primary: the first service that it means.",
        examples=["backup", ["service:node-b"]],
    )

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """Whom ``to`` means is decided at the moment of injection."""
        return {"to": self.to}

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Ask; verified when it was answered, whatever the answer."""
        leader, candidate = targets.nodes[0], targets["to"][0]
        url = switch_place(leader)
        if url is None:
            raise LabError(f"{leader.name} has no label {SWITCHOVER}: nobody can ask it")
        config = {
            "switchover": url,
            "node": leader.name,
            "leader": leader.name,
            "candidate": candidate.name,
        }
        desk = Desk(lab, config)
        try:
            if desk.child.receive(_READY_WITHIN_S) is None:
                raise LabError("the operator's process on the observer did not get ready")
            said = f"{leader.name} asked to hand over to {candidate.name}"
            hold = Hold(now_ns(), 0, None, detail=said, outside=False)
            desk.child.send({"do": "go"})
            hold.acknowledged_ns = now_ns()
            message = desk.child.receive(_READY_WITHIN_S + 5)
            if message is not None:
                _take(hold, message)
            yield hold
        finally:
            desk.child.close()
        hold.heal_commanded_ns = hold.healed_ns = now_ns()


def _take(hold: Hold, message: dict[str, Any]) -> None:
    """The request as it left and its answer, by the clock of who asked."""
    act = Desk.act(message)
    hold.acts.append(act)
    hold.detail = act.detail
    hold.commanded_ns = hold.acknowledged_ns = act.t_ns
    if message.get("status"):
        hold.verified_ns = int(message["done_ns"])
