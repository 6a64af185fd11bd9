"""One stream's requests, sorted by when they were due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import Stream
from chaoskit.history.records import Outcome
from chaoskit.measure.table import Column, Picked, Slice, Table

__all__ = ["Bools", "Ints", "Track"]

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Track:
    """Columns of a stream in order of ``due``; the order of the records does not matter.

    ``good``: answered ok within the deadline. ``bad``: asked and not good. A slot that was never
    asked (not_sent) is neither: it counts against the harness, and shows nothing of the system.
    """

    def __init__(self, stream: Stream, requests: np.ndarray[Any, Any] | Slice | Picked) -> None:
        self.stream = stream
        self._rows = requests if isinstance(requests, Slice | Picked) else _alone(requests)
        self.due: Ints = self.column("due_ns")
        self.sent: Ints = self.column("sent_ns")
        self.done: Ints = self.column("done_ns")
        self.outcome: Column = self.column("outcome")
        self.server: Column = self.column("server")
        self.good: Bools = self.outcome == Outcome.OK
        self.answered: Bools = self.good | (self.outcome == Outcome.OK_LATE)
        self.asked: Bools = self.outcome != Outcome.NOT_SENT
        self.bad: Bools = self.asked & ~self.good

    def __len__(self) -> int:
        return int(self.due.size)

    def column(self, name: str) -> Column:
        """Any column of the records, in order of due; a copy where the track is a part of one."""
        return self._rows.column(name)

    def part(self, chosen: Bools) -> Track | None:
        """The requests that are ``chosen``, at their share of the rate; None if none is."""
        rows = self._rows.picked(chosen)
        if not rows.size:
            return None
        rate = self.stream.rate * rows.size / len(self)
        return Track(replace(self.stream, rate=rate), rows)

    @property
    def interval_ns(self) -> int:
        """Between two slots of the comb."""
        return int(NS / self.stream.rate)

    def counts(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Requests asked that were due in a span, and how many of them were bad."""
        low, high = self.due_between(start_ns, end_ns)
        asked = int(np.count_nonzero(self.asked[low:high]))
        return asked, int(np.count_nonzero(self.bad[low:high]))

    def due_between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Positions of the requests due from ``start_ns`` (inside) to ``end_ns`` (outside)."""
        low, high = np.searchsorted(self.due, [start_ns, end_ns], side="left")
        return int(low), max(int(low), int(high))

    def lag_ns(self, low: int, high: int) -> Ints:
        """How late the generator was with each request asked, positions ``low`` to ``high``."""
        asked = self.asked[low:high]
        lags: Ints = np.maximum(self.sent[low:high] - self.due[low:high], 0)
        return lags[asked]


def _alone(requests: np.ndarray[Any, Any]) -> Slice:
    """A table of one stream, whatever the records say that they belong to."""
    ours = requests.copy()
    ours["stream"] = 0
    return Table(ours, 1).stream(0)
