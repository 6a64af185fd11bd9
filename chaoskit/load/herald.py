"""Says at once when clients stop or start to be served well, for steps that wait for it.

The records are the truth; this only wakes somebody up. It costs nothing while all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["Herald"]

_NOT_AGAIN_NS = 20_000_000  # a partial outage turns with every request; nobody reacts faster


class Herald:
    """``bad`` and ``good`` are told of requests as they end; ``say`` is told of turns."""

    def __init__(self, say: Callable[[Mapping[str, object]], None]) -> None:
        self._say = say
        self.served = True  # the last turn that was said
        self._said_ns = 0

    def bad(self, due_ns: int, done_ns: int) -> None:
        """A request was not good. Said at once, and again while it goes on."""
        if self.served or done_ns - self._said_ns >= _NOT_AGAIN_NS:
            self.served, self._said_ns = False, done_ns
            self._say({"event": "bad", "due_ns": due_ns, "done_ns": done_ns})

    def good(self, due_ns: int, done_ns: int) -> None:
        """A request was good; to be told only while ``served`` is false."""
        if not self.served and done_ns - self._said_ns >= _NOT_AGAIN_NS:
            self.served, self._said_ns = True, done_ns
            self._say({"event": "good", "due_ns": due_ns, "done_ns": done_ns})
