"""What nodes of an active-active group say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from chaoskit.reference.wire import Codec

__all__ = ["CODEC", "Have", "Hello", "Message", "Op", "Push", "Vector"]

Vector: TypeAlias = dict[str, int]
"""How many writes of each origin a node has; an origin is one incarnation of one node."""

Op: TypeAlias = tuple[int, str, int]
"""One write of an origin: hybrid counter, key ("" for the log), token."""


@dataclass(frozen=True)
class Hello:
    """Heartbeat. ``serving``: the sender answers clients. ``n`` numbers the sender's messages."""

    node: str
    inc: str
    n: int
    serving: bool
    vector: Vector


@dataclass(frozen=True)
class Push:
    """Writes ``first``, ``first + 1``, … (from 1) of one origin, in the order it made them."""

    node: str
    inc: str
    n: int
    serving: bool
    origin: str
    first: int
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class Have:
    """Answer to either: what the sender has now, after whatever the message brought."""

    node: str
    inc: str
    n: int
    serving: bool
    vector: Vector


Message: TypeAlias = Hello | Push | Have

CODEC: Codec[Message] = Codec(Hello, Push, Have)
