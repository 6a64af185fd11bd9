"""Planted defects of the cluster shape; see ``chaoskit/reference/defects.py``."""

from __future__ import annotations

from chaoskit.reference.cluster.messages import Piece
from chaoskit.reference.cluster.node import Node
from chaoskit.reference.cluster.office import Office
from chaoskit.reference.cluster.recovery import Recovery
from chaoskit.reference.cluster.shard import Shard
from chaoskit.reference.members import Membership
from chaoskit.reference.messages import Answer, Note
from chaoskit.reference.settings import BadSettings, Timing

__all__ = ["NODES", "node_of", "node_type"]

_ORPHAN = 5


class _Orphan(Shard):
    """The fifth shard is taken over by nobody: only its first owner ever stands for it."""

    def stand(self, now: int) -> None:
        """Overridden: leaves one shard without an owner."""
        if self.number != _ORPHAN or self.order[0] == self.node.name:
            super().stand(now)


class ShardWithoutOwner(Node):
    """A shard of a dead node stays without an owner."""

    shard_type = _Orphan


class _Hasty(Office):
    """Acknowledges a write as soon as it is in its own log, and sends it on two intervals later."""

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Overridden: nobody else has it yet."""
        if not self.may_ack(now):
            super().write(now, request, key, value)
            return
        self.shard.log.append((self.ballot, key, value))
        self.shard.matched = len(self.shard.log)
        self.node.out.append(Answer(request, 200, value, len(self.shard.log)))

    def flush(self, now: int) -> None:
        """Overridden: what is new is held back for two intervals."""
        if now - self.flushed_ns >= 2 * self.node.timing.interval_ns:
            self.flushed_ns = now
            super().flush(now)

    flushed_ns = 0

    def tick(self, now: int) -> None:
        """Overridden: as before, and what nobody waits for is executed all the same."""
        super().tick(now)
        self._advance(now)


class _HastyShard(Shard):
    office_type = _Hasty


class AcksBeforeMajority(Node):
    """Acknowledges writes that only the owner has."""

    shard_type = _HastyShard


class _Unfenced(Office):
    """Needs no lease and no majority once it is elected."""

    def may_ack(self, now: int) -> bool:  # noqa: ARG002 - the signature
        """Overridden: once elected, always."""
        return self.elected

    def chosen(self) -> int:
        """Overridden: its own word is enough."""
        return len(self.shard.log)


class _UnfencedShard(Shard):
    office_type = _Unfenced


class TwoOwners(Node):
    """An owner that is cut off from the others goes on acknowledging."""

    shard_type = _UnfencedShard


class _Replaying(Office):
    """A new owner executes the newest writes of its shard's log once more."""

    def flush(self, now: int) -> None:
        """Overridden: the first time, with old writes appended as new ones."""
        if self.elected and not self.replayed and self.ready_at:
            self.replayed = True
            for _, key, value in self.shard.log[-20:]:
                self.shard.log.append((self.ballot, key, value))
            self.shard.matched = len(self.shard.log)
        super().flush(now)

    replayed = False


class _ReplayingShard(Shard):
    office_type = _Replaying


class ReplaysOnTakeover(Node):
    """Acknowledged writes are executed twice when a shard changes hands."""

    shard_type = _ReplayingShard


class _Tired(Office):
    """Half a second of office is enough for whoever took a shard over from somebody else.

    It gives up as a sound owner does that is deposed, and lets the others go first: nothing is
    lost, and no two ever own the shard. A shard that nobody had before is kept.
    """

    ENOUGH_NS = 500_000_000

    def __init__(self, shard: Shard, ballot: int, now: int) -> None:
        super().__init__(shard, ballot, now)
        self.inherited = shard.ballot > 0

    def tick(self, now: int) -> None:
        """Overridden: looks how long it has lasted."""
        super().tick(now)
        shard = self.shard
        if self.elected and self.inherited and now - self.began_ns >= self.ENOUGH_NS:
            shard.office = None
            shard.next_try = now + 3 * self.node.timing.detect_ns
            self.node.out.append(Note("tired", f"gives shard {shard.number} up"))
            self.resign()


class _TiredShard(Shard):
    office_type = _Tired


class ShardFlaps(Node):
    """A shard that was taken over once is handed on again and again."""

    shard_type = _TiredShard


class _Blank(Recovery):
    """Copies nothing."""

    def piece(self, now: int, piece: Piece) -> None:
        """Overridden: what it is given is not taken."""


class NeverRecovers(Node):
    """A node that comes back never counts again: one more that is lost, and service is."""

    def __init__(
        self, name: str, inc: int, members: tuple[str, ...], shards: int, timing: Timing, now: int
    ) -> None:
        super().__init__(name, inc, members, shards, timing, now)
        self.recovery = _Blank(self, now)


NODES: dict[str, type[Node]] = {
    "shard-without-owner": ShardWithoutOwner,
    "acks-before-majority": AcksBeforeMajority,
    "two-owners": TwoOwners,
    "replays-on-takeover": ReplaysOnTakeover,
    "shard-flaps": ShardFlaps,
    "never-recovers": NeverRecovers,
}
"""The state machine of each."""


def node_of(membership: Membership) -> type[Node]:
    """The state machine to run; a flaw of a shard that is not there is refused as well.

    Raises ``BadSettings``.
    """
    found = node_type(membership.settings.defect)
    if found is ShardWithoutOwner and membership.shards < _ORPHAN:
        raise BadSettings(
            f"CHAOSKIT_DEFECT={membership.settings.defect!r} is a flaw of shard {_ORPHAN}, and"
            f" CHAOSKIT_SHARDS is {membership.shards}; it would find nothing wrong"
        )
    return found


def node_type(name: str | None) -> type[Node]:
    """The state machine to run. Raises ``BadSettings`` with the list for an unknown name."""
    if name is None:
        return Node
    if name not in NODES:
        raise BadSettings(
            f"CHAOSKIT_DEFECT={name!r} is not a planted defect of cluster;"
            f" there are: {', '.join(NODES)}"
        )
    return NODES[name]
