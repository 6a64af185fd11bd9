"""The other side: a node that is not primary takes in copies and writes, and watches the beats.

``complete`` means: holds everything that the primary of its session had acknowledged. Whether
that is good enough to be promoted is not its own to decide: it asks, the witness answers.
"""

from __future__ import annotations

from chaoskit.reference.messages import NO_SESSION, Append, Copy, Session
from chaoskit.reference.settings import Timing
from chaoskit.reference.store import Store

__all__ = ["Detector", "Follower"]


class Detector:
    """Counts missed beats: beat k after the last one seen is missed a timeout after it was due."""

    def __init__(self, timing: Timing, now: int) -> None:
        self._timing = timing
        self.seen_ns = now
        self.missed = 0

    def beat(self, now: int) -> None:
        """A sign of life."""
        self.seen_ns, self.missed = now, 0

    def stalled(self, now: int) -> None:
        """This process stood still: give what waits unread one more interval to be read."""
        timing = self._timing
        self.seen_ns = max(self.seen_ns, now - timing.detect_ns + timing.interval_ns)

    def look(self, now: int) -> list[int]:
        """Misses that are new since the last look, as their running numbers."""
        timing = self._timing
        gone = (now - self.seen_ns - timing.timeout_ns) // timing.interval_ns
        new = list(range(self.missed + 1, gone + 1))
        self.missed = max(self.missed, gone)
        return new

    def dead(self, now: int) -> bool:
        """Whether enough beats were missed."""
        return now - self.seen_ns >= self._timing.detect_ns


class Follower:
    """A copy of somebody else's state."""

    def __init__(self, timing: Timing, now: int) -> None:
        self.detector = Detector(timing, now)
        self.session: Session = NO_SESSION
        self.complete = False
        self.next_index = 0

    def copy(self, store: Store, piece: Copy) -> Store:
        """Take in one piece; returns the store to go on with, a new one at piece 0.

        Pieces out of order, doubled, or of an older session change nothing.
        """
        session = tuple(piece.session)
        if piece.index == 0 and session > self.session:
            self.session, self.next_index, self.complete = (session[0], session[1]), 0, False
            store = Store()
        if session != self.session or piece.index != self.next_index or self.complete:
            return store
        store.fill(piece.tokens, piece.entries)
        self.next_index += 1
        if piece.final:
            store.seq = piece.seq
            self.complete = True
        return store

    def append(self, store: Store, message: Append) -> None:
        """Execute the writes that come next; older ones are known, a gap ends the matter."""
        if not self.complete or tuple(message.session) != self.session:
            return
        for op in message.ops:
            if op[0] == store.seq + 1:
                store.apply(op)

    def moved_on(self, session: Session) -> None:
        """A newer epoch: the copy counts on only if its primary still knows it."""
        self.complete = self.complete and tuple(session) == self.session
