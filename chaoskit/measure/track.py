"""One stream's requests, sorted by when they were due."""

from __future__ import annotations

from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import Stream
from chaoskit.history.records import Outcome

__all__ = ["Ints", "Track"]

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Track:
    """Columns of a stream in order of ``due``; the order of the records does not matter.

    ``good``: answered ok within the deadline. ``bad``: asked and not good. A slot that was never
    asked (not_sent) is neither: it counts against the harness, and shows nothing of the system.
    """

    def __init__(self, stream: Stream, requests: np.ndarray[Any, Any]) -> None:
        self.stream = stream
        self.requests = requests[_order(requests)]
        self.due: Ints = np.ascontiguousarray(self.requests["due_ns"])
        self.sent: Ints = np.ascontiguousarray(self.requests["sent_ns"])
        self.done: Ints = np.ascontiguousarray(self.requests["done_ns"])
        self.outcome: Ints = self.requests["outcome"].astype(np.int64)
        self.server: Ints = self.requests["server"].astype(np.int64)
        self.good: Bools = self.outcome == Outcome.OK
        self.answered: Bools = self.good | (self.outcome == Outcome.OK_LATE)
        self.asked: Bools = self.outcome != Outcome.NOT_SENT
        self.bad: Bools = self.asked & ~self.good

    def __len__(self) -> int:
        return int(self.due.size)

    @property
    def interval_ns(self) -> int:
        """Between two slots of the comb."""
        return int(NS / self.stream.rate)

    def due_between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """Positions of the requests due from ``start_ns`` (inside) to ``end_ns`` (outside)."""
        low, high = np.searchsorted(self.due, [start_ns, end_ns], side="left")
        return int(low), max(int(low), int(high))

    def lag_ns(self, low: int, high: int) -> Ints:
        """How late the generator was with each request asked, positions ``low`` to ``high``."""
        asked = self.asked[low:high]
        lags: Ints = np.maximum(self.sent[low:high] - self.due[low:high], 0)
        return lags[asked]


def _order(requests: np.ndarray[Any, Any]) -> Ints:
    """By due; where that does not decide, by what else tells two records apart."""
    due = np.ascontiguousarray(requests["due_ns"])
    order: Ints = np.argsort(due, kind="stable")
    due = due[order]
    if bool((due[1:] == due[:-1]).any()):
        rest = ("outcome", "token", "done_ns", "sent_ns", "due_ns")
        order = np.lexsort([requests[name] for name in rest])
    return order
