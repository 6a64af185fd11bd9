"""What a primary knows about its peer's copy, and which writes the peer still lacks.

::

    ABSENT ──beat answered──▶ COPYING ──last piece made──▶ TAILING ──arrived──▶ ADDING ──▶ SYNCED
      ▲        writes commit alone │                         │  writes commit when the peer has them
      └────────────────────────────┴───── peer silent ───────┘                  │          │
      └───────────── peer silent, and only with a fresh epoch from the witness ─┴──────────┘
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from itertools import islice

from chaoskit.reference.messages import NO_SESSION, Append, Copy, Op, Session
from chaoskit.reference.store import Store

__all__ = ["BATCH", "PIECE", "Phase", "Replica"]

BATCH = 400
"""Most writes in one append."""

PIECE = 4000
"""Most tokens, and most registers, in one piece of a copy: about a millisecond of work."""


class Phase(IntEnum):
    """How far the peer is. From TAILING on a write needs the peer to be committed."""

    ABSENT = 0
    COPYING = 1
    TAILING = 2
    ADDING = 3
    SYNCED = 4


class Replica:
    """The peer, as the primary sees it. ``store`` holds committed writes only."""

    def __init__(self, epoch: int, store: Store, now: int, resend_ns: int) -> None:
        self.phase = Phase.ABSENT
        self.name = ""
        self.inc = ""
        self.session: Session = NO_SESSION
        self.since_beat = 0  # answers to older beats say nothing about this session
        self.answered_ns = now
        self.assigned = store.seq  # newest write that was given its place
        self.sent = store.seq  # newest write that was ever put on the wire
        self.outbox: deque[Op] = deque()  # not known to be at the peer, oldest first
        self._store = store
        self._resend_ns = resend_ns
        self._inflight_ns: int | None = None
        self._piece: Copy | None = None
        self._index = 0
        self._token_at = 0
        self._entry_seq = 0
        self._sessions = 0
        self._epoch_born = epoch

    @property
    def paired(self) -> bool:
        """Whether a write needs the peer before it is acknowledged."""
        return self.phase >= Phase.TAILING

    def assign(self, key: str, value: int) -> Op:
        """The next write in order; kept in the outbox if the peer must have it first."""
        self.assigned += 1
        op = (self.assigned, key, value)
        if self.paired:
            self.outbox.append(op)
        return op

    def forget(self) -> None:
        """What the peer holds counts no more. The outbox is the caller's to settle."""
        self.phase, self.session = Phase.ABSENT, NO_SESSION
        self._piece = self._inflight_ns = None

    def begin(self, name: str, inc: str, beat: int, now: int) -> None:
        """Start a new copy for the incarnation ``inc`` of the peer."""
        self.forget()
        self._sessions += 1
        self.name, self.inc, self.since_beat, self.answered_ns = name, inc, beat, now
        self.session = (self._epoch_born, self._sessions)
        self.phase = Phase.COPYING
        self._index = self._token_at = self._entry_seq = 0

    # ------------------------------------------------------------ copying

    def piece(self, epoch: int, node: str, now: int) -> Copy | None:
        """The piece to send now; None while one is on its way or there is nothing to copy."""
        if self.phase not in {Phase.COPYING, Phase.TAILING} or self._waiting(now):
            return None
        if self._piece is None:
            self._piece = self._cut(epoch, node)
            if self._piece.final:
                self.phase = Phase.TAILING  # what comes now is not in the copy: it is tailed
        self._inflight_ns = now
        return self._piece

    def _cut(self, epoch: int, node: str) -> Copy:
        tokens = tuple(self._store.tokens[self._token_at : self._token_at + PIECE])
        entries = self._store.entries_after(self._entry_seq)
        self._token_at += len(tokens)
        final = self._token_at == len(self._store.tokens) and len(entries) <= PIECE
        del entries[PIECE:]
        if entries:
            self._entry_seq = entries[-1][3]
        seq, index = self._store.seq, self._index
        return Copy(epoch, node, self.session, index, tokens, tuple(entries), final, seq)

    def piece_arrived(self, session: Session, next_index: int) -> bool:
        """The peer says what it has; True if that completes its copy."""
        piece = self._piece
        if session != self.session or piece is None or next_index != piece.index + 1:
            return False
        self._piece = self._inflight_ns = None
        self._index = next_index
        if piece.final:
            self.phase = Phase.ADDING
        return piece.final

    # ------------------------------------------------------------ writes

    def append(self, epoch: int, node: str, now: int) -> Append | None:
        """The writes to send now; None while some are on their way or there are none."""
        if self.phase < Phase.ADDING or not self.outbox or self._waiting(now):
            return None
        ops = tuple(islice(self.outbox, BATCH))
        self._inflight_ns = now
        self.sent = max(self.sent, ops[-1][0])
        return Append(epoch, node, self.session, ops)

    def arrived(self, session: Session, seq: int) -> list[Op]:
        """The peer has every write up to ``seq``: those that this settles, oldest first."""
        if session != self.session or self.phase < Phase.ADDING:
            return []
        self._inflight_ns = None
        settled: list[Op] = []
        while self.outbox and self.outbox[0][0] <= seq:
            settled.append(self.outbox.popleft())
        return settled

    def settle_alone(self) -> list[Op]:
        """Nobody else is needed any more: every write that waited for the peer."""
        settled = list(self.outbox)
        self.outbox.clear()
        return settled

    def _waiting(self, now: int) -> bool:
        return self._inflight_ns is not None and now - self._inflight_ns < self._resend_ns
