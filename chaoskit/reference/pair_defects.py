"""Planted defects of the pair that fails over by itself; see ``defects.py``."""

from __future__ import annotations

from collections import deque

from chaoskit.reference.defect import Defect
from chaoskit.reference.messages import Action, Answer, Append, Copy, Op, View
from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.replica import Phase
from chaoskit.reference.settings import Timing
from chaoskit.reference.store import Store

__all__ = ["PAIR", "NoFencing", "Unfenced"]

_MS = 1_000_000
_LATER = 3
"""Epochs from here on came after the pair had been founded and was in sync."""


class DiskBlind(Node):
    """Keeps its lease by what touches no disk, whatever the disk does."""

    heeds_disk = False


class NeverPromotes(Node):
    """Declares the primary dead and leaves it at that."""

    def ask_promotion(self, now: int) -> None:
        """Overridden: asks nobody."""


class PromotesLate(Node):
    """Waits ten detection times more before it asks."""

    def ask_promotion(self, now: int) -> None:
        """Overridden: not yet."""
        if now - self.follower.detector.seen_ns >= 11 * self.timing.detect_ns:
            super().ask_promotion(now)


class Unfenced(Office):
    """Serves without a lease, and takes the peer out and in without the witness."""

    def serving(self, now: int) -> bool:  # noqa: ARG002 - the signature
        """Overridden: always."""
        return True

    def ask(self, now: int, what: str) -> None:
        """Overridden: grants itself what it would have asked for."""
        node, replica = self.node, self.replica
        if what == "add":
            replica.phase = Phase.SYNCED
            node.members = tuple(sorted((node.name, replica.name)))
        else:
            node.members = (node.name,)
            self.drop_peer(now)


class NoFencing(Node):
    """Promotes itself without the witness; a cut-off primary goes on alone: two at once."""

    office_type = Unfenced

    def ask_promotion(self, now: int) -> None:
        """Overridden: grants itself the next epoch."""
        self.adopt(self.epoch + 1, self.name)
        self.members = (self.name,)
        self.promote(now, now)

    def view(self, now: int, view: View) -> None:
        """Overridden: listens to the witness only to begin with."""
        if self.epoch == 0:
            super().view(now, view)


class _Hasty(Office):
    """Acknowledges at once; the peer is sent each write two intervals later."""

    def __init__(self, node: Node, now: int, lease_until: int) -> None:
        super().__init__(node, now, lease_until)
        self._held: deque[tuple[int, Op]] = deque()  # due, write

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Overridden: executes and answers before the peer has heard of it."""
        if not (self.replica.paired and self.serving(now)):
            super().write(now, request, key, value)
            return
        op = self.replica.assign(key, value)
        self.replica.outbox.pop()
        self._held.append((now + 2 * self.node.timing.interval_ns, op))
        self.node.out.append(Answer(request, 200, value, self.node.store.apply(op)))

    def flush(self, now: int) -> None:
        """Overridden: only what has been held long enough."""
        while self._held and self._held[0][0] <= now:
            self.replica.outbox.append(self._held.popleft()[1])
        super().flush(now)

    def commit(self, now: int, ops: list[Op]) -> None:
        """Overridden: what was executed early is not executed again."""
        super().commit(now, [op for op in ops if op[0] > self.node.store.seq])

    def drop_peer(self, now: int) -> None:
        """Overridden: nothing is owed to a peer that is out."""
        self._held.clear()
        super().drop_peer(now)


class AcksBeforeReplicating(Node):
    """Acknowledges writes that only it has: a kill loses the last ones."""

    office_type = _Hasty


class DuplicatesOnPromotion(Node):
    """Executes the newest writes of the log a second time when it is promoted."""

    def promote(self, now: int, sent: int | None) -> None:
        """Overridden: replays what it already has."""
        super().promote(now, sent)
        if self.office:
            for token in list(self.store.tokens[-50:]):
                self.store.apply(self.office.replica.assign("", token))


class LosesInFlight(Node):
    """Keeps what it receives in a buffer that is forgotten when it is promoted."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self._batches: deque[int] = deque(maxlen=10)

    def _append(self, now: int, message: Append) -> None:
        """Overridden: remembers what each of the last batches brought."""
        before = len(self.store.tokens)
        super()._append(now, message)
        self._batches.append(len(self.store.tokens) - before)

    def promote(self, now: int, sent: int | None) -> None:
        """Overridden: the log loses what those batches brought."""
        lost = sum(self._batches)
        if lost:
            del self.store.tokens[-lost:]
        super().promote(now, sent)


class _Zombie(Office):
    """Holds the office, and answers no client."""

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Overridden: never answered."""


class HealthLies(Node):
    """Is promoted and says that all is well, and its work is dead: nothing is answered."""

    def promote(self, now: int, sent: int | None) -> None:
        """Overridden: takes over as a zombie."""
        if self.declared_dead:
            self.office_type = _Zombie
        super().promote(now, sent)


class Flaps(Node):
    """Hands the office over again and again once there was a failover."""

    def tick(self, now: int) -> list[Action]:
        """Overridden: half a second of office is enough."""
        if not self.office or self.epoch < _LATER:
            self._tired = now + 500 * _MS
        elif now >= self._tired:
            self._tired = now + 500 * _MS
            self.office.give(now, 0, "tired")
        return super().tick(now)

    _tired = 0


class NeverRejoins(Node):
    """A node that comes back after a failover takes no copy: the pair stays alone."""

    def _copy(self, now: int, piece: Copy) -> None:
        """Overridden: what comes after the founding is not for it."""
        if piece.epoch < _LATER:
            super()._copy(now, piece)


class ServesStaleReads(Node):
    """Once deposed it goes on answering reads from what it had."""

    _had: Store | None = None

    def step_down(self, now: int, epoch: int, primary: str) -> None:
        """Overridden: remembers."""
        if self.office:
            self._had = self.store
        super().step_down(now, epoch, primary)

    def read(self, now: int, key: str) -> Answer:
        """Overridden: an old answer is better than none; it is not."""
        fenced = self.office is not None and not self.office.serving(now)
        store = self.store if fenced else self._had if self.office is None else None
        if store is None:
            return super().read(now, key)
        value, version = store.read(key)
        return Answer(0, 200, value, version)


_HASTY_TIMES = Timing(25 * _MS, 3, 15 * _MS)

_SHAPE = "active-passive"
PAIR = (
    Defect(
        "never-promotes",
        _SHAPE,
        "the backup declares the primary dead and never asks to take over",
        "active-passive-kill",
        ("promotions",),
        NeverPromotes,
    ),
    Defect(
        "promotes-late",
        _SHAPE,
        "the backup waits eleven detection times before it asks to take over",
        "active-passive-kill",
        ("failover_time",),
        PromotesLate,
    ),
    Defect(
        "promotes-early",
        _SHAPE,
        "the detector calls a primary dead after 90 ms, which a harmless pause outlasts",
        "active-passive-pause-short",
        ("promotions",),
        Node,
        _HASTY_TIMES,
    ),
    Defect(
        "no-fencing",
        _SHAPE,
        "the backup promotes itself without the witness and a cut-off primary goes on alone",
        "active-passive-split",
        ("dual_primary",),
        NoFencing,
    ),
    Defect(
        "acks-before-replicating",
        _SHAPE,
        "writes are acknowledged at once and replicated two intervals later",
        "active-passive-kill",
        ("lost_writes",),
        AcksBeforeReplicating,
    ),
    Defect(
        "loses-in-flight",
        _SHAPE,
        "a promoted backup forgets the last writes that it had received and acknowledged",
        "active-passive-kill",
        ("lost_writes",),
        LosesInFlight,
    ),
    Defect(
        "duplicates-on-promotion",
        _SHAPE,
        "a promoted backup executes its newest log writes a second time",
        "active-passive-kill",
        ("duplicate_writes",),
        DuplicatesOnPromotion,
    ),
    Defect(
        "serves-stale-reads",
        _SHAPE,
        "a deposed primary goes on answering reads from what it had",
        "active-passive-stale-reads",
        ("stale_reads",),
        ServesStaleReads,
    ),
    Defect(
        "health-lies",
        _SHAPE,
        "the new primary says that all is well, and answers no write",
        "active-passive-kill",
        ("gray_time",),
        HealthLies,
    ),
    Defect(
        "flaps",
        _SHAPE,
        "after a failover the two nodes hand the office over every half second",
        "active-passive-kill",
        ("flapping",),
        Flaps,
    ),
    Defect(
        "never-rejoins",
        _SHAPE,
        "a node that comes back after a failover takes no copy, so the next failure ends service",
        "active-passive-kill-twice",
        ("time_to_redundancy",),
        NeverRejoins,
    ),
    Defect(
        "disk-blind",
        _SHAPE,
        "heartbeats and leases go on while the disk completes nothing, so nobody takes over",
        "active-passive-disk-stall",
        ("promotions",),
        DiskBlind,
        only="data",
    ),
)
"""The rows of this shape."""
