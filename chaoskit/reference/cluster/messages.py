"""What nodes of a cluster say to each other.

``inc`` is the sender's incarnation, a whole number that grows with every start of a node. A ballot
belongs to one node for ever: that of its remainder by the number of members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chaoskit.reference.wire import Codec

__all__ = [
    "CODEC",
    "Accept",
    "Accepted",
    "Beat",
    "BeatAck",
    "Elect",
    "Entry",
    "Fetch",
    "Here",
    "Message",
    "Op",
    "Piece",
    "Recover",
    "Vote",
]

Op: TypeAlias = tuple[str, int]
"""One write: the key ("" for the log), the token."""

Entry: TypeAlias = tuple[int, str, int]
"""A slot of a shard's log: the ballot in which it was accepted, and the write."""

Incs: TypeAlias = dict[str, int]
"""The newest incarnation of each node that somebody has heard of."""


@dataclass(frozen=True)
class Beat:
    """Heartbeat, to every node. ``leads``: (shard, ballot, commit) of each shard it owns."""

    node: str
    inc: int
    n: int
    leads: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class BeatAck:
    """Answer.

    ``grants``: shards and ballots for which nobody else gets this node's vote for a detection time
    from now; ``later``: (shard, ballot) of higher ballots it knows.
    """

    node: str
    inc: int
    n: int
    grants: tuple[tuple[int, int], ...]
    later: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Accept:
    """Writes of a shard from slot ``first`` on; all slots up to ``commit`` are chosen."""

    node: str
    inc: int
    shard: int
    ballot: int
    first: int
    ops: tuple[Op, ...]
    commit: int


@dataclass(frozen=True)
class Accepted:
    """All slots up to ``matched`` are as the owner of ``ballot`` has them; or a higher ballot."""

    node: str
    inc: int
    shard: int
    ballot: int
    matched: int


@dataclass(frozen=True)
class Elect:
    """A node wants to own a shard: it knows all slots up to ``commit`` and asks for the rest."""

    node: str
    inc: int
    shard: int
    ballot: int
    commit: int


@dataclass(frozen=True)
class Vote:
    """Answer: ``granted``, with every slot after the asker's ``commit``, and who lives."""

    node: str
    inc: int
    shard: int
    ballot: int
    granted: bool
    promised: int
    entries: tuple[Entry, ...]
    incs: Incs


@dataclass(frozen=True)
class Recover:
    """A node that has just started and remembers nothing asks where things stand."""

    node: str
    inc: int


@dataclass(frozen=True)
class Here:
    """Answer.

    ``founders``: the incarnations with which the cluster began, if the sender knows that it did;
    empty while it is blank itself. ``shards``: (ballot, leads) of each.
    """

    node: str
    inc: int
    to_inc: int
    blank: bool
    founders: Incs
    shards: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class Fetch:
    """A recovering node asks the owner of a shard for its log after ``have`` slots."""

    node: str
    inc: int
    shard: int
    ballot: int
    have: int


@dataclass(frozen=True)
class Piece:
    """Answer: some of it; ``total`` slots there are."""

    node: str
    inc: int
    to_inc: int
    shard: int
    ballot: int
    first: int
    ops: tuple[Op, ...]
    total: int
    commit: int


Message: TypeAlias = (
    Beat | BeatAck | Accept | Accepted | Elect | Vote | Recover | Here | Fetch | Piece
)

CODEC: Codec[Message] = Codec(
    Beat, BeatAck, Accept, Accepted, Elect, Vote, Recover, Here, Fetch, Piece
)
