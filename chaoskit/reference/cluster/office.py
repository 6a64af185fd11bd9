"""Owning a shard, or asking to: votes, lease, replication, acknowledgement.

An office begins with a node asking for votes in a ballot of its own and ends with any word of a
higher ballot. It is *elected* with the votes of a majority, and then first brings to a majority
whatever any of the voters had accepted: if a write was ever chosen, one of them had it.

It serves only under a lease: a majority, itself included, has promised, within a lease time
counted from when it was *asked*, to vote for nobody else for a detection time counted from when
it *heard*. A new owner needs a vote of that majority, so the old one has stopped before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaoskit.reference.actions import Tell
from chaoskit.reference.cluster.messages import Accept, Accepted, Elect, Vote
from chaoskit.reference.messages import Answer, Note

if TYPE_CHECKING:
    from chaoskit.reference.cluster.shard import Shard

__all__ = ["BATCH", "QUEUE", "Office"]

QUEUE = 5_000
"""Writes of a shard that may wait; one more is refused, and was then not executed."""

BATCH = 500
"""Writes that travel in one message."""


class Office:
    """One ballot of one node for one shard."""

    def __init__(self, shard: Shard, ballot: int, now: int) -> None:
        self.shard, self.node, self.ballot = shard, shard.node, ballot
        self.elected = False
        self.began_ns = now
        self.ready_at = 0  # reads wait until everything from before the election is executed
        self.votes: dict[str, Vote] = {}
        self.leases: dict[str, int] = {}  # voter or follower → until when its promise counts
        self.matched: dict[str, int] = {}
        self.sent: dict[str, int] = {}  # when the message on its way to somebody was sent
        self.waiting: dict[int, tuple[int, int]] = {}  # slot → request, give up at
        for peer in self.node.peers:
            message = Elect(self.node.name, self.node.inc, shard.number, self.ballot, shard.commit)
            self.node.out.append(Tell(peer, message))

    # ------------------------------------------------------------ lease

    def may_ack(self, now: int) -> bool:
        """Whether clients may be told anything: nobody else can have been elected."""
        return self.elected and 1 + sum(t > now for t in self.leases.values()) >= self.node.majority

    def may_read(self, now: int) -> bool:
        """Whether the state here is the newest there is."""
        return self.may_ack(now) and self.shard.commit >= self.ready_at

    def promised(self, peer: str, sent: int) -> None:
        """A peer answered what was sent at ``sent``: no vote for others for a while."""
        until = sent + self.node.timing.lease_ns
        self.leases[peer] = max(self.leases.get(peer, 0), until)

    # ------------------------------------------------------------ election

    def voted(self, now: int, vote: Vote) -> None:
        """A vote came; with those of a majority that agree on who lives, the office begins."""
        if self.elected or not vote.granted or vote.ballot != self.ballot:
            return
        self.votes[vote.node] = vote
        self.promised(vote.node, self.began_ns)
        good = [v for v in self.votes.values() if not self._forgotten(v)]
        free = self.shard.ballot < self.ballot and now >= self.shard.quiet_until
        if 1 + len(good) >= self.node.majority and free:
            self._begin(now, good)

    def _forgotten(self, vote: Vote) -> bool:
        """Whether some voter knows a newer incarnation of that one: its promise died with it."""
        known = [self.node.incs, *(v.incs for v in self.votes.values())]
        return any(incs.get(vote.node, 0) > vote.inc for incs in known)

    def _begin(self, now: int, votes: list[Vote]) -> None:
        """With this node's own vote, which is given here."""
        shard = self.shard
        shard.ballot = self.ballot
        every = [v.entries for v in votes] + [tuple(shard.log[shard.commit :])]
        base = shard.commit
        for k in range(max(len(entries) for entries in every)):
            best = max((e[k] for e in every if k < len(e)), key=lambda entry: entry[0])
            shard.put(base + 1 + k, (self.ballot, str(best[1]), int(best[2])))
        self.elected = True
        self.ready_at = len(shard.log)
        shard.matched_in, shard.matched = self.ballot, len(shard.log)
        self.node.out.append(Note("promoted", f"owns shard {shard.number} in ballot {self.ballot}"))
        self.node.beat_now(now)
        self.flush(now)
        self._advance(now)

    # ------------------------------------------------------------ writing

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Take a write in, or say for certain that it was not executed."""
        if not self.may_ack(now) or len(self.waiting) >= QUEUE:
            self.node.out.append(Answer(request, 503, None, 0))
            return
        self.shard.log.append((self.ballot, key, value))
        slot = len(self.shard.log)
        self.waiting[slot] = (request, now + self.node.timing.write_timeout_ns)
        self.shard.matched = slot
        self.flush(now)
        self._advance(now)

    def flush(self, now: int) -> None:
        """Send each peer what it lacks, one message on its way at a time."""
        if not self.elected:
            return
        shard = self.shard
        for peer in self.node.peers:
            if now - self.sent.get(peer, -(1 << 60)) < self.node.timing.timeout_ns:
                continue
            first = self.matched.get(peer, shard.commit) + 1
            if first > len(shard.log) and peer in self.matched:
                continue
            self.sent[peer] = now
            self.node.out.append(
                Tell(
                    peer,
                    Accept(
                        self.node.name, self.node.inc, shard.number, self.ballot, first,
                        shard.ops(first, BATCH), shard.commit,
                    ),
                )
            )  # fmt: skip

    def accepted(self, now: int, message: Accepted) -> None:
        """A peer's log is as ours up to some slot."""
        if not self.elected or message.ballot != self.ballot:
            return
        self.sent.pop(message.node, None)
        if message.node in self.matched:
            self.matched[message.node] = max(self.matched[message.node], message.matched)
        else:
            self.matched[message.node] = message.matched
        self._advance(now)
        self.flush(now)

    def forget(self, peer: str) -> None:
        """That node began anew: what it had accepted is gone until it says otherwise."""
        self.matched.pop(peer, None)
        self.leases.pop(peer, None)
        self.sent.pop(peer, None)

    def chosen(self) -> int:
        """The last slot that a majority has."""
        have = sorted([len(self.shard.log), *self.matched.values()], reverse=True)
        return have[self.node.majority - 1] if len(have) >= self.node.majority else 0

    def _advance(self, now: int) -> None:
        """Execute and acknowledge what is chosen now."""
        shard = self.shard
        until = self.chosen()
        while shard.commit < until:
            _, key, value = shard.log[shard.commit]
            shard.commit += 1
            version = shard.store.apply((shard.commit, key, value))
            waiting = self.waiting.pop(shard.commit, None)
            if waiting:
                status = 200 if self.may_ack(now) else 504
                self.node.out.append(Answer(waiting[0], status, value, version))

    def resign(self) -> None:
        """A higher ballot rules: what waits may be executed by it, or not."""
        for request, _ in self.waiting.values():
            self.node.out.append(Answer(request, 504, None, 0))
        self.waiting.clear()

    # ------------------------------------------------------------ time

    def tick(self, now: int) -> None:
        """Send again what was not answered; give up what waits too long, or an election."""
        timing = self.node.timing
        if not self.elected:
            if now - self.began_ns >= 2 * timing.timeout_ns:
                self.shard.office = None  # not elected: nothing was promised to anybody but us
            return
        self.flush(now)
        for slot, (request, until) in list(self.waiting.items()):
            if now < until:
                break
            del self.waiting[slot]
            self.node.out.append(Answer(request, 504, None, 0))
