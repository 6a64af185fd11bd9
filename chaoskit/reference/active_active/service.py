"""A node of an active-active group as a process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from chaoskit.reference.actions import Answer, Do
from chaoskit.reference.active_active.messages import CODEC
from chaoskit.reference.active_active.node import Node
from chaoskit.reference.members import Membership
from chaoskit.reference.mesh import Mesh

__all__ = ["ActiveActiveService"]


class ActiveActiveService(Mesh):
    """``kind`` is the state machine to run: the sound one, or a planted defect."""

    codec = CODEC

    def __init__(self, membership: Membership, kind: type[Node] = Node) -> None:
        super().__init__(membership)
        now = time.monotonic_ns()
        self.node = kind(self.settings.node, str(now), membership.peers, self.settings.timing, now)

    def tick(self, now: int) -> list[Do]:
        """Time passed."""
        return self.node.tick(now)

    def told(self, now: int, message: Any) -> list[Do]:
        """Another node said something."""
        return self.node.message(now, message)

    def read(self, now: int, key: str) -> Answer:
        """A register as it is here."""
        return self.node.read(now, key)

    def write(self, now: int, request: int, part: str, key: str, value: int) -> list[Do]:  # noqa: ARG002 - one log
        """A register, or a token for the log."""
        return self.node.write(now, request, key, value)

    def tokens(self) -> Sequence[Iterable[int]]:
        """The log."""
        return (self.node.state.tokens,)

    def role(self) -> str:
        """Primary as soon as it serves."""
        return self.node.role()

    def facts(self, answer: Answer) -> tuple[int, str, str]:
        """No epochs here: nobody takes anything over."""
        return self.epoch(), "", self.node.hint() if answer.status == 503 else ""

    def epoch(self) -> int:
        """0: no office changes hands."""
        return 0

    def status(self, now: int) -> tuple[bool, bytes]:  # noqa: ARG002 - it has no lease
        """Healthy: serving."""
        node = self.node
        made = {
            "role": node.role(),
            "epoch": 0,
            "node": node.name,
            "peers": {p.name: p.alive for p in node.peers.values()},
            "incarnation": node.inc,
            "seq": sum(node.state.vector().values()),
            "waiting": len(node.waiting),
        }
        return node.serving, json.dumps(made, separators=(",", ":")).encode()
