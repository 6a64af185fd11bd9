"""A node of a cluster as a process.

A key belongs to the shard of the number that it ends in (``r7`` to shard 7, or to the remainder
where there are fewer); one without a number to that of its checksum. ``POST /log/<part>`` appends
to the part of the log that the same rule gives; ``POST /log`` to that of the token itself.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from chaoskit.reference.actions import Answer, Do
from chaoskit.reference.cluster.messages import CODEC
from chaoskit.reference.cluster.node import Node
from chaoskit.reference.members import Membership
from chaoskit.reference.mesh import Mesh

__all__ = ["ClusterService", "number_of"]

_NUMBER = re.compile(r"[0-9]{1,9}$")


def number_of(place: str) -> int:
    """The number that decides which shard a key, or a part of the log, belongs to; from 1."""
    found = _NUMBER.search(place)
    number = int(found[0]) if found else zlib.crc32(place.encode())
    return number or 1


class ClusterService(Mesh):
    """``kind`` is the state machine to run: the sound one, or a planted defect."""

    codec = CODEC

    def __init__(self, membership: Membership, kind: type[Node] = Node) -> None:
        super().__init__(membership)
        now = time.monotonic_ns()
        members = tuple(membership.members)
        self.node = kind(
            self.settings.node, now, members, membership.shards, self.settings.timing, now
        )
        self._numbers: dict[int, int] = {}  # request → what it is about

    def tick(self, now: int) -> list[Do]:
        """Time passed."""
        return self.node.tick(now)

    def told(self, now: int, message: Any) -> list[Do]:
        """Another node said something."""
        return self.node.message(now, message)

    def read(self, now: int, key: str) -> Answer:
        """A register."""
        return self.node.read(now, number_of(key), key)

    def write(self, now: int, request: int, part: str, key: str, value: int) -> list[Do]:
        """A register, or a token for a part of the log."""
        number = number_of(key or part or str(value))
        self._numbers[request] = number
        return self.node.write(now, request, number, key, value)

    def asked(self, request: int, place: str) -> None:
        """Remember what it is about until it is answered."""
        self._numbers[request] = number_of(place)

    def tokens(self) -> Sequence[Iterable[int]]:
        """The log, as far as it is executed here, by shard."""
        return tuple(shard.store.tokens for shard in self.node.shards)

    def role(self) -> str:
        """Primary if it owns a shard."""
        return self.node.role(time.monotonic_ns())

    def facts(self, answer: Answer) -> tuple[int, str, str]:
        """Ballot of the shard, its number as a header, and who owns it."""
        shard = self.node.shard_of(self._numbers.pop(answer.request, 1))
        hint = shard.hint(time.monotonic_ns()) if answer.status == 421 else ""
        return shard.ballot, f"X-Chaoskit-Shard: {shard.number}\r\n", hint

    def epoch(self) -> int:
        """The highest ballot of all shards."""
        return max(shard.ballot for shard in self.node.shards)

    def status(self, now: int) -> tuple[bool, bytes]:
        """Healthy: one of a majority that hear each other."""
        node = self.node
        role = node.role(now)
        made = {
            "role": role,
            "epoch": self.epoch(),
            "node": node.name,
            "alive": sorted(node.alive(now)),
            "owns": list(node.owned(now)),
            "owners": {str(s.number): s.owner() or None for s in node.shards},
            "incarnation": node.inc,
            "seq": sum(s.commit for s in node.shards),
        }
        healthy = role in ("primary", "backup") and 1 + len(node.alive(now)) >= node.majority
        return healthy, json.dumps(made, separators=(",", ":")).encode()
