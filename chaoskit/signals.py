"""Signals ask a run to end; they never interrupt an undo.

The first SIGINT, SIGTERM or SIGHUP raises ``Interrupted`` in the main thread, at once where that
is safe, else when the shield is lifted. The second skips the report, never the heal. The third
says which command heals. So a run that is asked to end always unwinds in the ordinary way.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from chaoskit.errors import Interrupted

__all__ = ["Signals"]

_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Installed for the length of a run. Outside the main thread it changes nothing."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.count = 0
        self._shields = 0
        self._raised = False

    @property
    def skip_report(self) -> bool:
        """True once a second signal came: heal, but write nothing more."""
        return self.count > 1

    @contextmanager
    def installed(self) -> Iterator[Signals]:
        """Handle signals inside the block; the handlers that were there come back after it."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in _HANDLED}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Nothing is raised inside the block; a signal that came is raised after it, once."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came and it has not been raised yet."""
        if self.first is not None and not self._raised and not self._shields:
            self._raised = True
            raise Interrupted(self.first)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.first is None:
            self.first = number
        if self.count == 3:
            sys.stderr.write("still healing; if this process dies, run: chaoskit heal\n")
        self.check()
