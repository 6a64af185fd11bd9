"""Planted defects of the pair that waits for an operator; see ``defects.py``."""

from __future__ import annotations

from chaoskit.reference.consent import Decided
from chaoskit.reference.defect import Defect
from chaoskit.reference.node import Node
from chaoskit.reference.pair_defects import NoFencing, Unfenced

__all__ = ["APPROVAL"]


class IgnoresApproval(Node):
    """Takes note of an approval and does nothing."""

    def ask_promotion(self, now: int) -> None:
        """Overridden: asks nobody."""


class TakesAnyCandidate(Node):
    """An approval is applied to this node, whomever it named."""

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:  # noqa: ARG002
        """Overridden: the candidate is not looked at."""
        return super().decide(now, what, request, self.name)


class PromotesTwice(NoFencing):
    """An approved node takes over without the witness, which may have gone on with the primary."""


class HonoursLateApprovals(Node):
    """An approval that comes after the primary is back promotes all the same."""

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:
        """Overridden: withdrawn or not."""
        decided = super().decide(now, what, request, candidate)
        if what != "approve" or decided.status == 200 or self.office:
            return decided
        self.office_type = Unfenced
        self.adopt(self.epoch + 1, self.name)
        self.members = (self.name,)
        self.promote(now, now)
        return Decided(200, f"failover {request} to {candidate} is approved")


_SHAPE = "active-passive-approval"
APPROVAL = (
    Defect(
        "approval-ignored",
        _SHAPE,
        "an approved failover never happens",
        "active-passive-approval-kill",
        ("promotions",),
        IgnoresApproval,
    ),
    Defect(
        "approval-wrong-candidate",
        _SHAPE,
        "an approval that names another candidate promotes this one",
        "active-passive-approval-wrong",
        ("promotions",),
        TakesAnyCandidate,
    ),
    Defect(
        "approval-races",
        _SHAPE,
        "an approved node takes over although the witness has let the primary go on: both are",
        "active-passive-approval-split",
        ("dual_primary",),
        PromotesTwice,
    ),
    Defect(
        "approval-too-late",
        _SHAPE,
        "an approval that arrives when the primary is back promotes all the same",
        "active-passive-approval-late",
        ("promotions",),
        HonoursLateApprovals,
    ),
)
"""The rows of this shape."""
