"""Planted defects of the pair that waits for an operator; see ``defects.py``."""

from __future__ import annotations

from chaoskit.reference.consent import Decided
from chaoskit.reference.defect import Defect
from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.pair_defects import Unfenced

__all__ = ["APPROVAL"]


class IgnoresApproval(Node):
    """Takes note of an approval and does nothing."""

    def ask_promotion(self, now: int) -> None:
        """Overridden: asks nobody."""


class TakesAnyCandidate(Node):
    """An approval is applied to this node, whomever it named."""

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:
        """Overridden: the candidate of an approval is not looked at."""
        named = self.name if what == "approve" else candidate
        return super().decide(now, what, request, named)


class PromotesTwice(Node):
    """Two ways to an office that know nothing of each other: both take effect when they race.

    Of two nodes that cannot hear each other the witness lets the primary go on by itself, in a
    fresh epoch and without its backup. The backup hears of that, and leaves its own failover
    pending; approved, it takes over by the operator's word and asks the witness for nothing. Each
    way by itself is sound: without an approval it never takes over, an approval of a dead primary's
    successor makes one primary, and a primary that is heard again withdraws what is pending.
    """

    def withdraw(self, now: int) -> None:
        """Overridden: what was decided without the operator withdraws nothing."""
        decided_elsewhere = not self.office and not self.follower.complete
        if not decided_elsewhere or not self.follower.detector.dead(now):
            super().withdraw(now)

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:
        """Overridden: approved is promoted; the witness is not asked what it has decided."""
        decided = super().decide(now, what, request, candidate)
        if what == "approve" and decided.status == 200 and not self.office:
            self.adopt(self.epoch + 1, self.name)
            self.members = (self.name,)
            self.office_type = Unfenced  # of this office; the next one may be a granted one
            self.promote(now, now)
            self.office_type = Office
        return decided


class HonoursLateApprovals(Node):
    """An approval that comes after the primary is back promotes all the same.

    Of a request that was withdrawn, and for the candidate that it named; any other approval that
    the sound node refuses is refused here too.
    """

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:
        """Overridden: withdrawn or not."""
        decided = super().decide(now, what, request, candidate)
        if what != "approve" or self.office or not self._withdrawn(request, candidate):
            return decided
        self.office_type = Unfenced
        self.adopt(self.epoch + 1, self.name)
        self.members = (self.name,)
        self.promote(now, now)
        return Decided(200, f"failover {request} to {candidate} is approved")

    def _withdrawn(self, request: str, candidate: str) -> bool:
        old = self.consent.last if self.consent else None
        return old is not None and (old.id, old.candidate, old.state) == (
            request,
            candidate,
            "withdrawn",
        )


_SHAPE = "active-passive-approval"
APPROVAL = (
    Defect(
        "approval-ignored",
        _SHAPE,
        "an approved failover never happens",
        "active-passive-approval-kill",
        ("promotions",),
        IgnoresApproval,
        only="approval",
    ),
    Defect(
        "approval-wrong-candidate",
        _SHAPE,
        "an approval that names another candidate promotes this one",
        "active-passive-approval-wrong",
        ("promotions",),
        TakesAnyCandidate,
        only="approval",
    ),
    Defect(
        "approval-races",
        _SHAPE,
        "an approval and the witness, which keeps the primary, both take effect: two are primary",
        "active-passive-approval-split",
        ("dual_primary",),
        PromotesTwice,
        only="approval",
    ),
    Defect(
        "approval-too-late",
        _SHAPE,
        "an approval that arrives when the primary is back promotes all the same",
        "active-passive-approval-late",
        ("promotions",),
        HonoursLateApprovals,
        only="approval",
    ),
)
"""The rows of this shape."""
