"""What a primary sees of its backup: each answer to a beat is a sign of life, told like a beat.

It decides nothing by this: it goes on alone by its replica's silence. It tells, so that whoever
looks on knows when the backup was heard, missed and held to be dead.
"""

from __future__ import annotations

from chaoskit.reference.follower import Detector
from chaoskit.reference.messages import Action, Note
from chaoskit.reference.settings import Timing

__all__ = ["Watch"]


class Watch:
    """Of one peer, from its first answer on; a node that never answered is nobody's backup."""

    def __init__(self, timing: Timing, out: list[Action]) -> None:
        self._timing, self._out = timing, out
        self._peer = ""
        self._detector = Detector(timing, 0)
        self._dead = False

    def heard(self, now: int, peer: str, number: int) -> None:
        """The peer answered the beat of that number."""
        self._peer, self._dead = peer, False
        self._detector.beat(now)
        self._out.append(Note("heartbeat-seen", f"{number} of {peer}"))

    def stalled(self, now: int) -> None:
        """This process stood still: what the peer answered meanwhile waits unread."""
        self._detector.stalled(now)

    def look(self, now: int) -> None:
        """Tell of answers that are missing, and once of a peer that is dead by the constants."""
        if not self._peer:
            return
        for number in self._detector.look(now):
            if number <= self._timing.misses:
                self._out.append(Note("heartbeat-missed", f"{number} of {self._peer}"))
        if self._detector.dead(now) and not self._dead:
            self._dead = True
            self._out.append(Note("declared-dead", self._peer))
