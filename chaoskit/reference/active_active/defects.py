"""Planted defects of the active-active shape; see ``chaoskit/reference/defects.py``."""

from __future__ import annotations

from chaoskit.reference.actions import Answer, Do
from chaoskit.reference.active_active.merge import Merged
from chaoskit.reference.active_active.node import Node, Peer
from chaoskit.reference.group_defects import behind
from chaoskit.reference.settings import BadSettings

__all__ = ["NODES", "node_type"]


class AcksAlone(Node):
    """Acknowledges at once; the others are sent what is new every two intervals."""

    flushed_ns = 0

    def write(self, now: int, request: int, key: str, value: int) -> list[Do]:
        """Overridden: answers before anybody else has it."""
        if not self.serving:
            return super().write(now, request, key, value)
        self.state.make(self.origin, key, value)
        return [*self.take(), Answer(request, 200, value, self.state.counter)]

    def flush(self, now: int) -> None:
        """Overridden: not yet."""
        if now - self.flushed_ns >= 2 * self.timing.interval_ns:
            self.flushed_ns = now
            super().flush(now)


class ResyncDropsOwn(Node):
    """When it hears the others again it throws its own state away and copies theirs."""

    def returned(self, now: int, peer: Peer) -> None:
        """Overridden: what it acknowledged while it was alone is gone."""
        others = [p for p in self.peers.values() if p is not peer]
        if self.serving and not any(p.alive for p in others):
            self.state = Merged()
            self.inc = str(now)
            self.origin = f"{self.name}/{self.inc}"
            self.serving = False
            for one in self.peers.values():
                one.goal = None
        super().returned(now, peer)


class ReplaysOnReturn(Node):
    """When a node comes back it is sent the newest writes as if they were new ones."""

    def returned(self, now: int, peer: Peer) -> None:
        """Overridden: executes its newest log writes once more."""
        if self.serving and peer.seen:
            for token in list(self.state.tokens[-50:]):
                self.state.make(self.origin, "", token)
        peer.seen = 1
        super().returned(now, peer)


NODES: dict[str, type[Node]] = {
    "acks-alone": AcksAlone,
    "resync-drops-own": ResyncDropsOwn,
    "replays-on-return": ReplaysOnReturn,
}
"""The state machine of each."""


def node_type(name: str | None) -> type[Node]:
    """The state machine to run. Raises ``BadSettings`` with the list for an unknown name."""
    if name is None or name in (doors := behind("active-active")):
        return Node
    if name not in NODES:
        raise BadSettings(
            f"CHAOSKIT_DEFECT={name!r} is not a planted defect of active-active;"
            f" there are: {', '.join((*NODES, *doors))}"
        )
    return NODES[name]
