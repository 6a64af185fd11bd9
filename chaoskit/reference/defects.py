"""Planted defects: one flaw each, and the finding that a harness worth its name reports.

A defect is a subclass that overrides one decision of the sound state machine; the sound code
does not know that any of them exists. Chosen by ``CHAOSKIT_DEFECT=<name>`` on the data nodes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from chaoskit.reference.group_defects import FRONTDOOR, ROWS
from chaoskit.reference.messages import Answer, Op, View
from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.replica import Phase
from chaoskit.reference.settings import BadSettings

__all__ = ["DEFECTS", "Defect", "node_type"]


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


class _Unfenced(Office):
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

    office_type = _Unfenced

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


@dataclass(frozen=True)
class Defect:
    """One row of the table: ``experiment`` must find it, by a threshold on one of ``metrics``."""

    name: str
    shape: str
    does: str
    experiment: str
    metrics: tuple[str, ...]
    node: type[Node] | None = None  # None: the flaw is not in a node of the pair
    needs: str = ""  # a program that must be installed in the sandbox lab


DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
        Defect(
            "never-promotes",
            "active-passive",
            "the backup declares the primary dead and never asks to take over",
            "active-passive-kill",
            ("client_outage",),
            NeverPromotes,
        ),
        Defect(
            "promotes-late",
            "active-passive",
            "the backup waits eleven detection times before it asks to take over",
            "active-passive-kill",
            ("failover_time",),
            PromotesLate,
        ),
        Defect(
            "no-fencing",
            "active-passive",
            "the backup promotes itself without the witness and a cut-off primary goes on alone",
            "active-passive-split",
            ("dual_primary",),
            NoFencing,
        ),
        Defect(
            "acks-before-replicating",
            "active-passive",
            "writes are acknowledged at once and replicated two intervals later",
            "active-passive-kill",
            ("lost_writes",),
            AcksBeforeReplicating,
        ),
        Defect(
            "duplicates-on-promotion",
            "active-passive",
            "a promoted backup executes its newest log writes a second time",
            "active-passive-kill",
            ("duplicate_writes",),
            DuplicatesOnPromotion,
        ),
    )
}
"""Every planted defect by name."""

DEFECTS |= {row[0]: Defect(*row[:5], needs=row[5]) for row in ROWS}


def node_type(name: str | None) -> type[Node]:
    """The state machine to run. Raises ``BadSettings`` with the list for an unknown name."""
    if name is None or name.startswith(FRONTDOOR):
        return Node
    node = DEFECTS[name].node if name in DEFECTS else None
    if node is None:
        known = ", ".join(n for n, defect in DEFECTS.items() if defect.node)
        raise BadSettings(f"CHAOSKIT_DEFECT={name!r} is not a planted defect; there are: {known}")
    return node
