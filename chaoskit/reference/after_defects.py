"""Planted defects of the pair that show when the fault is gone already; see ``defects.py``."""

from __future__ import annotations

from collections import deque

from chaoskit.reference.defect import Defect
from chaoskit.reference.messages import Answer, Copy
from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.store import Store

__all__ = ["AFTER"]

_MS = 1_000_000


class KeepsItsSide(Node):
    """A deposed primary is copied to, and in the end keeps what it had itself.

    Nothing is lost of what all nodes have together: the other node has it. Only the two of them
    differ, until the next failover makes the wrong one primary.
    """

    _mine: Store | None = None

    def step_down(self, now: int, epoch: int, primary: str) -> None:
        """Overridden: what it has now is what it will have."""
        if self.office:
            self._mine = self.store
        super().step_down(now, epoch, primary)

    def _copy(self, now: int, piece: Copy) -> None:
        """Overridden: with the last piece of the other side's data its own is back."""
        before = self.follower.complete
        super()._copy(now, piece)
        if self.follower.complete and not before and self._mine is not None:
            self._mine.seq = self.store.seq
            self.store, self._mine = self._mine, None


class _Storm(Office):
    """Executes writes one after another; whoever waits for one inside the node is impatient.

    After ``PATIENCE`` it asks again, and again, without taking back what it had asked: the work of
    every attempt is done, and only the first counts. At 200 writes a second the worker is busy for
    0.6 of its time, and for 1.8 if all of them wait too long, which they then do for ever.
    """

    COST, PATIENCE, ATTEMPTS, MOST = 3 * _MS, 50 * _MS, 3, 50

    def __init__(self, node: Node, now: int, lease_until: int) -> None:
        super().__init__(node, now, lease_until)
        self._queue: deque[tuple[int, int, str, int]] = deque()  # since, request, key, value
        self._free = now  # when the worker has done what it took up

    def write(self, now: int, request: int, key: str, value: int) -> None:
        """Overridden: takes its place in the queue; refused where the queue is full."""
        if len(self._queue) >= self.MOST:
            self.node.out.append(Answer(request, 503, None, 0))
            return
        self._queue.append((now, request, key, value))
        self._work(now)

    def tick(self, now: int) -> None:
        """Overridden: works off what there was time for."""
        self._work(now)
        super().tick(now)

    def _work(self, now: int) -> None:
        while self._queue and self._free <= now:
            since, request, key, value = self._queue.popleft()
            begun = max(self._free, since)
            again = min((begun - since) // self.PATIENCE, self.ATTEMPTS - 1)
            self._free = begun + (1 + again) * self.COST
            super().write(now, request, key, value)

    def resign(self) -> None:
        """Overridden: what waits in the queue was never executed."""
        for _, request, _, _ in self._queue:
            self.node.out.append(Answer(request, 421, None, 0))
        self._queue.clear()
        super().resign()


class RetryStorm(Node):
    """A queue that grew in a moment's pause never shrinks: retries keep it up."""

    office_type = _Storm


_SHAPE = "active-passive"
AFTER = (
    Defect(
        "keeps-its-side",
        _SHAPE,
        "resync takes the wrong side: a deposed primary is copied to and keeps its own data",
        "active-passive-heal-after-writes",
        ("divergent_writes",),
        KeepsItsSide,
    ),
    Defect(
        "retry-storm",
        _SHAPE,
        "writes that wait are tried again inside the primary, and the retries keep them waiting",
        "active-passive-retry-storm",
        ("metastable",),
        RetryStorm,
    ),
)
"""The rows."""
