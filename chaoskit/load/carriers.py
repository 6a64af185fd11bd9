"""Greenlets that carry operations, and the end of their patience.

A new greenlet and a timer of its own for every request cost more than asking on a kept connection
does. So greenlets are used again, and since all operations of a stream have the same timeout they
run out of it in the order in which they began: one timer for the oldest is enough.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Timeout
from greenlet import greenlet

from chaoskit.load.operation import Operation

__all__ = ["Carriers", "OutOfTime", "Patience"]

_EARLY_NS = 200_000  # the loop's timers may fire that much before their time


class OutOfTime(Timeout):  # type: ignore[misc] # gevent ships no types for it
    """The timeout of this one operation; a ``gevent.Timeout`` like any other for a client."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation


class Patience:
    """Raises ``OutOfTime`` in whatever greenlet carries an operation for too long."""

    __slots__ = ("_running", "_timeout_ns", "_timer", "_waiting")

    def __init__(self, timeout_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._waiting: deque[tuple[int, Operation]] = deque()
        self._timer = gevent.get_hub().loop.timer(0.0)
        self._running = False

    def begin(self, operation: Operation, now_ns: int) -> None:
        """From now on, until ``operation.carrier`` is None again."""
        operation.carrier = gevent.getcurrent()
        self._waiting.append((now_ns + self._timeout_ns, operation))
        if not self._running:
            self._running = True
            self._arm(self._timeout_ns)

    def _arm(self, wait_ns: int) -> None:
        self._timer.stop()
        self._timer = gevent.get_hub().loop.timer(max(wait_ns, 0) / 1e9)
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        waiting = self._waiting
        now = time.monotonic_ns()
        while waiting:
            until_ns, operation = waiting[0]
            if operation.carrier is None:
                waiting.popleft()
            elif until_ns - _EARLY_NS <= now:
                waiting.popleft()
                operation.carrier.throw(OutOfTime(operation))
            else:
                return self._arm(until_ns - now)
        self._running = False
        return None


class Carriers:
    """A pool of greenlets that all run ``work``, each one job at a time.

    ``carry`` may only be called by the event loop itself, from a callback of a watcher: it
    returns when the job waits for something, or is done.
    """

    def __init__(self, work: Callable[..., None]) -> None:
        self._work = work
        self._hub = gevent.get_hub()
        self._idle: list[greenlet] = []

    def carry(self, *job: Any) -> None:
        """Begin ``work(*job)``; what it raises is for the loop's error handler."""
        if self._idle:
            self._idle.pop().switch(job)
        else:
            greenlet(self._serve, self._hub).switch(job)

    def _serve(self, job: tuple[Any, ...]) -> None:
        me = gevent.getcurrent()
        while True:
            self._work(*job)
            self._idle.append(me)
            job = self._hub.switch()
