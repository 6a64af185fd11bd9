"""A node of an active-active group as a pure state machine: no clock, no socket, no randomness."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaoskit.reference.actions import Answer, Do, Note, Reply, Tell
from chaoskit.reference.active_active.merge import Merged
from chaoskit.reference.active_active.messages import Have, Hello, Message, Op, Push, Vector
from chaoskit.reference.settings import Timing, next_due

__all__ = ["BATCH", "QUEUE", "Node", "Peer"]

QUEUE = 20_000
"""Writes that may wait for another node; one more is refused, and was then not executed."""

BATCH = 500
"""Writes that travel in one message."""


@dataclass
class Peer:
    """Another node as this one knows it."""

    name: str
    inc: str = ""
    seen: int = 0  # the highest number of its messages
    heard_ns: int = 0  # 0: never
    serving: bool = False
    vector: Vector = field(default_factory=dict)
    goal: Vector | None = None  # what it had when it was first heard, for a node that joins
    alive: bool = False
    pushed_ns: int = 0  # when the message on its way was sent; 0: none is
    push: int = 0  # its number
    missed: int = 0


class Node:
    """One incarnation. It begins blank and remembers nothing of earlier ones."""

    def __init__(
        self, name: str, incarnation: str, peers: tuple[str, ...], timing: Timing, now: int
    ) -> None:
        self.name, self.inc, self.timing = name, incarnation, timing
        self.origin = f"{name}/{incarnation}"
        self.state = Merged()
        self.peers = {peer: Peer(peer) for peer in peers}
        self.serving = False
        self.out: list[Do] = []
        self.waiting: dict[int, tuple[int, int, int]] = {}  # own write → request, version, until
        self.began_ns = now
        self._n = 0
        self._next_hello = now
        self._now = now

    # ------------------------------------------------------------ what others may know

    def role(self) -> str:
        """Primary (it answers clients, as all do) or joining."""
        return "primary" if self.serving else "joining"

    def hint(self) -> str:
        """Whom a client may ask instead; empty if nobody is known to serve."""
        return next((p.name for p in self.peers.values() if p.alive and p.serving), "")

    def alone(self) -> bool:
        """Whether no other node is alive, as far as this one knows."""
        return not any(peer.alive for peer in self.peers.values())

    # ------------------------------------------------------------ clients

    def read(self, now: int, key: str) -> Answer:
        """A register as it is here; another node may have a newer value on its way."""
        self.wake(now)
        if not self.serving:
            return Answer(0, 503, None, 0)
        value, version = self.state.read(key)
        return Answer(0, 200, value, version)

    def write(self, now: int, request: int, key: str, value: int) -> list[Do]:
        """A register's new value, or (key "") a token for the log."""
        self.wake(now)
        if not self.serving or len(self.waiting) >= QUEUE:
            self.out.append(Answer(request, 503, None, 0))
            return self.take()
        number = self.state.make(self.origin, key, value)
        until = now + self.timing.write_timeout_ns
        self.waiting[number] = (request, self.state.counter, until)
        self.flush(now)
        self.settle()
        return self.take()

    def copies(self) -> int:
        """How many of this node's own writes are certainly on another node."""
        return max((p.vector.get(self.origin, 0) for p in self.peers.values()), default=0)

    def settle(self) -> None:
        """Acknowledge what one other node has too; everything, if there is no other node."""
        safe = self.state.vector().get(self.origin, 0) if self.alone() else self.copies()
        for number in [n for n in self.waiting if n <= safe]:
            request, version, _ = self.waiting.pop(number)
            value = self.state.logs[self.origin][number - 1][2]
            self.out.append(Answer(request, 200, value, version))

    # ------------------------------------------------------------ time

    def tick(self, now: int) -> list[Do]:
        """Look at the clock; call it every ``timing.tick_ns``."""
        self.wake(now)
        for peer in self.peers.values():
            self._watch(now, peer)
        if now >= self._next_hello:
            self._next_hello = next_due(self._next_hello, self.timing.interval_ns, now)
            vector = self.state.vector()
            self.out += [Tell(name, self._hello(vector)) for name in self.peers]
        if not self.serving:
            self.consider_serving(now)
        self.flush(now)
        self.settle()
        for number, (request, _, until) in list(self.waiting.items()):
            if now >= until:
                del self.waiting[number]
                self.out.append(Answer(request, 504, None, 0))
        return self.take()

    def wake(self, now: int) -> None:
        """Whoever stood still has heard nobody, which says nothing about the others."""
        if now - self._now > self.timing.interval_ns:
            self.out.append(Note("stalled", f"{(now - self._now) / 1e6:.0f} ms"))
            for peer in self.peers.values():
                if peer.alive:
                    peer.heard_ns = now
        self._now = now

    def _watch(self, now: int, peer: Peer) -> None:
        if not peer.alive:
            return
        silent = now - peer.heard_ns
        missed = max(0, (silent - self.timing.timeout_ns) // self.timing.interval_ns)
        if missed > peer.missed:
            self.out.append(Note("heartbeat-missed", f"{missed} of {peer.name}"))
        peer.missed = missed
        if silent >= self.timing.detect_ns:
            peer.alive = False
            self.out.append(Note("declared-dead", peer.name))

    def consider_serving(self, now: int) -> None:
        """Serve once everything is here that those who serve had when they were first heard.

        Where nobody serves: once everybody is there, or nobody has come for a long time.
        """
        others = [p for p in self.peers.values() if p.alive]
        leaders = [p for p in others if p.serving]
        if leaders:
            ready = all(p.goal is not None and self.state.covers(p.goal) for p in leaders)
        else:
            all_here = len(others) == len(self.peers)
            late = now - self.began_ns >= 10 * self.timing.detect_ns
            ready = (all_here or late) and all(self.state.covers(p.vector) for p in others)
        if ready:
            self.serving = True
            self.out.append(Note("promoted", f"serving with {len(self.state.tokens)} tokens"))

    # ------------------------------------------------------------ replication

    def flush(self, now: int) -> None:
        """Send each living peer what it lacks, one message on its way at a time."""
        for peer in self.peers.values():
            if not peer.alive:
                continue
            if peer.pushed_ns and now - peer.pushed_ns < self.timing.timeout_ns:
                continue
            found = self._lacks(peer)
            if found is None:
                continue
            origin, first, ops = found
            self._n += 1
            peer.push, peer.pushed_ns = self._n, now
            message = Push(self.name, self.inc, self._n, self.serving, origin, first, ops)
            self.out.append(Tell(peer.name, message))

    def _lacks(self, peer: Peer) -> tuple[str, int, tuple[Op, ...]] | None:
        """Its own writes first; those of others where they are missing as well."""
        for origin in (self.origin, *(o for o in self.state.logs if o != self.origin)):
            have = peer.vector.get(origin, 0)
            if origin != self.origin and self._brings(origin, peer):
                continue
            ops = self.state.after(origin, have, BATCH)
            if ops:
                return origin, have + 1, ops
        return None

    def _brings(self, origin: str, peer: Peer) -> bool:
        """Whether the origin itself is alive, and brings its writes to that peer without us."""
        name, _, inc = origin.rpartition("/")
        if name == peer.name:
            return inc == peer.inc
        source = self.peers.get(name)
        return source is not None and source.alive and source.inc == inc and not self._late(peer)

    def _late(self, peer: Peer) -> bool:
        """Whether the peer is being copied to: everybody who can may help."""
        return not peer.serving

    # ------------------------------------------------------------ messages

    def message(self, now: int, message: Message) -> list[Do]:
        """Handle what another node said."""
        self.wake(now)
        peer = self.peers.get(message.node)
        if peer is None:
            return self.take()
        if isinstance(message, Push):
            self._heard(now, peer, message)
            self.state.take(message.origin, message.first, tuple(message.ops))
            if peer.inc == message.inc:
                have = max(peer.vector.get(message.origin, 0), message.first + len(message.ops) - 1)
                peer.vector[message.origin] = have
        else:
            fresh = self._heard(now, peer, message)
            if fresh:
                self._learn(peer, message.vector)
            if isinstance(message, Have) and message.n == peer.push:
                peer.pushed_ns = 0
        if isinstance(message, Hello):
            self.out.append(Note("heartbeat-seen", f"{message.n} of {peer.name}"))
        if not isinstance(message, Have):
            have_now = Have(self.name, self.inc, message.n, self.serving, self.state.vector())
            self.out.append(Reply(have_now))
        self.flush(now)
        self.settle()
        return self.take()

    def _heard(self, now: int, peer: Peer, message: Message) -> bool:
        """Note a sign of life; False if it is an old incarnation's."""
        if peer.inc != message.inc:
            if peer.inc and not self._newer(message.inc, peer.inc):
                return False
            self.out.append(Note("node-seen", f"{peer.name} incarnation {message.inc}"))
            peer.inc, peer.vector, peer.goal, peer.pushed_ns = message.inc, {}, None, 0
            peer.serving = False
        if not peer.alive:
            peer.alive = True
            self.returned(now, peer)
        peer.heard_ns = now
        peer.missed = 0
        # An answer carries the asker's number, so only what the peer sent of its own is ordered;
        # serving is never taken back within an incarnation.
        peer.serving = peer.serving or message.serving
        return True

    def returned(self, now: int, peer: Peer) -> None:
        """A peer is alive that was not: it is owed what it missed, and we what it has."""
        away = f" after {(now - peer.heard_ns) / 1e6:.0f} ms" if peer.heard_ns else ""
        self.out.append(Note("peer-alive", f"{peer.name}{away}"))

    def _learn(self, peer: Peer, vector: Vector) -> None:
        if peer.goal is None and peer.serving:
            peer.goal = dict(vector)
        for origin, count in vector.items():
            peer.vector[origin] = max(peer.vector.get(origin, 0), int(count))

    @staticmethod
    def _newer(one: str, other: str) -> bool:
        """Incarnations are named by when they began; the longer or greater name is the later."""
        return (len(one), one) > (len(other), other)

    def _hello(self, vector: Vector) -> Hello:
        self._n += 1
        return Hello(self.name, self.inc, self._n, self.serving, vector)

    def take(self) -> list[Do]:
        """The actions so far, to be done in this order."""
        out, self.out = self.out, []
        return out
