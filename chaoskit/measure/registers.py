"""What reads of registers returned, against what had been written: staleness and sessions.

A value is known by its token. Nothing is said of two operations that overlap: a PUT took effect at
some moment between being sent and being acknowledged, or being read if that was earlier. A read is
in the wrong only if every such moment of its value lies before every such moment of a later one
that was settled before the read was sent. A linearizable system is therefore never accused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.records import Op, Outcome
from chaoskit.measure.model import Example, Safety
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = ["Registers", "registers_of", "session_violations", "stale_among", "stale_reads"]

_SHOWN = 10
_NEVER = 1 << 62  # later than everything
_ALWAYS = -(1 << 62)  # earlier than everything: what a register holds that nobody has written
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))


def stale_reads(view: View, found: Registers | str | None = None) -> Safety:
    """Reads of a value that another one had replaced, acknowledged before the read was sent.

    The age is the time from that acknowledgement to the read's sending; the note has the greatest.
    ``found``: the registers of the view, where somebody has looked already.
    """
    found = registers_of(view) if found is None else found
    if isinstance(found, str):
        return Safety(count=None, checked=False, note=found)
    return stale_among(view, found, np.ones(found.reads.sent.size, dtype=bool))


def stale_among(view: View, found: Registers, counted: Bools) -> Safety:
    """The stale ones of those reads that are ``counted``."""
    puts, reads = found.puts, found.reads
    since = _settled_ns(puts.key, puts, reads.key, reads)
    wrong = np.flatnonzero(counted & (since < reads.sent))
    age = reads.sent[wrong] - since[wrong]
    says = {
        int(k): f"register {int(reads.key[k])}: another value had been acknowledged "
        f"{int(reads.sent[k] - since[k]) / NS:.3f} s before the read was sent"
        for k in _oldest(reads, wrong, age)
    }
    note = f"up to {int(age.max()) / NS:.3f} s old" if wrong.size else ""
    return _safety(view, found, int(wrong.size), says, note)


def session_violations(view: View, found: Registers | str | None = None) -> Safety:
    """Reads that contradict what the same client knew before it sent them.

    Monotonic reads: within one stream of a client, no value older than one already read. Read your
    writes: no value older than what the client itself had put and was told is there. ``found`` as
    in ``stale_reads``.
    """
    found = registers_of(view) if found is None else found
    if isinstance(found, str):
        return Safety(count=None, checked=False, note=found)
    puts, reads = found.puts, found.reads
    own, mine = found.by_client(puts), found.by_client(reads)
    forgot = _settled_ns(own, puts, mine, reads) < reads.sent
    session = mine * 256 + reads.stream
    back = _settled_ns(session, reads, session, reads) < reads.sent  # a value read is settled
    says = {}
    for k in _first(reads, np.flatnonzero(forgot | back)):
        broken = [
            text
            for is_so, text in (
                (forgot[k], "older than what this client had written"),
                (back[k], "older than what this client had read"),
            )
            if is_so
        ]
        says[int(k)] = f"register {int(reads.key[k])}: {' and '.join(broken)}"
    note = ""
    count = int(np.count_nonzero(forgot | back))
    if count:
        note = f"{int(forgot.sum())} against own writes, {int(back.sum())} against earlier reads"
    return _safety(view, found, count, says, note)


# ---------------------------------------------------------------- what the records say


@dataclass(frozen=True)
class _Ops:
    """Columns of some operations. The value they are about was written from ``begun`` on."""

    key: Ints
    client: Ints
    stream: Ints
    sent: Ints
    done: Ints
    begun: Ints  # not before this did the value take effect
    ended: Ints  # not after this
    row: Ints  # of the history's requests

    def chosen(self, which: Bools) -> _Ops:
        """Those of them."""
        return _Ops(
            *(
                column[which]
                for column in (
                    self.key, self.client, self.stream, self.sent, self.done, self.begun,
                    self.ended, self.row,
                )
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Registers:
    """Operations on registers, as far as something can be said of them."""

    puts: _Ops  # acknowledged
    reads: _Ops  # answered, of values that are known
    keys: int
    strange: int  # answered reads of values that nobody is known to have put there

    def by_client(self, ops: _Ops) -> Ints:
        """One number for client and register."""
        return ops.client * self.keys + ops.key


def registers_of(view: View, *, pinned: bool = False) -> Registers | str:
    """PUTs and GETs of the whole trial, warm-up included; or why nothing can be said.

    The reads are the clients', or those that were asked of one node past the front door.
    """
    requests = view.history.requests
    op, outcome, key = requests["op"], requests["outcome"], requests["key"]
    sent = (outcome != Outcome.NOT_SENT) & (key != 0)
    acked = np.isin(outcome, _ACKED)
    put_rows = np.flatnonzero((op == Op.PUT) & sent & (requests["token"] != 0))
    get = (op == Op.GET) & sent & acked
    if pinned or view.history.pinned:
        get &= np.isin(requests["stream"], view.history.pinned) == pinned
    get_rows = np.flatnonzero(get)
    if not (acked[put_rows]).any():
        return "no write to a register was acknowledged"
    if not get_rows.size:
        return "no read of a register was answered"
    if not requests["seen"][get_rows].any():
        return "no answer told the value that was read"
    put_rows = put_rows[np.argsort(requests["token"][put_rows], kind="stable")]
    tokens = requests["token"][put_rows]
    if (tokens[1:] == tokens[:-1]).any():
        return "values that were written are not unique"
    puts, gets = _columns(requests, put_rows), _columns(requests, get_rows)
    puts.begun[:] = puts.sent
    puts.ended[:] = np.where(acked[put_rows], puts.done, _NEVER)
    seen = requests["seen"][get_rows]
    at = np.minimum(np.searchsorted(tokens, seen), tokens.size - 1)
    known = (tokens[at] == seen) & (puts.key[at] == gets.key)
    np.minimum.at(puts.ended, at[known], gets.done[known])  # whatever was read had taken effect
    gets.begun[known], gets.ended[known] = puts.begun[at[known]], puts.ended[at[known]]
    judged = known | (seen == 0)  # 0: nothing was there
    if not judged.any():
        return "no value that was read is one that this trial had put there"
    return Registers(
        puts=puts.chosen(acked[put_rows]),
        reads=gets.chosen(judged),
        keys=int(key.max()) + 1,
        strange=int(np.count_nonzero(~judged)),
    )


def _columns(requests: np.ndarray[Any, Any], rows: Ints) -> _Ops:
    key, client, stream, sent, done = (
        requests[name][rows].astype(np.int64)
        for name in ("key", "client", "stream", "sent_ns", "done_ns")
    )
    begun, ended = np.full(rows.size, _ALWAYS), np.full(rows.size, _ALWAYS)
    return _Ops(key, client, stream, sent, done, begun, ended, rows)


# ---------------------------------------------------------------- the one rule


def _settled_ns(groups: Ints, evidence: _Ops, asked: Ints, reads: _Ops) -> Ints:
    """For each read the earliest moment at which a later value of its group was settled.

    Later: writing it began after the value that was read had certainly taken effect. ``_NEVER``
    where there is none. Groups and evidence are sorted by when writing began; the earliest
    settlement from there on is a running minimum from the end.
    """
    order = np.lexsort((evidence.begun, groups))
    group, begun, done = groups[order], evidence.begun[order], evidence.done[order]
    edges = np.flatnonzero(np.diff(group)) + 1
    starts = np.concatenate(([0], edges, [group.size]))
    by_group = np.argsort(asked, kind="stable")
    names = group[starts[:-1]]
    low = np.searchsorted(asked[by_group], names, side="left")
    high = np.searchsorted(asked[by_group], names, side="right")
    found = np.full(asked.size, _NEVER)
    for k in np.flatnonzero(high > low):
        first, last = starts[k], starts[k + 1]
        least = np.append(np.minimum.accumulate(done[first:last][::-1])[::-1], _NEVER)
        rows = by_group[low[k] : high[k]]
        found[rows] = least[np.searchsorted(begun[first:last], reads.ended[rows], side="right")]
    return found


# ---------------------------------------------------------------- how it is shown


def _first(reads: _Ops, wrong: Ints) -> list[int]:
    """The first few offenders by when they were answered."""
    order = np.lexsort((reads.sent[wrong], reads.done[wrong]))[:_SHOWN]
    return [int(k) for k in wrong[order]]


def _oldest(reads: _Ops, wrong: Ints, age: Ints) -> list[int]:
    """The worst few offenders, the oldest value first; of equals the one answered first."""
    order = np.lexsort((reads.sent[wrong], reads.done[wrong], -age))[:_SHOWN]
    return [int(k) for k in wrong[order]]


def _safety(view: View, found: Registers, count: int, says: dict[int, str], note: str) -> Safety:
    notes = [note] if note else []
    if found.strange:
        notes.append(
            f"{found.strange} reads of values that nobody is known to have put there are left out"
        )
    examples = tuple(_example(view, int(found.reads.row[k]), text) for k, text in says.items())
    return Safety(count=count, examples=examples, note="; ".join(notes) or None)


def _example(view: View, row: int, text: str) -> Example:
    read, servers, fault = view.history.requests[row], view.history.servers, view.fault
    done = int(read["done_ns"])
    return Example(
        token=int(read["seen"]),
        sent_ns=int(read["sent_ns"]),
        acknowledged_ns=done,
        server=servers[read["server"]] or None if read["server"] < len(servers) else None,
        after_fault_s=(done - fault.acknowledged_ns) / NS if fault else None,
        detail=text if read["seen"] else f"{text}; nothing was there",
    )
