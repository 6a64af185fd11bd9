"""What nodes and witness say to each other, and what a state machine wants done.

Messages travel as one JSON object each, in the body of an HTTP request or of its answer. Any of
them may be lost, late, doubled or overtaken: the state machines assume nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "Action",
    "Answer",
    "Append",
    "AppendAck",
    "Beat",
    "BeatAck",
    "Call",
    "Claim",
    "Copy",
    "CopyAck",
    "Handover",
    "Message",
    "Note",
    "Op",
    "Persist",
    "Reply",
    "Send",
    "To",
    "Told",
    "View",
    "decode",
    "encode",
]

Op: TypeAlias = tuple[int, str, int]
"""One write: its place in the order of all writes, the key ("" for the log), the token."""

Session: TypeAlias = tuple[int, int]
"""Which copy of the primary's state a backup holds or receives: (epoch, counter), growing."""

Entry: TypeAlias = tuple[str, int, int, int]
"""A register on its way to a joining node: key, value, version, seq of its last write."""

NO_SESSION: Session = (0, 0)


@dataclass(frozen=True)
class Beat:
    """Heartbeat, primary to peer.

    ``live``: the primary has a lease as it sends this. ``proof``: it heard the peer a moment
    ago. A beat with neither comes from a node that hears nobody and is no sign of life.
    """

    epoch: int
    node: str
    inc: str
    n: int
    live: bool
    proof: bool
    session: Session
    in_sync: tuple[str, ...]


@dataclass(frozen=True)
class BeatAck:
    """Answer to a beat. ``promise``: will not ask for promotion for a detection time from now."""

    epoch: int
    node: str
    inc: str
    n: int
    promise: bool
    primary: str
    session: Session
    complete: bool


@dataclass(frozen=True)
class Append:
    """Writes for a peer that holds a complete copy; contiguous, oldest first."""

    epoch: int
    node: str
    session: Session
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class AppendAck:
    """How far the peer's copy goes now; ``complete`` False: it holds no copy of that session."""

    epoch: int
    node: str
    inc: str
    session: Session
    seq: int
    complete: bool
    primary: str


@dataclass(frozen=True)
class Copy:
    """One piece of the primary's state for a joining node; piece 0 empties it first."""

    epoch: int
    node: str
    session: Session
    index: int
    tokens: tuple[int, ...]
    entries: tuple[Entry, ...]
    final: bool
    seq: int


@dataclass(frozen=True)
class CopyAck:
    """Pieces below ``next_index`` have arrived."""

    epoch: int
    node: str
    inc: str
    session: Session
    next_index: int
    complete: bool
    primary: str


@dataclass(frozen=True)
class Call:
    """Any node to the witness: I am here, and perhaps I ask for a change.

    ``ask``: "" (nothing), "promote", "alone" (take the peer out), "add" (put the peer in),
    "handover" (the peer is to be primary). A change is considered only if ``epoch`` is the
    witness's own, ``witness`` names the running witness process, and ``n`` is newer than
    everything heard from this node before.
    """

    node: str
    inc: str
    n: int
    epoch: int
    blank: bool
    preferred: bool
    live: bool
    proof: bool
    ask: str
    peer: str
    peer_inc: str
    witness: str


@dataclass(frozen=True)
class View:
    """Everything the witness knows; its answer to every call, granted or not.

    ``lease``: the caller is primary and the office goes to nobody else for a witness lease from
    now. ``wait_ns``: how much longer a promotion would be refused.
    """

    witness: str
    n: int
    epoch: int
    primary: str
    primary_inc: str
    in_sync: dict[str, str]
    lease: bool
    wait_ns: int


@dataclass(frozen=True)
class Handover:
    """From who was primary: ask the witness, you are primary now. Nothing is believed of it."""

    epoch: int
    node: str


@dataclass(frozen=True)
class Claim:
    """From a backup in sync that is preferred: give me the office back, by plan."""

    epoch: int
    node: str
    inc: str


Message: TypeAlias = (
    Beat | BeatAck | Append | AppendAck | Copy | CopyAck | Call | View | Handover | Claim
)

_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Beat, BeatAck, Append, AppendAck, Copy, CopyAck, Call, View, Handover, Claim)
}
_FIELDS = {name: tuple(f.name for f in fields(cls)) for name, cls in _KINDS.items()}
_TUPLES = {"session", "ops", "tokens", "entries", "in_sync"}


def encode(message: Message) -> bytes:
    """The message as JSON."""
    kind = type(message).__name__
    values = [getattr(message, name) for name in _FIELDS[kind]]
    return json.dumps([kind, *values], separators=(",", ":")).encode()


def decode(body: bytes) -> Message:
    """The message that ``encode`` wrote. Raises ``ValueError`` for anything else."""
    try:
        kind, *values = json.loads(body)
        names = _FIELDS[kind]
        made = dict(zip(names, values, strict=True))
        for name in _TUPLES & made.keys():
            if isinstance(made[name], list):
                made[name] = tuple(made[name])
        if "ops" in made:
            made["ops"] = tuple((int(s), str(k), int(v)) for s, k, v in made["ops"])
        message: Message = _KINDS[kind](**made)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError("not a message of this protocol") from error
    return message


class To(Enum):
    """Who a message is for."""

    PEER = "peer"
    WITNESS = "witness"


class Send(NamedTuple):
    """Send a message; whether it arrives is not known."""

    to: To
    message: Message


class Reply(NamedTuple):
    """Answer the message that was just handled."""

    message: Message


class Answer(NamedTuple):
    """Answer a client. 200 done; 421 and 503 nothing was executed; 504 nobody knows."""

    request: int
    status: int
    value: int | None
    version: int


class Told(NamedTuple):
    """Answer an operator: an HTTP status and one sentence."""

    request: int
    status: int
    sentence: str


class Note(NamedTuple):
    """Something for ``GET /events``."""

    event: str
    detail: str


class Persist(NamedTuple):
    """Make this durable before anything that follows it is done."""

    state: dict[str, object]


Action: TypeAlias = Send | Reply | Answer | Told | Note | Persist
