"""``GET /events``: what a node saw and decided, with CLOCK_MONOTONIC. Bounded; oldest go first."""

from __future__ import annotations

import json
from collections import deque

__all__ = ["Events"]


class Events:
    """Heartbeats are many and are kept apart, so that they cannot push out what matters."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._number = 0
        self._beats: deque[tuple[int, int, str, str, int]] = deque(maxlen=1000)
        self._rest: deque[tuple[int, int, str, str, int]] = deque(maxlen=5000)

    def add(self, now: int, event: str, detail: str, epoch: int) -> None:
        """Remember one event."""
        self._number += 1
        kept = self._beats if event == "heartbeat-seen" else self._rest
        kept.append((self._number, now, event, detail, epoch))

    def as_json(self, after: int = 0) -> bytes:
        """``{"node", "clock", "last", "events": [{"n", "t_ns", "event", "detail", "epoch"}]}``.

        Those numbered above ``after``; ``last`` is the highest number there is.
        """
        rows = [
            {"n": n, "t_ns": t, "event": event, "detail": detail, "epoch": epoch}
            for n, t, event, detail, epoch in sorted((*self._beats, *self._rest))
            if n > after
        ]
        made: dict[str, object] = {
            "node": self._node,
            "clock": "CLOCK_MONOTONIC",
            "last": self._number,
        }
        made["events"] = rows
        return json.dumps(made, separators=(",", ":")).encode()
