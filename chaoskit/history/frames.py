"""Request records with their names written out: what other tools can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from chaoskit.history.history import History
from chaoskit.history.records import Flag, Op, Outcome

__all__ = ["COLUMNS", "frames"]

COLUMNS = (
    "trial", "stream", "op", "outcome", "due_ns", "sent_ns", "done_ns", "key", "token", "seen",
    "epoch", "server", "client", "error", "attempt", "flags",
)  # fmt: skip
"""In this order. Times are those of the records; one that never came about is empty."""

_BLOCK = 100_000


def frames(history: History, trial: int) -> Iterator[pd.DataFrame]:
    """The requests of a trial by when they were due, a block of rows at a time; at least one."""
    records = history.requests
    order = np.lexsort([records[n] for n in ("done_ns", "sent_ns", "stream", "due_ns")])
    for start in range(0, max(1, order.size), _BLOCK):
        yield _frame(history, records[order[start : start + _BLOCK]], trial)


def _frame(history: History, records: np.ndarray[Any, Any], trial: int) -> pd.DataFrame:
    names = tuple(stream.name for stream in history.streams)
    unsent = records["outcome"] == Outcome.NOT_SENT
    moments = {n: pd.Series(records[n], dtype="Int64") for n in ("sent_ns", "done_ns")}
    for column in moments.values():
        column[unsent] = pd.NA
    plain = {n: records[n] for n in ("due_ns", "key", "token", "seen", "epoch", "attempt")}
    said = {
        "trial": np.full(records.size, trial, dtype=np.int64),
        "stream": _named(names, records["stream"], "stream"),
        "server": _named(history.servers, records["server"], "server"),
        "client": _named(history.clients, records["client"], "client"),
        "error": _named(history.errors, records["error"], "error"),
        "op": _members(Op, records["op"]),
        "outcome": _members(Outcome, records["outcome"]),
        "flags": _flags(records["flags"]),
    }
    table = pd.DataFrame({**plain, **moments, **said})
    return table[list(COLUMNS)]


def _named(names: Sequence[str], ids: np.ndarray[Any, Any], what: str) -> list[str]:
    """An id without a name stays recognisable: the record is damaged, not silent."""
    found = {int(i): names[i] if i < len(names) else f"{what} {i}" for i in np.unique(ids)}
    return [found[i] for i in ids.tolist()]


def _members(kinds: type[Op | Outcome], ids: np.ndarray[Any, Any]) -> list[str]:
    known = {int(kind): kind.name.lower() for kind in kinds}
    return [known.get(i, str(i)) for i in ids.tolist()]


def _flags(values: np.ndarray[Any, Any]) -> list[str]:
    """``new_connection|timed_out``; empty for none."""
    names = {
        int(v): "|".join((f.name or "").lower() for f in Flag if f and v & int(f))
        for v in np.unique(values)
    }
    return [names[v] for v in values.tolist()]
