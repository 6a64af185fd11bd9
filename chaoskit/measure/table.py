"""A trial's request records by column, sorted once: by stream, then by when they were due.

Records lie on disk as they came in, 64 bytes each. A measurement looks at a few columns of all
of them, and does so many times: each column is therefore taken out once, in the order that every
measurement wants, and what remains is slices of it.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Column", "Slice", "Table", "each_once", "joined", "sorted_once"]

Column = np.ndarray[Any, np.dtype[Any]]

_USUAL = (
    "due_ns", "sent_ns", "done_ns", "token", "error", "server", "op", "outcome", "stream", "flags",
)  # fmt: skip
_BLOCK = 1 << 15  # records; 2 MiB of them stay in a processor's cache while columns are taken out
_HELD = _BLOCK * 8  # records that may be in memory meanwhile: 16 MiB of them
_TIES = ("outcome", "token", "done_ns", "sent_ns")  # least important first, after due_ns


class Table:
    """Columns of ``records``; rows of stream 0 first, rows of no known stream last."""

    def __init__(self, records: np.ndarray[Any, Any], streams: int) -> None:
        self._records = records
        taken = _taken(records, _USUAL)
        parts = [_sorted(taken, taken["stream"] == i) for i in range(streams)]
        sizes = [part.size for part in parts]
        self._bounds = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
        if int(self._bounds[-1]) < records.size:
            parts.append(np.flatnonzero(taken["stream"] >= streams))
        self._order: Column = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
        del parts
        self._columns: dict[str, Column] = {}
        for name in _USUAL:
            self._columns[name] = taken.pop(name)[self._order]

    def __len__(self) -> int:
        return int(self._order.size)

    def column(self, name: str) -> Column:
        """One column in the order of the table; taken out at first use and kept."""
        if name not in self._columns:
            self._columns[name] = self.once(name)
        return self._columns[name]

    def once(self, name: str, rows: Column | None = None) -> Column:
        """One column, of some rows or of all, for somebody who looks at it once: it is not kept."""
        if name in self._columns:
            kept = self._columns[name]
            return kept if rows is None else kept[rows]
        order = self._order if rows is None else self._order[rows]
        return _taken(self._records, (name,))[name][order]

    def record_at(self, row: int) -> np.void:
        """One whole record."""
        found: np.void = self._records[self._order[row]]
        return found

    def stream(self, index: int) -> Slice:
        """The rows of one stream."""
        return Slice(self, int(self._bounds[index]), int(self._bounds[index + 1]))


@dataclass(frozen=True)
class Slice:
    """Rows ``low`` to ``high`` of a table."""

    table: Table
    low: int
    high: int

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self.high - self.low

    def column(self, name: str) -> Column:
        """One column of these rows; not a copy."""
        return self.table.column(name)[self.low : self.high]

    def due_between(self, start_ns: int, end_ns: int) -> Slice:
        """Those due from ``start_ns`` (inside) to ``end_ns`` (outside); all of one stream."""
        low, high = np.searchsorted(self.column("due_ns"), [start_ns, end_ns], side="left")
        return Slice(self.table, self.low + int(low), self.low + max(int(low), int(high)))

    def picked(self, chosen: Column) -> Picked:
        """The rows that are ``chosen``, in their order."""
        return Picked(self.table, self.low + np.flatnonzero(chosen))


@dataclass(frozen=True)
class Picked:
    """Some rows of a table, by their numbers."""

    table: Table
    rows: Column

    @property
    def size(self) -> int:
        """How many rows there are."""
        return int(self.rows.size)

    def column(self, name: str) -> Column:
        """One column of these rows: a copy."""
        return self.table.column(name)[self.rows]

    def picked(self, chosen: Column) -> Picked:
        """Those of them that are ``chosen``, in their order."""
        return Picked(self.table, self.rows[chosen])


def _taken(records: np.ndarray[Any, Any], names: tuple[str, ...]) -> dict[str, Column]:
    """Columns in the order of the records; every record is fetched from memory once."""
    columns = {name: np.empty(records.size, dtype=records.dtype[name]) for name in names}
    for start in range(0, records.size, _BLOCK):
        block = records[start : start + _BLOCK]
        for name, column in columns.items():
            column[start : start + _BLOCK] = block[name]
        if start % _HELD == 0:
            _let_go(records)
    _let_go(records)
    return columns


def _let_go(records: np.ndarray[Any, Any]) -> None:
    """Records that are mapped from a file need no memory until somebody looks again."""
    base: object = records
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def _sorted(taken: dict[str, Column], chosen: Column) -> Column:
    """Chosen rows by due; where that does not decide, by what else tells two records apart."""
    rows: Column = np.flatnonzero(chosen)
    due = taken["due_ns"][rows]
    if bool((due[1:] > due[:-1]).all()):
        return rows
    order = np.argsort(due, kind="stable")
    due = due[order]
    if bool((due[1:] == due[:-1]).any()):
        order = np.lexsort([*(taken[name][rows] for name in _TIES), taken["due_ns"][rows]])
    ordered: Column = rows[order]
    return ordered


def sorted_once(values: Column) -> Column:
    """Sorted; the array itself where it is sorted already, as what a place returns mostly is."""
    if bool((values[1:] >= values[:-1]).all()):
        return values
    return np.sort(values)


def each_once(values: Column) -> Column:
    """Sorted, and each value once."""
    ordered = sorted_once(values)
    first = np.ones(ordered.size, dtype=bool)  # sorting beats numpy's hashing tenfold here
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered if bool(first.all()) else ordered[first]


def joined(one: Column, other: Column) -> Column:
    """What is in either of two that hold each value once, in order; itself where both are alike."""
    if np.array_equal(one, other):
        return one
    both = np.concatenate((one, other))
    both.sort(kind="stable")  # two runs that are in order are merged, not sorted
    return each_once(both)
