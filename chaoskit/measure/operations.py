"""What was put into registers and read from them, register by register.

There may be millions of operations: what is held of all of them is where they stand in the table
and what they read. The rest is fetched for one register, or for some small ones, at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chaoskit.history.records import Op, Outcome
from chaoskit.measure.table import Column
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = ["ALWAYS", "NEVER", "Operations", "Part", "Registers", "in_groups", "registers_of"]

NEVER = 1 << 62  # later than everything
ALWAYS = -(1 << 62)  # earlier than everything: what a register holds that nobody has written
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))
_TOGETHER = 1 << 18  # operations on registers that are looked at at once


@dataclass(frozen=True)
class Operations:
    """Columns of some operations. The value they are about was written from ``begun`` on."""

    key: Column
    client: Column
    stream: Column
    sent: Ints
    done: Ints
    begun: Ints  # not before this did the value take effect
    ended: Ints  # not after this
    row: Column  # of the view's table

    @classmethod
    def of(cls, view: View, rows: Column, keys: Column) -> Operations:
        """The rows of the view's table, about values of which nothing is known yet."""
        client, stream, sent, done = (
            view.table.column(name)[rows] for name in ("client", "stream", "sent_ns", "done_ns")
        )
        begun, ended = np.full(rows.size, ALWAYS), np.full(rows.size, ALWAYS)
        return cls(keys, client, stream, sent, done, begun, ended, rows)

    def chosen(self, which: Bools) -> Operations:
        """Those of them; themselves where that is all."""
        if which.all():
            return self
        return Operations(
            self.key[which], self.client[which], self.stream[which], self.sent[which],
            self.done[which], self.begun[which], self.ended[which], self.row[which],
        )  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Operations on one register or on several, as far as something can be said of them."""

    puts: Operations  # acknowledged
    reads: Operations  # answered, of values that are known
    strange: int  # answered reads of values that nobody is known to have put there


class Registers:
    """PUTs and GETs of a trial, warm-up included, sorted by register."""

    def __init__(self, view: View) -> None:
        self._view, table = view, view.table
        op, outcome, token = (table.column(name) for name in ("op", "outcome", "token"))
        put = (op == Op.PUT) & (outcome != Outcome.NOT_SENT) & (token != 0)
        rows = np.flatnonzero(put | ((op == Op.GET) & np.isin(outcome, _ACKED)))
        if not put.any():
            rows = rows[:0]
        keys = table.once("key", rows)
        rows, keys = rows[keys != 0], keys[keys != 0]
        order = in_groups(keys)
        self._rows, self._keys = rows[order].astype(np.uint32), keys[order]
        self._seen = table.once("seen", self._rows)

    def unknown(self, *, pinned: bool) -> str:
        """Why nothing can be said of the reads; empty if it can. See ``parts``."""
        table, rows = self._view.table, self._rows
        put = table.column("op")[rows] == Op.PUT
        if not np.isin(table.column("outcome")[rows[put]], _ACKED).any():
            return "no write to a register was acknowledged"
        asked = ~put & (self._pinned(rows) == pinned)
        if not asked.any():
            return "no read of a register was answered"
        if not self._seen[asked].any():
            return "no answer told the value that was read"
        tokens = np.sort(table.column("token")[rows[put]])
        if (tokens[1:] == tokens[:-1]).any():
            return "values that were written are not unique"
        return ""

    def parts(self, *, pinned: bool) -> Iterator[Part]:
        """One register after the other, small ones together, in order of their numbers.

        The reads are the clients', or those that were asked of one node past the front door. Only
        where ``unknown`` says nothing.
        """
        edges = np.flatnonzero(self._keys[1:] != self._keys[:-1]) + 1
        low = 0
        for k, high in enumerate((*edges.tolist(), self._keys.size)):
            following = edges[k + 1] if k + 1 < edges.size else self._keys.size
            if high > low and (following - low > _TOGETHER or high == self._keys.size):
                yield self._part(slice(low, high), pinned=pinned)
                low = high

    def _part(self, span: slice, *, pinned: bool) -> Part:
        table, rows, keys = self._view.table, self._rows[span], self._keys[span]
        put = table.column("op")[rows] == Op.PUT
        get = ~put & (self._pinned(rows) == pinned)
        order = np.argsort(table.column("token")[rows[put]], kind="stable")
        put_rows, put_keys = rows[put][order], keys[put][order]
        puts = Operations.of(self._view, put_rows, put_keys)
        gets = Operations.of(self._view, rows[get], keys[get])
        acked = np.isin(table.column("outcome")[put_rows], _ACKED)
        puts.begun[:] = puts.sent
        puts.ended[:] = np.where(acked, puts.done, NEVER)
        seen = self._seen[span][get]
        known = _resolve(puts, gets, table.column("token")[put_rows], seen)
        judged = known | (seen == 0)  # 0: nothing was there
        return Part(
            puts.chosen(acked), gets.chosen(judged), int(judged.size - np.count_nonzero(judged))
        )

    def _pinned(self, rows: Column) -> Bools:
        numbers = self._view.history.pinned
        if not numbers:
            return np.zeros(rows.size, dtype=bool)
        found: Bools = np.isin(self._view.table.column("stream")[rows], numbers)
        return found


def registers_of(view: View) -> Registers:
    """The operations on registers of a view; large, to be let go of when all is said."""
    return Registers(view)


def _resolve(puts: Operations, gets: Operations, tokens: Column, seen: Column) -> Bools:
    """Tell each read when its value was written; which of them are of values that are known."""
    if not tokens.size:
        return np.zeros(seen.size, dtype=bool)
    at = np.minimum(np.searchsorted(tokens, seen), tokens.size - 1)
    known: Bools = (tokens[at] == seen) & (puts.key[at] == gets.key)
    np.minimum.at(puts.ended, at[known], gets.done[known])  # whatever was read had taken effect
    gets.begun[known], gets.ended[known] = puts.begun[at[known]], puts.ended[at[known]]
    return known


def in_groups(numbers: Column) -> Ints:
    """The order that puts equal numbers together, each group's in the order in which they are."""
    if numbers.size and int(numbers.min()) >= 0 and int(numbers.max()) < 1 << 16:
        numbers = numbers.astype(np.uint16)  # sorted by counting: a fifth of the time
    order: Ints = np.argsort(numbers, kind="stable")
    return order
