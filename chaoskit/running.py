"""A fault of a trial that is, or was, in force: what the engine knows about it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from chaoskit.contracts import Dial, Hold
from chaoskit.experiment.model import Step
from chaoskit.history.history import FaultRecord

__all__ = ["Running"]


@dataclass
class Running:
    """A step whose fault is, or was, in force."""

    index: int
    step: Step
    context: AbstractContextManager[Hold]
    hold: Hold
    nodes: tuple[str, ...]
    identities: dict[str, str | None]  # which incarnation each target must be while it is on
    active: bool = True
    bitten_ns: int | None = None
    felt_healed_ns: int | None = None
    problem: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    acts_said: int = 0
    spared: tuple[Dial, ...] = ()  # those of the hold that worked before the fault came

    def owes_a_bite(self) -> bool:
        """Whether somebody outside of the node must feel it while it is on."""
        return bool(self.step.fault.needs)

    def record(self) -> FaultRecord:
        """What the history keeps of it."""
        hold = self.hold
        return FaultRecord(
            step=self.index,
            fault=self.step.fault.kind,
            target=", ".join(self.step.target),
            nodes=self.nodes,
            commanded_ns=hold.commanded_ns,
            acknowledged_ns=hold.acknowledged_ns,
            verified_ns=hold.verified_ns,
            bitten_ns=self.bitten_ns,
            heal_commanded_ns=hold.heal_commanded_ns,
            healed_ns=hold.healed_ns,
            felt_healed_ns=self.felt_healed_ns if hold.outside else hold.healed_ns,
            detail=hold.detail,
            params=dict(self.params),
            must_bite=self.owes_a_bite(),
            problem=self.problem,
        )
