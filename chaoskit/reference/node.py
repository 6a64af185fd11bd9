"""A data node as a pure state machine: no clock, no socket, no randomness.

Time comes in as an argument and everything to be done comes out as a list of actions, so that a
test can run two nodes, a witness and a bad network for an hour of their time in a second of ours.
"""

from __future__ import annotations

from chaoskit.reference.consent import Consent, Decided
from chaoskit.reference.failback import Failback
from chaoskit.reference.follower import Follower
from chaoskit.reference.handover import Between, Held
from chaoskit.reference.messages import (
    Action,
    Answer,
    Append,
    AppendAck,
    Beat,
    BeatAck,
    Call,
    Claim,
    Copy,
    CopyAck,
    Handover,
    Message,
    Note,
    Reply,
    Send,
    Session,
    To,
    Told,
    View,
)
from chaoskit.reference.office import Office
from chaoskit.reference.settings import Rules, Timing, next_due
from chaoskit.reference.store import Store

__all__ = ["Node"]


class Node:
    """One incarnation of a data node. It begins blank and remembers nothing of earlier ones."""

    office_type: type[Office] = Office
    heeds_disk = True
    """Whether it takes part in nothing while what it executed cannot be made durable."""

    def __init__(
        self,
        name: str,
        incarnation: str,
        timing: Timing,
        now: int,
        *,
        preferred: bool = False,
        rules: Rules | None = None,
    ) -> None:
        self.name = name
        self.inc = incarnation
        self.timing = timing
        self.preferred = preferred
        self.epoch = 0
        self.primary = ""  # of this epoch, as far as known
        self.members: tuple[str, ...] = ()  # in sync in this epoch, as far as known
        self.blank = True
        self.store = Store()
        self.follower = Follower(timing, now)
        self.office: Office | None = None
        self.out: list[Action] = []
        self.rules = rules or Rules()
        self.consent: Consent | None = None  # None: a failover waits for nobody
        if self.rules.approval:
            self.consent = Consent(name, incarnation, timing, self.out)
        self.between: Between | None = None  # the office was given away a moment ago
        self.failback = Failback(self.rules, timing, preferred=preferred)
        self.asking = 0  # number of the newest unresolved request for promotion
        self.declared_dead = False
        self._nudged = False  # whoever was primary says that this node is
        self._witness = ""
        self._witness_proof = 0
        self._calls: dict[int, int] = {}  # number → sent
        self.calls_made = 0
        self._next_call = now
        self._next_ask = now
        self._tick_ns = now

    # ------------------------------------------------------------ what others may know

    def role(self, now: int) -> str:
        """primary, fenced (primary without a lease), backup (in sync) or joining."""
        if self.office:
            return "primary" if self.office.serving(now) else "fenced"
        return "backup" if self.follower.complete and self.name in self.members else "joining"

    def hint(self, now: int) -> str:
        """Whom a client should ask instead; empty if nobody is known to be alive."""
        known = self.primary if self.primary != self.name else ""
        return "" if self.follower.detector.dead(now) else known

    # ------------------------------------------------------------ clients

    def read(self, now: int, key: str) -> Answer:
        """A register's value; nothing is answered from a state that may be old."""
        if self.office is None:
            return Answer(0, 421, None, 0)
        if not self.office.serving(now):
            return Answer(0, 503, None, 0)
        value, version = self.store.read(key)
        return Answer(0, 200, value, version)

    def write(self, now: int, request: int, key: str, value: int) -> list[Action]:
        """A register's new value, or (key "") a token for the log."""
        if self.office is None and self.between:
            held = Held(request, key, value, now + self.timing.write_timeout_ns)
            self.between.hold(held)
            return self.take()
        if self.office is None:
            return [Answer(request, 421, None, 0)]
        self.office.write(now, request, key, value)
        return self.take()

    # ------------------------------------------------------------ time

    def tick(self, now: int) -> list[Action]:
        """Look at the clock; call it every ``timing.tick_ns``."""
        if now - self._tick_ns > self.timing.interval_ns:
            self.follower.detector.stalled(now)
            if self.office:
                self.office.watch.stalled(now)
            self.out.append(Note("stalled", f"{(now - self._tick_ns) / 1e6:.0f} ms"))
        self._tick_ns = now
        if self.between:
            self.between.look(now)
        if self.office:
            self.office.tick(now)
        else:
            self._watch(now)
            backup = self.role(now) == "backup" and not self.declared_dead
            claim = Claim(self.epoch, self.name, self.inc)
            self.out += self.failback.look(now, claim, backup=backup)
        return self.take()

    def _watch(self, now: int) -> None:
        detector = self.follower.detector
        if self.follower.complete:
            for number in detector.look(now):
                if number <= self.timing.misses:
                    self.out.append(Note("heartbeat-missed", f"{number} of {self.primary}"))
            if detector.dead(now):
                if not self.declared_dead:
                    self.declared_dead = True
                    self.out.append(Note("declared-dead", self.primary))
                if self.may_ask(now):
                    self.ask_promotion(now)
        self.withdraw(now)
        if now >= self._next_call:
            self._next_call = next_due(self._next_call, self.timing.interval_ns, now)
            self.call_witness(now, "", live=False, proof=self._heard_witness(now))

    def may_ask(self, now: int) -> bool:
        """Whether this node may ask for the office, or has to wait for an operator first."""
        if self.consent is None:
            return True
        silent = (now - self.follower.detector.seen_ns) / 1e6
        reason = f"{self.primary or 'the primary'} was not heard for {silent:.0f} ms"
        if not self._heard_witness(now):
            reason += ", nor was the witness"
        return self.consent.needed(now, self.primary, self.epoch, reason)

    def withdraw(self, now: int) -> None:
        """Nothing is pending where nothing is needed: the primary is heard, or a copy is stale."""
        if self.consent is None or self.consent.now is None:
            return
        if self.office:
            self.consent.over(now, "done", f"promoted in epoch {self.epoch}")
        elif not self.follower.complete:
            self.consent.over(now, "withdrawn", f"{self.name} is not in sync any more")
        elif not self.follower.detector.dead(now):
            self.consent.over(now, "withdrawn", f"{self.primary} is heard again")

    def ask_promotion(self, now: int) -> None:
        """The primary is dead as far as this node can tell: the witness decides."""
        if now >= self._next_ask and self._witness:
            self._next_ask = now + self.timing.timeout_ns
            if not self.asking:
                self.out.append(Note("asked", f"for promotion after epoch {self.epoch}"))
            self.asking = self.calls_made + 1
            self.call_witness(now, "promote", live=False, proof=self._heard_witness(now))

    def call_witness(self, now: int, ask: str, *, live: bool, proof: bool) -> None:
        """Send a call, remembering when: what it earns is counted from here."""
        self.calls_made += 1
        self._calls[self.calls_made] = now
        self._calls.pop(self.calls_made - 64, None)
        peer, peer_inc = "", ""
        if self.office:
            peer, peer_inc = self.office.replica.name, self.office.replica.inc
        call = Call(
            self.name, self.inc, self.calls_made, self.epoch, self.blank, self.preferred,
            live, proof, ask, peer, peer_inc, self._witness,
        )  # fmt: skip
        self.out.append(Send(To.WITNESS, call))

    def _heard_witness(self, now: int) -> bool:
        return self._witness_proof > 0 and now - self._witness_proof <= self.timing.lease_ns

    # ------------------------------------------------------------ messages

    def message(self, now: int, message: Message) -> list[Action]:
        """Handle what another node or the witness said."""
        if isinstance(message, Append):
            self._append(now, message)
        elif isinstance(message, Beat):
            self._beat(now, message)
        elif isinstance(message, Copy):
            self._copy(now, message)
        elif isinstance(message, View):
            self.view(now, message)
        elif isinstance(message, Handover):
            if self.office is None and message.epoch > self.epoch:
                self._nudged = True
                self.call_witness(now, "", live=False, proof=self._heard_witness(now))
        elif self.office:  # else it is an answer to an office that is over
            self.office.hears(now, message)
        return self.take()

    def _beat(self, now: int, beat: Beat) -> None:
        follower, promise = self.follower, False
        if self._accept(now, beat.epoch, beat.node, beat.session):
            self.members = tuple(beat.in_sync)
            if beat.live or beat.proof:
                follower.detector.beat(now)
                self.out.append(Note("heartbeat-seen", f"{beat.n} of {beat.node}"))
                self.declared_dead = False
                promise = not self.asking
        self.out.append(
            Reply(
                BeatAck(
                    self.epoch,
                    self.name,
                    self.inc,
                    beat.n,
                    promise,
                    self.primary,
                    follower.session,
                    follower.complete,
                )
            )
        )

    def _append(self, now: int, message: Append) -> None:
        follower = self.follower
        if self._accept(now, message.epoch, message.node, message.session):
            follower.append(self.store, message)
        self.out.append(
            Reply(
                AppendAck(
                    self.epoch,
                    self.name,
                    self.inc,
                    follower.session,
                    self.store.seq,
                    follower.complete,
                    self.primary,
                )
            )
        )

    def _copy(self, now: int, piece: Copy) -> None:
        follower = self.follower
        if self._accept(now, piece.epoch, piece.node, piece.session):
            if piece.index == 0 and tuple(piece.session) > follower.session:
                self.blank = False
                self.out.append(Note("rejoin-started", f"copy from {piece.node}"))
            was_complete = follower.complete
            self.store = follower.copy(self.store, piece)
            if follower.complete and not was_complete:
                self.out.append(Note("copy-complete", f"{len(self.store.tokens)} tokens"))
        self.out.append(
            Reply(
                CopyAck(
                    self.epoch,
                    self.name,
                    self.inc,
                    follower.session,
                    follower.next_index,
                    follower.complete,
                    self.primary,
                )
            )
        )

    def _accept(self, now: int, epoch: int, node: str, session: Session) -> bool:
        """Whether a primary's message counts here: nothing of an old epoch does."""
        if epoch < self.epoch or (epoch == self.epoch and self.office):
            return False
        if epoch > self.epoch:
            if self.office:
                self.step_down(now, epoch, node)
            self.adopt(epoch, node)
            self.follower.moved_on(session)
        self.primary = node
        if self.between:
            self.between.over()
        return True

    # ------------------------------------------------------------ epochs

    def adopt(self, epoch: int, primary: str) -> None:
        """A higher epoch: whatever this node asked for in the old one can no longer be granted."""
        self.epoch, self.primary, self.asking = epoch, primary, 0

    def step_down(self, now: int, epoch: int, primary: str) -> None:
        """Somebody else is primary in a higher epoch. What was never acknowledged is dropped."""
        office, self.office = self.office, None
        if office:
            self.out.append(Note("deposed", f"epoch {epoch}, primary {primary}"))
            self.adopt(epoch, primary)
            self.follower = Follower(self.timing, now)
            self.members = ()
            office.resign()
            if office.giving:
                office.giving.done(now)

    def view(self, now: int, view: View) -> None:
        """What the witness knows, from one of its answers."""
        self._witness = view.witness
        sent = self._calls.pop(view.n, None)
        if sent is not None:
            self._witness_proof = max(self._witness_proof, sent)
        if view.epoch < self.epoch:
            return
        if self.asking and view.n >= self.asking:
            self.asking = 0  # refused, and so is every older request that is still on its way
            self._next_ask = now + min(view.wait_ns, self.timing.interval_ns)
        mine = (view.primary, view.primary_inc) == (self.name, self.inc)
        grew = view.epoch > self.epoch
        if grew:
            self.adopt(view.epoch, view.primary)
            if mine and self.office is None:
                self.promote(now, sent if sent is not None and view.lease else None)
            elif not mine:
                if self.office:
                    self.step_down(now, view.epoch, view.primary)
                self.follower.complete &= view.in_sync.get(self.name) == self.inc
            self.members = tuple(sorted(view.in_sync))
        if mine and self.office:
            self.office.viewed(now, view, sent, grew=grew)

    def promote(self, now: int, sent: int | None) -> None:
        """This node is primary from now on; ``sent``: when the call that earned a lease was."""
        lease_until = 0 if sent is None else sent + self.timing.lease_ns
        self.blank = False
        self.declared_dead = False
        self.office = self.office_type(self, now, lease_until)
        self.out.append(Note("promoted", f"epoch {self.epoch}"))
        self.withdraw(now)
        if self._nudged:
            self._nudged = False
            self.office.tick(now)  # who was primary holds writes until it hears this

    # ------------------------------------------------------------ operators

    def decide(self, now: int, what: str, request: str, candidate: str) -> Decided:
        """An operator approves, rejects, or raises again ("approve", "reject", "raise")."""
        if self.consent is None:
            return Decided(409, "this system fails over by itself; there is nothing to decide")
        self.withdraw(now)
        if what == "raise":
            return self.consent.again(now)
        decide = self.consent.approve if what == "approve" else self.consent.reject
        return decide(now, request, candidate)

    def switchover(self, now: int, request: int, to: str) -> list[Action]:
        """An operator wants the peer to be primary; answered when it is, or why it is not."""
        if self.office is None:
            self.out.append(Told(request, 421, f"{self.name} is not primary"))
        elif to == self.name:
            self.out.append(Told(request, 200, f"{self.name} is primary already"))
        elif to and to != self.office.replica.name:
            self.out.append(Told(request, 409, f"no backup {to} is known here"))
        elif refusal := self.office.give(now, request, "switchover"):
            self.out.append(Told(request, 409, f"still primary: {refusal}"))
        return self.take()

    def take(self) -> list[Action]:
        """The actions so far, to be done in this order."""
        out = list(self.out)
        self.out.clear()
        return out
