"""``stop``: the node is asked to end, as for maintenance, and killed when it takes too long.

The polite way to lose a primary: a good one hands over and drains first, so that clients feel next
to nothing. What it costs next to ``kill`` is what the handing over is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, field_validator

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.faults.dials import dial
from chaoskit.faults.ending import all_gone, ask_all, end_all, signal_name, start_all
from chaoskit.units import Seconds

__all__ = ["Grace", "Stop"]

_GRACE_MAX_S = 120.0


def _not_for_ever(value: float) -> float:
    if value > _GRACE_MAX_S:
        raise ValueError("must be at most 2m: what is asked of the trial waits for it")
    return value


Grace = Annotated[Seconds, AfterValidator(_not_for_ever)]


class Stop(FaultModel):
    """Stop signal, time of grace, then SIGKILL; healed by starting it again."""

    kind: ClassVar[str] = "stop"
    needs: ClassVar[frozenset[str]] = frozenset({"kill", "stop"})
    summary: ClassVar[str] = "the node is asked to end, then killed; healed by starting it again"

    grace_s: Grace | None = Field(
        None,
        alias="grace",
        description="How long it may take to end before it is killed; the service's own "
        "stop_grace_period if not said.",
        examples=["5s"],
    )
    signal: str | None = Field(
        None,
        description="What it is asked with; the service's own stop_signal if not said.",
        examples=["SIGTERM", "SIGINT"],
    )

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else signal_name(value)

    def graceful(self) -> bool:
        """It is asked, unless with the signal that nobody can answer."""
        return self.signal != "SIGKILL"

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there is decided by this fault alone."""
        return frozenset({Claim("life")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Stop every target, all at once; verified once no incarnation of any is left."""
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials)
        try:
            asked = ask_all(lab, targets.nodes, self.signal, self.grace_s)
            hold.acknowledged_ns = max(one.since_ns for one in asked)
            hold.detail = end_all(lab, asked)
            hold.verified_ns = now_ns() if all_gone(lab, targets.nodes) else None
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            start_all(lab, targets.nodes)
            hold.healed_ns = now_ns()
