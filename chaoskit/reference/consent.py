"""A failover that waits for an operator: raised, then approved, rejected, withdrawn or lapsed.

::

    primary declared dead ──▶ pending ──approve──▶ approved ──witness grants──▶ done
                               ▲  │ └───reject──▶ rejected         │
                               │  └─ primary heard, or this node not in sync: withdrawn
                               └── not granted in time: lapsed, and raised anew ──┘

A decision is for one id and for the candidate that it names; whoever decides on anything else is
told why it does not count. An approval promotes nobody by itself: it only lets the node ask, and
the witness refuses as long as it hears the primary. It is good for two detection times, so that an
approval of one outage is not used for the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from chaoskit.reference.messages import Action, Note
from chaoskit.reference.settings import Timing

__all__ = ["APPROVED", "PENDING", "REJECTED", "Consent", "Decided", "Request"]

PENDING, APPROVED, REJECTED = "pending", "approved", "rejected"
_OPEN = {PENDING, APPROVED}


class Decided(NamedTuple):
    """What an operator is told: an HTTP status (200, 400 or 409) and one sentence."""

    status: int
    sentence: str


@dataclass
class Request:
    """One failover that somebody has to decide on."""

    id: str
    candidate: str
    primary: str
    epoch: int
    reason: str
    raised_ns: int
    state: str = PENDING
    decided_ns: int | None = None

    def as_dict(self) -> dict[str, object]:
        """For ``GET /failover``."""
        return dict(vars(self))


class Consent:
    """What one node knows about the failover to itself. Ids of other incarnations are strange."""

    def __init__(self, name: str, incarnation: str, timing: Timing, out: list[Action]) -> None:
        self._name, self._inc, self._timing, self._out = name, incarnation[:8], timing, out
        self._count = 0
        self.now: Request | None = None  # open, or rejected and not yet over
        self.last: Request | None = None  # the newest one that is over

    # ------------------------------------------------------------ the node's side

    def needed(self, now: int, primary: str, epoch: int, reason: str) -> bool:
        """The primary is dead as far as this node can tell; True if it may ask to take over."""
        found = self.now
        if found and found.state == APPROVED and found.decided_ns is not None:
            if now - found.decided_ns < 2 * self._timing.detect_ns:
                return True
            self.over(now, "lapsed", "the witness did not grant it in time")
            found = None
        if found is None:
            self.ask(now, primary, epoch, reason)
        return False

    def ask(self, now: int, primary: str, epoch: int, reason: str) -> Request:
        """Raise a new request."""
        self._count += 1
        found = Request(
            f"{self._name}-{self._inc}-{self._count}", self._name, primary, epoch, reason, now
        )
        self.now = found
        self._note("failover-pending", found, reason)
        return found

    def over(self, now: int, state: str, why: str) -> None:
        """Nothing is to be decided any more."""
        found, self.now = self.now, None
        if found is None:
            return
        if found.state in _OPEN:
            found.state, found.decided_ns, found.reason = state, now, why
            self._note(f"failover-{state}", found, why)
        self.last = found

    # ------------------------------------------------------------ the operator's side

    def approve(self, now: int, request: str, candidate: str) -> Decided:
        """Let the candidate ask for the office."""
        refusal = self._refusal(request, candidate)
        if refusal or self.now is None:
            return refusal or Decided(409, "nothing is pending")
        return self._decide(now, self.now, APPROVED)

    def reject(self, now: int, request: str, candidate: str) -> Decided:
        """Nobody takes over until the primary has been heard and has failed again."""
        refusal = self._refusal(request, candidate)
        if refusal or self.now is None:
            return refusal or Decided(409, "nothing is pending")
        return self._decide(now, self.now, REJECTED)

    def again(self, now: int) -> Decided:
        """Raise a rejected failover once more: somebody has changed their mind."""
        found = self.now
        if found is None or found.state != REJECTED:
            return Decided(409, "there is no rejected failover to raise again")
        self.last = found
        new = self.ask(now, found.primary, found.epoch, found.reason)
        return Decided(200, f"failover {new.id} is pending")

    def _decide(self, now: int, found: Request, state: str) -> Decided:
        found.state, found.decided_ns = state, now
        waited = f"after {(now - found.raised_ns) / 1e6:.0f} ms"
        self._note(f"failover-{state}", found, waited)
        return Decided(200, f"failover {found.id} to {found.candidate} is {state}")

    def _refusal(self, request: str, candidate: str) -> Decided | None:
        found = self.now
        if found is None or found.id != request:
            old = self.last
            if old is not None and old.id == request:
                return Decided(409, f"failover {request} is {old.state}: {old.reason}")
            there = f"; {found.id} is" if found and found.state == PENDING else "; nothing is"
            return Decided(409, f"no failover {request} is known here{there} pending")
        if candidate != found.candidate:
            return Decided(
                409, f"failover {request} is to {found.candidate}, not to {candidate or 'nobody'}"
            )
        if found.state != PENDING:
            return Decided(409, f"failover {request} is {found.state} already")
        return None

    def _note(self, event: str, found: Request, detail: str) -> None:
        self._out.append(Note(event, f"{found.id} to {found.candidate}: {detail}"))
