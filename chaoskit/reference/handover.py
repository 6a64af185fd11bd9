"""Giving the office to the peer by plan: nothing is lost and clients wait for a few round trips.

1. *Draining*: new writes are held, those on their way arrive at the peer and are acknowledged.
2. *Giving*: this node has stopped serving, for good as far as it knows, and asks the witness.
3. The witness makes the peer primary, in a fresh epoch. The peer is told to look, begins to serve
   and says so; the writes that were held are then refused, for certain not executed, with a hint.

The order is what makes it safe: a grant that comes late finds a node that does not serve. If the
witness refuses, or answers a later call first (which settles all earlier ones), this node goes on
and executes what it held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaoskit.reference.messages import Action, Answer, Handover, Note, Send, To, Told
from chaoskit.reference.replica import Phase

if TYPE_CHECKING:
    from chaoskit.reference.node import Node
    from chaoskit.reference.office import Office

__all__ = ["HELD", "Between", "Giving", "Held"]

HELD = 5_000
"""Writes that may be held; one more is refused, and was then not executed."""


class Held(NamedTuple):
    """A client's write that waits for the office to be where it will be."""

    request: int
    key: str
    value: int
    until: int  # then it is refused: whoever asked has given up


def expired(now: int, held: list[Held], out: list[Action], status: int) -> list[Held]:
    """Refuse what waited too long; the rest."""
    out += [Answer(write.request, status, None, 0) for write in held if now >= write.until]
    return [write for write in held if now < write.until]


class Giving:
    """A switchover in progress, at the primary. ``request`` is the operator's; 0: nobody waits."""

    def __init__(self, office: Office, now: int, request: int, why: str) -> None:
        self.office, self.request, self.why = office, request, why
        self.until = now + office.node.timing.detect_ns
        self.asked = 0  # number of the call that asked the witness; 0: still draining
        self.held: list[Held] = []

    def hold(self, write: Held) -> None:
        """Keep a new write until it is clear who executes it."""
        if len(self.held) >= HELD:
            self.office.node.out.append(Answer(write.request, 503, None, 0))
        else:
            self.held.append(write)

    def look(self, now: int) -> None:
        """Is everything at the peer?"""
        office, replica = self.office, self.office.replica
        self.held = expired(now, self.held, office.node.out, 503)
        if self.asked:
            return
        if replica.phase < Phase.SYNCED or office.broken:
            self.abort(now, f"{replica.name or 'the peer'} is not in sync any more")
        elif not replica.outbox:
            office.node.call_witness(now, "handover", live=False, proof=office.heard_witness(now))
            self.asked = office.node.calls_made
        elif now >= self.until:
            self.abort(now, "what was on its way to the peer did not arrive in time")

    def viewed(self, now: int, number: int, *, grew: bool) -> None:
        """The witness answered, and this node is still its primary."""
        if self.asked and (grew or number >= self.asked):
            self.abort(now, "the witness did not grant it")

    def abort(self, now: int, why: str) -> None:
        """Go on as primary."""
        office = self.office
        office.giving = None
        office.node.out.append(Note("switchover-failed", why))
        self.tell(409, f"still primary: {why}")
        for write in self.held:
            office.write(now, write.request, write.key, write.value)

    def tell(self, status: int, sentence: str) -> None:
        """Answer whoever asked for it."""
        if self.request:
            self.office.node.out.append(Told(self.request, status, sentence))

    def done(self, now: int) -> None:
        """Another node is primary now: tell it, and hold the writes until it serves."""
        node = self.office.node
        node.out.append(Send(To.PEER, Handover(node.epoch, node.name)))
        node.between = Between(node, now, self.held)
        node.out.append(
            Note("switchover-done", f"{self.why}: {node.primary} in epoch {node.epoch}")
        )
        self.tell(200, f"{node.primary} is primary in epoch {node.epoch}")


class Between:
    """No longer primary, and the new one was not heard yet: writes wait for that a moment."""

    def __init__(self, node: Node, now: int, held: list[Held]) -> None:
        self._node, self._held = node, held
        self._until = now + node.timing.detect_ns

    def hold(self, write: Held) -> None:
        """One more."""
        if len(self._held) >= HELD:
            self._node.out.append(Answer(write.request, 421, None, 0))
        else:
            self._held.append(write)

    def look(self, now: int) -> None:
        """Do not wait for ever."""
        self._held = expired(now, self._held, self._node.out, 421)
        if now >= self._until:
            self.over()

    def over(self) -> None:
        """The new primary was heard: clients are sent to it."""
        node, node.between = self._node, None
        for write in self._held:
            node.out.append(Answer(write.request, 421, None, 0))
