"""How a node that remembers nothing becomes one whose word counts.

Everything is in memory, so a node that was killed has forgotten what it promised and accepted.
Until it has made good for that it votes for nobody, accepts nothing and answers no client. It asks
all others where things stand and waits for answers of as many as are a majority *without* it; the
highest ballot that they know has an owner, who gives it the whole log. Whatever the forgotten
incarnation had helped to decide, one of those who answer knows of it; and whoever has answered
tells every candidate that the old incarnation's votes are void (``Vote.incs``).

A cluster begins when all nodes are there and all are blank. Those incarnations are its founders;
a founder that has not heard yet learns it from another. If a majority of nodes is lost at once,
the rest waits for ever: what was acknowledged may be gone, and nothing must be made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaoskit.reference.actions import Reply, Tell
from chaoskit.reference.cluster.messages import Fetch, Here, Piece, Recover
from chaoskit.reference.messages import Note

if TYPE_CHECKING:
    from chaoskit.reference.cluster.node import Node

__all__ = ["BATCH", "Recovery"]

BATCH = 500
"""Slots that travel in one message."""


class Recovery:
    """One node's way back. Over as soon as ``Node.recovery`` is None."""

    def __init__(self, node: Node, now: int) -> None:
        self.node = node
        self.here: dict[str, Here] = {}
        self.fetched: set[int] = set()  # shards whose log is complete
        self._next_ask = now

    def tick(self, now: int) -> None:
        """Ask everybody, again and again."""
        if now < self._next_ask:
            return
        self._next_ask = now + self.node.timing.interval_ns // 2
        for peer in self.node.peers:
            self.node.out.append(Tell(peer, Recover(self.node.name, self.node.inc)))
        self._fetch()

    def answered(self, now: int, here: Here) -> None:
        """Somebody said where things stand."""
        node = self.node
        if here.to_inc != node.inc:
            return
        self.here[here.node] = here
        if here.founders.get(node.name) == node.inc:
            node.found(now, dict(here.founders))
            return
        everybody = len(self.here) == len(node.peers)
        if everybody and all(h.blank and h.inc == node.incs.get(n) for n, h in self.here.items()):
            node.found(now, {node.name: node.inc, **{n: h.inc for n, h in self.here.items()}})
            return
        self._fetch()
        self._done(now)

    def _sure(self) -> list[Here]:
        """Answers of those that have not forgotten anything, if they are enough."""
        node = self.node
        found = [h for n, h in self.here.items() if not h.blank and h.inc == node.incs.get(n)]
        return found if len(found) >= node.majority else []

    def _highest(self, shard: int) -> int:
        return max(h.shards[shard - 1][0] for h in self._sure())

    def _fetch(self) -> None:
        """Ask the owner of each shard's highest ballot for what is missing."""
        node = self.node
        if not self._sure():
            return
        for shard in node.shards:
            if shard.number in self.fetched:
                continue
            ballot = self._highest(shard.number)
            owner = node.members[ballot % len(node.members)]
            if ballot == 0:
                self.fetched.add(shard.number)
            elif owner != node.name:
                if shard.ballot != ballot:
                    shard.ballot, shard.log = ballot, []
                message = Fetch(node.name, node.inc, shard.number, ballot, len(shard.log))
                node.out.append(Tell(owner, message))

    def piece(self, now: int, piece: Piece) -> None:
        """Some of a shard's log."""
        node = self.node
        if piece.to_inc != node.inc or not self._sure():
            return
        shard = node.shards[piece.shard - 1]
        if piece.ballot < self._highest(piece.shard) or piece.shard in self.fetched:
            return
        if piece.ballot > shard.ballot:
            shard.ballot, shard.log = piece.ballot, []
        if piece.ballot != shard.ballot or piece.first != len(shard.log) + 1:
            return
        shard.log += [(piece.ballot, str(key), int(value)) for key, value in piece.ops]
        if len(shard.log) < piece.total:
            self._fetch()
            return
        shard.matched_in, shard.matched = piece.ballot, len(shard.log)
        shard.execute(min(piece.commit, len(shard.log)))
        self.fetched.add(piece.shard)
        self._done(now)

    def _done(self, now: int) -> None:
        node = self.node
        if not self._sure() or len(self.fetched) < len(node.shards):
            return
        node.recovery = None
        for shard in node.shards:  # what the old incarnation promised is kept, without knowing it
            shard.heard_ns = now
            shard.quiet_until = now + node.timing.detect_ns
        node.out.append(Note("in-sync", f"recovered {sum(len(s.log) for s in node.shards)} writes"))

    # ------------------------------------------------------------ the other side

    @staticmethod
    def here_of(node: Node, to_inc: int) -> Reply:
        """Where things stand, as a node knows it."""
        blank = node.recovery is not None
        shards = tuple((s.ballot, s.elected()) for s in node.shards)
        founders = {} if blank else dict(node.founders)
        return Reply(Here(node.name, node.inc, to_inc, blank, founders, shards))

    @staticmethod
    def piece_of(node: Node, message: Fetch) -> list[Reply]:
        """A piece of the log that this node owns; nothing if it does not."""
        shard = node.shards[message.shard - 1]
        if not shard.elected() or node.recovery is not None or shard.ballot < message.ballot:
            return []
        have = message.have if message.ballot == shard.ballot else 0
        return [
            Reply(
                Piece(
                    node.name, node.inc, message.inc, shard.number, shard.ballot, have + 1,
                    shard.ops(have + 1, BATCH), len(shard.log), shard.commit,
                )
            )
        ]  # fmt: skip
