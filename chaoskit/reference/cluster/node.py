"""A node of a cluster as a pure state machine: no clock, no socket, no randomness.

It holds every shard, owns some, and follows the owners of the others. All shards share one
heartbeat between any two nodes.
"""

from __future__ import annotations

from chaoskit.reference.actions import Answer, Do, Note, Reply, Tell
from chaoskit.reference.cluster.messages import (
    Accept,
    Accepted,
    Beat,
    BeatAck,
    Elect,
    Fetch,
    Here,
    Message,
    Piece,
    Recover,
    Vote,
)
from chaoskit.reference.cluster.recovery import Recovery
from chaoskit.reference.cluster.shard import Shard
from chaoskit.reference.settings import Timing, next_due

__all__ = ["Node"]


class Node:
    """One incarnation. ``members``: all nodes, in the same order everywhere."""

    shard_type: type[Shard] = Shard

    def __init__(
        self, name: str, inc: int, members: tuple[str, ...], shards: int, timing: Timing, now: int
    ) -> None:
        self.name, self.inc, self.timing = name, inc, timing
        self.members = members
        self.peers = tuple(m for m in members if m != name)
        self.majority = len(members) // 2 + 1
        self.incs = {name: inc}
        self.founders: dict[str, int] = {}
        self.out: list[Do] = []
        self.shards = [self.shard_type(self, number) for number in range(1, shards + 1)]
        self.recovery: Recovery | None = Recovery(self, now)
        self._heard: dict[str, int] = {}  # peer → when
        self._missed: dict[str, int] = {}
        self._beats: dict[int, int] = {}  # number → sent
        self._n = 0
        self._next_beat = now
        self._now = now

    # ------------------------------------------------------------ what others may know

    def owned(self, now: int) -> tuple[int, ...]:
        """The shards that this node owns and may serve."""
        return tuple(s.number for s in self.shards if s.office and s.office.may_ack(now))

    def role(self, now: int) -> str:
        """Primary (owns a shard), fenced (owns, but may not serve), backup or joining."""
        if self.recovery is not None:
            return "joining"
        if self.owned(now):
            return "primary"
        return "fenced" if any(s.elected() for s in self.shards) else "backup"

    def alive(self, now: int) -> tuple[str, ...]:
        """Peers that were heard within a detection time."""
        return tuple(p for p, at in self._heard.items() if now - at < self.timing.detect_ns)

    def shard_of(self, number: int) -> Shard:
        """The shard that a key's or a log part's number belongs to."""
        return self.shards[(number - 1) % len(self.shards)]

    # ------------------------------------------------------------ clients

    def read(self, now: int, number: int, key: str) -> Answer:
        """A register."""
        self.wake(now)
        if self.recovery is not None:
            return Answer(0, 503, None, 0)
        return self.shard_of(number).read(now, key)

    def write(self, now: int, request: int, number: int, key: str, value: int) -> list[Do]:
        """A register, or (key "") a token for part ``number`` of the log."""
        self.wake(now)
        if self.recovery is not None:
            self.out.append(Answer(request, 503, None, 0))
        else:
            self.shard_of(number).write(now, request, key, value)
        return self.take()

    # ------------------------------------------------------------ time

    def tick(self, now: int) -> list[Do]:
        """Look at the clock; call it every ``timing.tick_ns``."""
        self.wake(now)
        if self.recovery is not None:
            self.recovery.tick(now)
            return self.take()
        for peer, at in self._heard.items():
            self._watch(now, peer, at)
        if now >= self._next_beat:
            self._next_beat = next_due(self._next_beat, self.timing.interval_ns, now)
            self._beat(now)
        for shard in self.shards:
            shard.tick(now)
        return self.take()

    def wake(self, now: int) -> None:
        """Whoever stood still has heard nobody, which says nothing about the others."""
        if now - self._now > self.timing.interval_ns:
            self.out.append(Note("stalled", f"{(now - self._now) / 1e6:.0f} ms"))
            for shard in self.shards:
                shard.heard_ns = now
            self._heard = dict.fromkeys(self._heard, now)
        self._now = now

    def _watch(self, now: int, peer: str, at: int) -> None:
        missed = max(0, (now - at - self.timing.timeout_ns) // self.timing.interval_ns)
        if missed > self._missed.get(peer, 0) and missed <= self.timing.misses:
            what = f"{missed} of {self.timing.misses} of {peer}"
            self.out.append(Note("heartbeat-missed", what))
            if missed == self.timing.misses:
                self.out.append(Note("declared-dead", peer))
        self._missed[peer] = missed

    def beat_now(self, now: int) -> None:
        """A shard has a new owner: everybody should know at once."""
        self._next_beat = now

    def _beat(self, now: int) -> None:
        self._n += 1
        self._beats[self._n] = now
        self._beats.pop(self._n - 4 * self.timing.misses, None)
        leads = tuple((s.number, s.ballot, s.commit) for s in self.shards if s.elected())
        self.out += [Tell(p, Beat(self.name, self.inc, self._n, leads)) for p in self.peers]

    def found(self, now: int, founders: dict[str, int]) -> None:
        """Every node is here and blank: the cluster begins."""
        self.founders = founders
        self.recovery = None
        self.out.append(Note("founded", " ".join(sorted(founders))))
        for shard in self.shards:
            shard.heard_ns = now - self.timing.detect_ns  # the first in order stands at once,
            shard.next_try = now + shard.order.index(self.name) * self.timing.detect_ns

    # ------------------------------------------------------------ messages

    def message(self, now: int, message: Message) -> list[Do]:
        """Handle what another node said; nothing of an old incarnation counts."""
        self.wake(now)
        if message.node not in self.peers or not self._current(message.node, message.inc):
            return self.take()
        self._heard[message.node] = now
        if isinstance(message, Recover):
            self.out.append(Recovery.here_of(self, message.inc))
        elif isinstance(message, Fetch):
            self.out += Recovery.piece_of(self, message)
        elif self.recovery is not None:
            if isinstance(message, Here):
                self.recovery.answered(now, message)
            elif isinstance(message, Piece):
                self.recovery.piece(now, message)
        else:
            self._protocol(now, message)
        return self.take()

    def _current(self, node: str, inc: int) -> bool:
        known = self.incs.get(node, 0)
        if inc > known:
            self.incs[node] = inc
            self.out.append(Note("node-seen", f"{node} incarnation {inc}"))
            for shard in self.shards:
                if shard.office:
                    shard.office.forget(node)
        return inc >= known

    def _protocol(self, now: int, message: Message) -> None:
        if isinstance(message, Beat):
            self._beaten(now, message)
        elif isinstance(message, BeatAck):
            self._beat_answered(message)
        elif isinstance(message, Accept):
            self.out.append(Reply(self.shards[message.shard - 1].accept(now, message)))
        elif isinstance(message, Elect):
            self.out.append(Reply(self.shards[message.shard - 1].vote(now, message)))
        elif isinstance(message, Accepted):
            shard = self.shards[message.shard - 1]
            shard.overtaken(message.ballot)
            if shard.office:
                shard.office.accepted(now, message)
        elif isinstance(message, Vote):
            shard = self.shards[message.shard - 1]
            shard.asked = max(shard.asked, message.promised)
            if shard.office and shard.office.ballot == message.ballot:
                shard.office.voted(now, message)

    def _beaten(self, now: int, beat: Beat) -> None:
        grants, later = [], []
        for number, ballot, commit in beat.leads:
            shard = self.shards[number - 1]
            if shard.follow(now, ballot):
                grants.append((number, ballot))
                if shard.matched_in == ballot:
                    shard.execute(min(commit, shard.matched))
            else:
                later.append((number, shard.ballot))
        self.out.append(Note("heartbeat-seen", f"{beat.n} of {beat.node}"))
        self.out.append(Reply(BeatAck(self.name, self.inc, beat.n, tuple(grants), tuple(later))))

    def _beat_answered(self, ack: BeatAck) -> None:
        sent = self._beats.get(ack.n)
        for number, ballot in ack.grants:
            office = self.shards[number - 1].office
            if office and office.elected and office.ballot == ballot and sent is not None:
                office.promised(ack.node, sent)
        for number, ballot in ack.later:
            self.shards[number - 1].overtaken(ballot)

    def take(self) -> list[Do]:
        """The actions so far, to be done in this order."""
        out, self.out = self.out, []
        return out
