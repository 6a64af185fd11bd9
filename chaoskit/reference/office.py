"""What a node is and does while it is primary: leases, beats, replication, acknowledgement.

An office begins with a view of the witness that names this node and ends with any word of a
higher epoch that names another. Between the two it serves only under a lease:

* the witness answered a call: nobody is promoted for a witness lease from when it heard it;
* the peer answered a beat with a promise: it asks for nothing for a detection time from then.

Promotion needs the peer to ask *and* the witness to grant, so either lease is enough, and both
are counted from when this node *sent* what was answered: earlier than the other side counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaoskit.reference.handover import Giving, Held
from chaoskit.reference.messages import (
    Answer,
    AppendAck,
    Beat,
    BeatAck,
    Claim,
    CopyAck,
    Message,
    Note,
    Op,
    Send,
    To,
    View,
)
from chaoskit.reference.replica import Phase, Replica
from chaoskit.reference.settings import next_due
from chaoskit.reference.watch import Watch

if TYPE_CHECKING:
    from chaoskit.reference.node import Node

__all__ = ["QUEUE", "Office"]

QUEUE = 20_000
"""Writes that may wait for the peer; one more is refused, and was then not executed."""


class Office:
    """Being primary. Lives as long as the node is one, whatever its epoch does meanwhile."""

    def __init__(self, node: Node, now: int, lease_until: int) -> None:
        self.node = node
        self.replica = Replica(node.epoch, node.store, now, node.timing.timeout_ns)
        self.watch = Watch(node.timing, node.out)
        self.witness_until = lease_until
        self.peer_until = 0
        self._peer_proof = 0  # when the newest beat that was answered had been sent
        self._witness_proof = 0
        self._beats: dict[int, int] = {}  # number → sent
        self._beat = 0
        self._next_beat = now
        self._next_ask = now
        self.broken = False  # the peer lost its copy: no waiting for silence
        self.giving: Giving | None = None  # a switchover in progress
        self._lost = False
        self._was_serving = False
        self._waiting: dict[int, tuple[int, int]] = {}  # seq → client's request, give up at

    # ------------------------------------------------------------ clients

    def serving(self, now: int) -> bool:
        """Whether clients may be answered at this instant."""
        if self.giving and self.giving.asked:
            return False  # somebody else may have been granted the office
        return now < self.witness_until or now < self.peer_until

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Execute a write, or say for certain that it was not executed."""
        node, replica = self.node, self.replica
        if self.giving:
            self.giving.hold(Held(request, key, value, now + node.timing.write_timeout_ns))
            return
        if not self.serving(now) or len(replica.outbox) >= QUEUE:
            node.out.append(Answer(request, 503, None, 0))
            return
        op = replica.assign(key, value)
        if replica.paired:
            self._waiting[op[0]] = (request, now + node.timing.write_timeout_ns)
            self.flush(now)
        else:
            node.out.append(Answer(request, 200, value, node.store.apply(op)))

    def commit(self, now: int, ops: list[Op]) -> None:
        """These are wherever they must be. Acknowledged only while serving: else it is too late."""
        status = 200 if self.serving(now) else 504
        for op in ops:
            version = self.node.store.apply(op)
            waiting = self._waiting.pop(op[0], None)
            if waiting:
                self.node.out.append(Answer(waiting[0], status, op[2], version))

    def resign(self) -> None:
        """No longer primary: whoever waits learns whether the write may yet come back."""
        for seq, (request, _) in self._waiting.items():
            status = 504 if seq <= self.replica.sent else 421
            self.node.out.append(Answer(request, status, None, 0))
        self._waiting.clear()

    def give(self, now: int, request: int, why: str) -> str | None:
        """Begin to hand the office to the peer; one sentence if that is not possible now."""
        if self.giving:
            return "a switchover is in progress already"
        if self.replica.phase < Phase.SYNCED:
            return "the peer is not in sync"
        if not self.serving(now) or not self.heard_witness(now):
            return "the witness does not answer, and nobody else can make the peer primary"
        self.giving = Giving(self, now, request, why)
        self.node.out.append(Note("switchover-started", f"{why}: to {self.replica.name}"))
        self.giving.look(now)
        return None

    # ------------------------------------------------------------ time

    def tick(self, now: int) -> None:
        """Everything that happens because time passed."""
        node, timing = self.node, self.node.timing
        self._note_lease(now)
        if now >= self._next_beat:
            self._next_beat = next_due(self._next_beat, timing.interval_ns, now)
            self._send_beat(now)
            node.call_witness(now, "", live=self.serving(now), proof=self.heard_witness(now))
        self.watch.look(now)
        self._look_at_peer(now)
        self.flush(now)
        if self.giving:
            self.giving.look(now)
        while self._waiting:
            seq, (request, deadline) = next(iter(self._waiting.items()))
            if now < deadline:
                break
            del self._waiting[seq]
            node.out.append(Answer(request, 504, None, 0))

    def _note_lease(self, now: int) -> None:
        serving = self.serving(now)
        if serving != self._was_serving:
            self._was_serving = serving
            self.node.out.append(Note("serving" if serving else "fenced", ""))

    def _send_beat(self, now: int) -> None:
        node = self.node
        self._beat += 1
        self._beats[self._beat] = now
        self._beats.pop(self._beat - 4 * node.timing.misses, None)
        proof = now - self._peer_proof <= node.timing.lease_ns and self._peer_proof > 0
        beat = Beat(
            node.epoch, node.name, node.inc, self._beat, self.serving(now), proof,
            self.replica.session, node.members,
        )  # fmt: skip
        node.out.append(Send(To.PEER, beat))

    def heard_witness(self, now: int) -> bool:
        """Whether the witness answered a moment ago."""
        return self._witness_proof > 0 and now - self._witness_proof <= self.node.timing.lease_ns

    def _look_at_peer(self, now: int) -> None:
        replica, timing = self.replica, self.node.timing
        if replica.phase == Phase.ABSENT:
            return
        lost = now - replica.answered_ns >= timing.detect_ns
        if lost and not self._lost:
            self.node.out.append(Note("backup-lost", replica.name))
        self._lost = lost
        if replica.phase < Phase.ADDING:
            if lost:
                self.drop_peer(now)
        elif lost or self.broken:
            self.ask(now, "alone")
        elif replica.phase == Phase.ADDING:
            self.ask(now, "add")

    def ask(self, now: int, what: str) -> None:
        """Ask the witness for a fresh epoch; again after a while, for as long as it is wanted."""
        if now >= self._next_ask:
            self._next_ask = now + self.node.timing.timeout_ns
            self.node.call_witness(now, what, live=self.serving(now), proof=self.heard_witness(now))

    def drop_peer(self, now: int) -> None:
        """Go on without the peer: allowed only while no witness can hold it to be in sync."""
        self.replica.forget()
        self.broken = self._lost = False
        self.commit(now, self.replica.settle_alone())

    def flush(self, now: int) -> None:
        """Send what the peer lacks, if nothing is on its way."""
        node = self.node
        message = self.replica.append(node.epoch, node.name, now) or self.replica.piece(
            node.epoch, node.name, now
        )
        if message:
            node.out.append(Send(To.PEER, message))

    # ------------------------------------------------------------ answers

    def hears(self, now: int, message: Message) -> None:
        """The peer answered something, or wants the office."""
        if isinstance(message, AppendAck):
            self.append_answered(now, message)
        elif isinstance(message, BeatAck):
            self.beat_answered(now, message)
        elif isinstance(message, CopyAck):
            self.copy_answered(now, message)
        elif isinstance(message, Claim):
            known = (self.node.epoch, self.replica.name, self.replica.inc)
            if known == (message.epoch, message.node, message.inc):
                self.give(now, 0, "failback")

    def beat_answered(self, now: int, ack: BeatAck) -> None:
        """The peer heard a beat: perhaps a promise, perhaps news of its copy."""
        replica, timing = self.replica, self.node.timing
        sent = self._beats.pop(ack.n, None)
        if sent is None or not self._same_epoch(now, ack.epoch, ack.primary):
            return
        self.watch.heard(now, ack.node, ack.n)
        if ack.promise:
            self.peer_until = max(self.peer_until, sent + timing.lease_ns)
        elif not self.serving(now) and now - self._peer_proof > timing.lease_ns:
            self._next_beat = now  # it hears us and we hear it: say so at once
        self._peer_proof = max(self._peer_proof, sent)
        self._note_lease(now)
        if replica.phase == Phase.ABSENT or (
            replica.phase < Phase.ADDING and ack.inc != replica.inc
        ):
            self.drop_peer(now)
            replica.begin(ack.node, ack.inc, self._beat, now)
            self.node.out.append(Note("copy-started", f"to {ack.node} incarnation {ack.inc}"))
            self.flush(now)
            return
        if ack.n <= replica.since_beat:
            return
        current = tuple(ack.session) == replica.session and ack.complete
        if ack.inc == replica.inc:
            replica.answered_ns = now
        if replica.phase >= Phase.ADDING and not (current and ack.inc == replica.inc):
            self.broken = True

    def append_answered(self, now: int, ack: AppendAck) -> None:
        """The peer has writes up to some point."""
        if not self._same_epoch(now, ack.epoch, ack.primary) or ack.inc != self.replica.inc:
            return
        session = (ack.session[0], ack.session[1])
        if not ack.complete and session >= self.replica.session:
            self.broken = True
            return
        self.commit(now, self.replica.arrived(session, ack.seq))
        self.flush(now)
        if self.giving:
            self.giving.look(now)

    def copy_answered(self, now: int, ack: CopyAck) -> None:
        """A piece of a copy arrived."""
        if not self._same_epoch(now, ack.epoch, ack.primary) or ack.inc != self.replica.inc:
            return
        if self.replica.piece_arrived((ack.session[0], ack.session[1]), ack.next_index):
            self.replica.since_beat = self._beat
            self.ask(now, "add")
        self.flush(now)

    def _same_epoch(self, now: int, epoch: int, primary: str) -> bool:
        """An answer of a newer epoch with another primary ends the office."""
        if epoch > self.node.epoch and primary not in {"", self.node.name}:
            self.node.step_down(now, epoch, primary)
        return epoch == self.node.epoch and self.node.office is self

    def viewed(self, now: int, view: View, sent: int | None, *, grew: bool) -> None:
        """The witness answered, and we are still its primary; ``grew``: with a fresh epoch."""
        replica = self.replica
        if self.giving:
            self.giving.viewed(now, view.n, grew=grew)
        if sent is not None:
            self._witness_proof = max(self._witness_proof, sent)
            if view.lease:
                until = sent + self.node.timing.lease_ns
                self.witness_until = max(self.witness_until, until)
            elif not self.serving(now):
                self._next_beat = min(self._next_beat, now + self.node.timing.tick_ns)
        self._note_lease(now)
        if replica.phase < Phase.ADDING:
            return
        if view.in_sync.get(replica.name) == replica.inc:
            if replica.phase == Phase.ADDING:
                replica.phase = Phase.SYNCED
                self._next_beat = now
                self.node.out.append(Note("in-sync", replica.name))
                self.flush(now)
        elif grew:  # a view of the same epoch may be older than the wish to add the peer
            self.node.out.append(Note("alone", f"epoch {view.epoch} without {replica.name}"))
            self.drop_peer(now)
