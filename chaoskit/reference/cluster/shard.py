"""One shard on one node: what it has accepted and promised. Owning it is ``office.py``.

This is the acceptor of Paxos, slot by slot: a slot keeps the write of the highest ballot that was
accepted there, nothing is ever deleted, and a write is *chosen* when a majority has accepted it in
one ballot. Everything up to ``commit`` is known to be chosen and has been executed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaoskit.reference.cluster.messages import Accept, Accepted, Elect, Entry, Op, Vote
from chaoskit.reference.cluster.office import Office
from chaoskit.reference.messages import Answer, Note
from chaoskit.reference.store import Store

if TYPE_CHECKING:
    from chaoskit.reference.cluster.node import Node

__all__ = ["Shard"]


class Shard:
    """``number`` is counted from 1."""

    office_type: type[Office] = Office

    def __init__(self, node: Node, number: int) -> None:
        self.node, self.number = node, number
        self.ballot = 0  # the highest that was promised
        self.log: list[Entry] = []
        self.commit = 0
        self.store = Store()
        self.matched = 0  # slots that are as the owner of ``matched_in`` has them
        self.matched_in = 0
        self.heard_ns = 0  # the owner's last heartbeat
        self.quiet_until = 0  # promised to the owner: no vote for anybody else until then
        self.office: Office | None = None
        self.next_try = 0
        self.asked = 0  # the highest ballot that votes were asked for, or are known to be given to
        members = node.members
        at = (number - 1) % len(members)
        self.order = (*members[at:], *members[:at])  # who takes it over first

    # ------------------------------------------------------------ what others may know

    def owner(self) -> str:
        """Whose the promised ballot is; "" if there is none."""
        return self.node.members[self.ballot % len(self.node.members)] if self.ballot else ""

    def hint(self, now: int) -> str:
        """Whom a client should ask; "" if nobody is known to own the shard now."""
        fresh = now - self.heard_ns < self.node.timing.detect_ns
        return self.owner() if fresh and not self.office else ""

    # ------------------------------------------------------------ clients

    def read(self, now: int, key: str) -> Answer:
        """A register's value; nothing is answered from a state that may be old."""
        if self.office is None:
            return Answer(0, 421, None, 0)
        if not self.office.may_read(now):
            return Answer(0, 503, None, 0)
        value, version = self.store.read(key)
        return Answer(0, 200, value, version)

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """A register's new value, or (key "") a token for this part of the log."""
        if self.office is None:
            self.node.out.append(Answer(request, 421, None, 0))
        else:
            self.office.write(now, request, key, value)

    # ------------------------------------------------------------ promises

    def follow(self, now: int, ballot: int) -> bool:
        """The owner of ``ballot`` spoke; False if a higher one was promised."""
        if ballot < self.ballot or (ballot == self.ballot and self.elected()):
            return False
        self.step_down(ballot)
        self.ballot = ballot
        self.heard_ns = now
        self.quiet_until = max(self.quiet_until, now + self.node.timing.detect_ns)
        return True

    def elected(self) -> bool:
        """Whether this node owns the shard, as far as it knows."""
        return self.office is not None and self.office.elected

    def step_down(self, ballot: int) -> None:
        """Another ballot rules. Whether what waits is executed is not ours to say any more."""
        office, self.office = self.office, None
        if office and office.elected:
            self.node.out.append(Note("deposed", f"shard {self.number} by ballot {ballot}"))
            office.resign()

    def overtaken(self, ballot: int) -> None:
        """Somebody has promised a higher ballot than ours."""
        if ballot > self.ballot:
            self.step_down(ballot)
            self.ballot = ballot

    # ------------------------------------------------------------ accepting

    def accept(self, now: int, message: Accept) -> Accepted:
        """Writes of the owner, if it still is one."""
        if self.follow(now, message.ballot):
            if self.matched_in != message.ballot:
                self.matched_in, self.matched = message.ballot, self.commit
            if message.first <= self.matched + 1:
                for slot, (key, value) in enumerate(message.ops, message.first):
                    self.put(slot, (message.ballot, str(key), int(value)))
                self.matched = max(self.matched, message.first + len(message.ops) - 1)
            self.execute(min(message.commit, self.matched))
        return Accepted(
            self.node.name, self.node.inc, self.number, self.ballot,
            self.matched if self.matched_in == self.ballot else 0,
        )  # fmt: skip

    def put(self, slot: int, entry: Entry) -> None:
        """Fill a slot, counted from 1; what is chosen already stays as it is."""
        if slot <= self.commit:
            return
        if slot <= len(self.log):
            self.log[slot - 1] = entry
        else:
            self.log.append(entry)

    def execute(self, commit: int) -> None:
        """Execute everything that is chosen, in the order of the slots."""
        while self.commit < commit:
            _, key, value = self.log[self.commit]
            self.commit += 1
            self.store.apply((self.commit, key, value))

    def ops(self, first: int, most: int) -> tuple[Op, ...]:
        """Writes from slot ``first`` on."""
        return tuple((key, value) for _, key, value in self.log[first - 1 : first - 1 + most])

    # ------------------------------------------------------------ electing

    def vote(self, now: int, message: Elect) -> Vote:
        """Whether that node may own the shard; with everything that may have been chosen.

        Not while the owner's silence has not lasted a detection time here too, nor for a lower
        ballot than one that this node asks votes for itself. What was promised to a node is no
        promise against it: its next ballot may follow at once.
        """
        office = self.office
        held = office is not None and (office.may_ack(now) or office.ballot > message.ballot)
        free = now >= self.quiet_until or message.node == self.owner()
        granted = message.ballot > self.ballot and free and not held
        entries: tuple[Entry, ...] = ()
        if granted:
            self.step_down(message.ballot)
            self.ballot = message.ballot
            self.heard_ns = now
            self.quiet_until = now + self.node.timing.detect_ns
            entries = tuple(self.log[message.commit :])
        return Vote(
            self.node.name, self.node.inc, self.number, message.ballot, granted, self.ballot,
            entries, dict(self.node.incs),
        )  # fmt: skip

    def tick(self, now: int) -> None:
        """Look at the clock: carry on in office, or see whether the owner is silent."""
        if self.office:
            self.office.tick(now)
        elif now >= self.next_try and now >= self.quiet_until and self.owner_silent(now):
            self.stand(now)

    def owner_silent(self, now: int) -> bool:
        """Whether it is this node's turn to take over: the others are a little later each."""
        timing = self.node.timing
        others = [m for m in self.order if m != self.owner()]
        rank = others.index(self.node.name) if self.node.name in others else 0
        return now - self.heard_ns >= timing.detect_ns + 2 * rank * timing.timeout_ns

    def stand(self, now: int) -> None:
        """Ask all for their votes in the next ballot that is this node's own.

        Nothing is promised by asking: a node that was cut off for a while disturbs nobody. No
        ballot is asked for twice: a late vote would speak of another moment.
        """
        count = len(self.node.members)
        mine = self.node.members.index(self.node.name)
        known = max(self.ballot, self.asked)
        ballot = self.asked = known + 1 + (mine - known - 1) % count
        rank = self.order.index(self.node.name)
        self.next_try = now + 2 * (1 + rank) * self.node.timing.timeout_ns
        if self.ballot:
            self.node.out.append(Note("asked", f"for shard {self.number} in ballot {ballot}"))
        self.office = self.office_type(self, ballot, now)
