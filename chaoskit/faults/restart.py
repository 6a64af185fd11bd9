"""``restart``: the node is stopped and started again in place, as for a new configuration.

The question is who is quicker: the node's own start, or its detector. A failover that a restart
sets off costs two outages instead of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field, field_validator

from chaoskit.clock import NS, now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.faults.dials import dial
from chaoskit.faults.ending import all_gone, ask_all, end_all, signal_name, start_all
from chaoskit.faults.stop import Grace
from chaoskit.units import PositiveSeconds, format_duration

__all__ = ["Restart"]


class Restart(FaultModel):
    """Stop signal, time of grace, SIGKILL; then, after ``down``, a new start in the same place."""

    kind: ClassVar[str] = "restart"
    needs: ClassVar[frozenset[str]] = frozenset({"kill", "stop"})
    summary: ClassVar[str] = "the node is stopped and started again; ends by itself"
    ends_itself: ClassVar[bool] = True

    down_s: PositiveSeconds = Field(
        0.1,
        alias="down",
        description="How long it stays down before it is started again.",
        examples=["100ms", "2s"],
    )
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
        examples=["SIGTERM", "SIGKILL"],
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
        """Stop every target, then start it; verified by an end and by another incarnation."""
        observer = lab.node(OBSERVER)
        before = {node.name: lab.identity(node) for node in targets.nodes}
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials)

        def start() -> None:
            hold.heal_commanded_ns = now_ns()
            start_all(lab, targets.nodes)
            hold.healed_ns = now_ns()

        try:
            asked = ask_all(lab, targets.nodes, self.signal, self.grace_s)
            hold.acknowledged_ns = max(one.since_ns for one in asked)
            hold.detail = f"{end_all(lab, asked)}; started {format_duration(self.down_s)} later"
            hold.verified_ns = now_ns() if all_gone(lab, targets.nodes) else None
            due_ns = now_ns() + int(self.down_s * NS)

            def tend() -> bool:
                if hold.heal_commanded_ns is not None or now_ns() < due_ns:
                    return False
                start()
                return True

            hold.tend = tend
            yield hold
        finally:
            if hold.healed_ns is None:
                start()
            same = [n.name for n in targets.nodes if lab.identity(n) == before[n.name]]
            if same:
                hold.verified_ns = None
                hold.detail += f"; {', '.join(same)} is the same incarnation as before"
