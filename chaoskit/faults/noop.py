"""``noop``: nothing goes wrong. The negative control of every experiment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from chaoskit.clock import now_ns
from chaoskit.contracts import FaultModel, Hold, Lab, Targets

__all__ = ["Noop"]


class Noop(FaultModel):
    """Injects nothing. Its experiment passes if its own thresholds hold (false alarms show)."""

    kind: ClassVar[str] = "noop"
    summary: ClassVar[str] = "nothing at all: shows what the harness reports when nothing breaks"

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:  # noqa: ARG002 - contract
        """A hold that begins, ends and touches nothing."""
        moment = now_ns()
        hold = Hold(moment, moment, moment, detail="nothing was done")
        try:
            yield hold
        finally:
            hold.heal_commanded_ns = hold.healed_ns = now_ns()
