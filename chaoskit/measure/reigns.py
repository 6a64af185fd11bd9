"""Reigns: for how long each server was in office, as its acknowledgements show it.

A *reign* is a run of writes that one server acknowledged. Where answers carry an epoch, it is one
epoch: a primary that says 503 a few times and acknowledges again in the same epoch was in office
throughout. Where they carry none, or one that several servers acknowledged in and that therefore
tells no two of them apart, a refusal of the server's own ends it. That is what makes a failback no
overlap.

Within a reign the server was possibly in office from the first write sent to the last
acknowledgement. Surely it was from its first acknowledgement to the last write sent to it that it
acknowledged, but where answers carry no epoch only as long as it was heard: if others acknowledged
while it was silent, the office may have gone to them and come back. What it acknowledged without
such a silence is a *run*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import FaultRecord, Stream
from chaoskit.history.records import Flag, Op, Outcome
from chaoskit.measure.kept import found_once
from chaoskit.measure.office import in_office
from chaoskit.measure.shards import shard_of
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = [
    "ACKED",
    "WRITES",
    "Reigns",
    "Spans",
    "pause_ns",
    "pinned_to",
    "reigns_of",
    "within",
    "within_others",
    "written",
]

WRITES = (int(Op.APPEND), int(Op.PUT))
ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))
_NOBODY_LISTENS = "connection refused"
_SILENT = 3  # writes in succession that a server in office would have been sent, and did not take

Spans = tuple[Ints, Ints]
"""Starts and ends of disjoint stretches in order of time, ns."""


@dataclass(frozen=True)
class Reigns:
    """Acknowledged writes of one server, in order of acknowledgement, and its reigns."""

    rows: Ints  # of the table
    sent: Ints
    done: Ints
    of: Ints  # the reign of each row, from 0
    runs: Ints  # the run of each row, from 0; no run reaches past its reign
    denied: Spans  # writes that it did not take, from sent to answered

    @cached_property
    def sure(self) -> Spans:
        """From the first acknowledgement of a run until its last acknowledged write was sent."""
        starts, ends = _least(self.done, self.runs), _most(self.sent, self.runs)
        return _merged(starts[ends > starts], ends[ends > starts])

    @cached_property
    def possible(self) -> Spans:
        """From when the first acknowledged write of a reign was sent until the last was done."""
        return _merged(_least(self.sent, self.of), _most(self.done, self.of))

    @cached_property
    def begun(self) -> Ints:
        """When the first acknowledged write of each run was sent."""
        return _least(self.sent, self.runs)

    def ended_ns(self, reign: int) -> int | None:
        """When the reign was surely over; None if that was never seen.

        The first of what was sent after its last acknowledgement and was refused, or acknowledged
        in a later reign. A timeout shows nothing: it may have been acknowledged to somebody else.
        """
        mine = self.of == reign
        last = int(self.done[mine].max())
        sent, done = self.denied
        later = np.concatenate((done[sent >= last], self.done[~mine & (self.sent >= last)]))
        return int(later.min()) if later.size else None


def within_others(found: dict[int, Reigns], server: int) -> Bools:
    """Which of a server's acknowledged writes lie wholly within a sure run of another's."""
    mine = found[server]
    parts = [within(mine, r.sure) for other, r in found.items() if other != server]
    return reduce(np.logical_or, parts, np.zeros(mine.rows.size, dtype=bool))


def within(mine: Reigns, spans: Spans) -> Bools:
    """Which of the acknowledged writes lie wholly within one of the stretches."""
    starts, ends = spans
    if not starts.size:
        return np.zeros(mine.rows.size, dtype=bool)
    at = np.searchsorted(starts, mine.sent, side="left") - 1
    inside: Bools = (at >= 0) & (mine.done < ends[np.maximum(at, 0)])
    return inside


def reigns_of(view: View, shard: int = 0) -> dict[int, Reigns]:
    """Each server that acknowledged a write (of that shard, if one is given), by its number.

    A name that is no node's, as a front door's own, is no server.
    """
    rows = written(view, shard)
    outcome, flags, server = (view.table.column(c)[rows] for c in ("outcome", "flags", "server"))
    servers = in_office(server, view.holders)
    acked = np.isin(outcome, ACKED) & (servers > 0)
    no = (outcome == Outcome.FAIL_DEFINITE) & ((flags & int(Flag.TIMED_OUT)) == 0)
    unnamed = rows[no & (servers == 0)]
    shared = _shared(servers[acked], view.table.column("epoch")[rows[acked]])
    found = {}
    for name in np.unique(servers[acked]).tolist():
        if name < len(view.history.servers):
            mine = servers == name
            spoken = rows[no & mine]  # what the server itself said
            denied = np.concatenate((spoken, _nobody_listened(view, name, unnamed)))
            one = _of_server(view, rows[acked & mine], spoken, denied, shared)
            found[name] = _heard(view, name, one, rows[acked & ~mine], shared)
    return found


def written(view: View, shard: int = 0) -> Ints:
    """Rows of the table that are writes, of that shard if one is given; in the table's order."""
    if not shard:
        return np.flatnonzero(np.isin(view.table.column("op"), WRITES))
    rows, ends = _by_shard(view)
    return rows[ends[shard - 1] : ends[shard]]


@found_once
def _by_shard(view: View) -> tuple[Ints, Ints]:
    """Rows of writes, shard after shard, and where those of each end: one look for all of them."""
    rows = np.flatnonzero(np.isin(view.table.column("op"), WRITES))
    shards = shard_of(view.table.column("key")[rows], view.shards).astype(np.uint16)
    order = np.argsort(shards, kind="stable")
    ends = np.searchsorted(shards[order], np.arange(view.shards + 1), side="right")
    return rows[order].astype(np.uint32), ends


def _shared(servers: Ints, epochs: Ints) -> Ints:
    """Epochs in which more than one server acknowledged: they do not tell offices apart."""
    pairs = epochs.astype(np.int64) << 16 | servers.astype(np.int64)
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]  # long runs are the same: not all are sorted
    values, counts = np.unique(np.unique(pairs) >> 16, return_counts=True)
    found: Ints = values[counts > 1]
    return found


def _of_server(view: View, rows: Ints, spoken: Ints, denied: Ints, shared: Ints) -> Reigns:
    table = view.table
    rows = rows[np.argsort(table.column("done_ns")[rows], kind="stable")]
    sent: Ints = table.column("sent_ns")[rows]
    done: Ints = table.column("done_ns")[rows]
    epoch = table.column("epoch")[rows]
    epoch[np.isin(epoch, shared)] = 0
    breaks = np.zeros(rows.size, dtype=bool)
    breaks[1:] = epoch[1:] != epoch[:-1]
    if not epoch.all():
        no = np.sort(table.column("done_ns")[spoken])
        refusals = np.searchsorted(no, done)  # refusals before each acknowledgement
        breaks[1:] |= (epoch[1:] == 0) & (refusals[1:] != refusals[:-1])
    of: Ints = np.cumsum(breaks)
    told = (table.column("sent_ns")[denied], table.column("done_ns")[denied])
    return Reigns(rows, sent, done, of, of, told)


def _heard(view: View, server: int, one: Reigns, others: Ints, shared: Ints) -> Reigns:
    """The same reigns, with a new run where others acknowledged while the server was silent."""
    epoch = view.table.column("epoch")[one.rows[1:]]
    pinned = pinned_to(view, server)
    stream = view.headline.stream if pinned is None else pinned[1]
    silence = one.sent[1:] - one.done[:-1] > _SILENT * pause_ns(view, stream)
    silence &= (epoch == 0) | np.isin(epoch, shared)
    if not silence.any():
        return one
    sent, done = (view.table.column(name)[others] for name in ("sent_ns", "done_ns"))
    order = np.argsort(sent, kind="stable")
    sent = sent[order]
    soonest = np.minimum.accumulate(done[order][::-1])[::-1]  # done first of what was sent later
    soonest = np.append(soonest, np.iinfo(np.int64).max)
    after, before = one.done[:-1], one.sent[1:]
    silence &= soonest[np.searchsorted(sent, after)] <= before
    breaks = np.append([False], silence | (one.of[1:] != one.of[:-1]))
    return replace(one, runs=np.cumsum(breaks))


# ---------------------------------------------------------------- past the front door


def pinned_to(view: View, server: int) -> tuple[int, Stream] | None:
    """The stream that writes to that server itself, and its number; None where there is none."""
    name = view.history.servers[server]
    for index, stream in enumerate(view.history.streams):
        if stream.pinned == name and stream.op == "write":
            return index, stream
    return None


def pause_ns(view: View, stream: Stream) -> int:
    """Between two writes of a stream to one place: to one shard, where there are shards."""
    return int(NS / stream.rate) * max(1, view.shards)


def _nobody_listened(view: View, server: int, rows: Ints) -> Ints:
    """Those of the rows that the server's own writer sent, and found no process listening there.

    That is the word of its host, unless a fault that answers for it with resets was in force.
    """
    table, pinned = view.table, pinned_to(view, server)
    if pinned is None or _NOBODY_LISTENS not in view.history.errors:
        return rows[:0]
    error = view.history.errors.index(_NOBODY_LISTENS)
    stream, code, sent, done = (
        table.column(c)[rows] for c in ("stream", "error", "sent_ns", "done_ns")
    )
    chosen = (stream == pinned[0]) & (code == error)
    for begin, end in _rejecting(view.history.faults):
        chosen &= (done < begin) | (sent > end)
    found: Ints = rows[chosen]
    return found


def _rejecting(faults: Iterable[FaultRecord]) -> list[tuple[int, int]]:
    """When faults answered in the place of nodes, ns."""
    never = 1 << 62
    return [
        (f.commanded_ns, never if f.healed_ns is None else f.healed_ns)
        for f in faults
        if str(f.params.get("action", "")) == "reject"
    ]


# ---------------------------------------------------------------- stretches


def _least(times: Ints, groups: Ints) -> Ints:
    found: Ints = np.minimum.reduceat(times, _firsts(groups))
    return found


def _most(times: Ints, groups: Ints) -> Ints:
    found: Ints = np.maximum.reduceat(times, _firsts(groups))
    return found


def _firsts(groups: Ints) -> Ints:
    return np.flatnonzero(np.diff(groups, prepend=-1))


def _merged(starts: Ints, ends: Ints) -> Spans:
    """Stretches of one server that touch, as one."""
    if not starts.size:
        return starts, ends
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    fresh = np.concatenate(([True], starts[1:] > ends[:-1]))
    last = np.concatenate((fresh[1:], [True]))
    return starts[fresh], ends[last]
