"""Two nodes that both acknowledge writes: for how long, and how long the deposed one went on.

A *reign* is a run of writes that one server acknowledged, in one epoch where answers carry one,
without a refusal of its own in between. Within a reign the server was surely in office from its
first acknowledgement to the last write sent to it that it acknowledged; possibly from the first
write sent to the last acknowledgement (``W_lo`` and ``W_hi`` of the usual two-writer argument: a
write sent to the old primary after the new one had acknowledged, and acknowledged by it, proves
two primaries). Reigns are what makes a failback no overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.records import Flag, Op, Outcome
from chaoskit.measure.model import Interval
from chaoskit.measure.shards import shard_of
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View, as_seconds

__all__ = ["dual_primary", "fencing_latency"]

_WRITES = (int(Op.APPEND), int(Op.PUT))
_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))

Spans = tuple[Ints, Ints]
"""Starts and ends of disjoint stretches in order of time, ns."""


@dataclass(frozen=True)
class _Reigns:
    """Acknowledged writes of one server, in order of acknowledgement, and its reigns."""

    rows: Ints  # of the table
    sent: Ints
    done: Ints
    sure: Spans
    possible: Spans
    of: Ints  # the reign of each row


def dual_primary(view: View) -> Interval | None:
    """How long at least two servers were in office at once; None where no server is named.

    ``low_s`` is proven, ``high_s`` possible. Two nodes are in office whatever the streams are
    through which they acknowledge; without pinned writers only what the front door shows is seen.
    A node that was in office and acknowledged nothing is not seen.
    """
    if view.shards:
        each = [_dual(view, _reigns(view, shard)) for shard in range(1, view.shards + 1)]
        seen = [d for d in each if d is not None]
        return max(seen, key=lambda d: (d.low_s or 0.0, d.high_s or 0.0), default=None)
    if view.several_serve:
        return Interval(applicable=False, note="several nodes are meant to acknowledge at once")
    return _dual(view, _reigns(view))


def _dual(view: View, found: dict[int, _Reigns]) -> Interval | None:
    if not found:
        return None
    proof = {server: _inside_others(found, server) for server in found}
    dual = sum(int(np.count_nonzero(inside)) for inside in proof.values())
    low = _together([r.sure for r in found.values()])
    high = _together([r.possible for r in found.values()])
    low = max(low, int(dual > 0))  # one write in the midst of another's reign: an instant at least
    return Interval(
        value_s=as_seconds(low),
        low_s=as_seconds(low),
        high_s=as_seconds(max(low, high)),
        note=_note(view, found, proof, dual),
    )


def fencing_latency(view: View) -> Interval | None:
    """From the fault until the last acknowledgement of whoever was in office before it.

    Not applicable where nobody else acknowledged after the fault. Only the reign that the fault
    fell into counts: what the node acknowledges after it was elected anew is no failure to stop.
    """
    if view.several_serve:
        return Interval(applicable=False, note="several nodes are in office at once")
    found = _reigns(view)
    if not found:
        return None
    before = {
        server: reigns
        for server, reigns in found.items()
        if bool((reigns.sent < view.commanded_ns).any())
    }
    if view.fault is None or not before:
        return Interval(applicable=False, note="nobody was in office before a fault")
    old = max(before, key=lambda s: int(found[s].done[found[s].sent < view.commanded_ns].max()))
    others = [s for s, r in found.items() if s != old and _began_after(r, view.commanded_ns)]
    if not others:
        return Interval(applicable=False, note="nobody else took over")
    reigns = found[old]
    last = int(reigns.of[reigns.sent < view.commanded_ns].max())
    mine = reigns.of == last
    since = view.fault.acknowledged_ns
    sent, done = int(reigns.sent[mine].max()) - since, int(reigns.done[mine].max()) - since
    return Interval(
        value_s=max(0.0, done / NS),
        low_s=max(0.0, sent / NS),
        high_s=max(0.0, (done + _unasked_ns(view, old)) / NS),
        note=f"{_name(view, old)} was deposed",
    )


def _began_after(reigns: _Reigns, at_ns: int) -> bool:
    """Whether any reign of the server began after that moment."""
    first = np.minimum.reduceat(reigns.sent, np.flatnonzero(np.diff(reigns.of, prepend=-1)))
    return bool((first > at_ns).any())


def _unasked_ns(view: View, server: int) -> int:
    """How long a server may have gone on before it was asked again: its pinned writer's interval.

    0 where it has none; the note of ``dual_primary`` then says that only the front door was seen.
    """
    name = _name(view, server)
    pinned = [s.rate for s in view.history.streams if s.pinned == name]
    return int(NS / pinned[0]) if pinned else 0


# ---------------------------------------------------------------- reigns


def _reigns(view: View, shard: int = 0) -> dict[int, _Reigns]:
    """Each server that acknowledged a write (of that shard, if one is given), by its number."""
    table = view.table
    writes = np.isin(table.column("op"), _WRITES) & (table.column("server") > 0)
    if shard:
        writes &= shard_of(table.column("key"), view.shards) == shard
    outcome = table.column("outcome")
    acked = writes & np.isin(outcome, _ACKED)
    # A refusal that the server itself spoke; a connection refused or a timeout is nobody's word.
    refused = writes & (outcome == Outcome.FAIL_DEFINITE)
    refused &= (table.column("flags") & int(Flag.TIMED_OUT)) == 0
    servers = table.column("server")
    found = {}
    for server in np.unique(servers[acked]).tolist():
        if server < len(view.history.servers):
            mine = servers == server
            found[server] = _of_server(view, np.flatnonzero(acked & mine), refused & mine)
    return found


def _of_server(view: View, rows: Ints, refused: Bools) -> _Reigns:
    table = view.table
    rows = rows[np.argsort(table.column("done_ns")[rows], kind="stable")]
    sent: Ints = table.column("sent_ns")[rows]
    done: Ints = table.column("done_ns")[rows]
    epoch = table.column("epoch")[rows]
    no = np.sort(table.column("done_ns")[refused])
    refusals = np.searchsorted(no, done)  # refusals before each acknowledgement
    breaks = np.zeros(rows.size, dtype=bool)
    breaks[1:] = (epoch[1:] != epoch[:-1]) | (refusals[1:] != refusals[:-1])
    of: Ints = np.cumsum(breaks)
    first = np.flatnonzero(np.concatenate(([True], breaks[1:])))
    low_sent, high_sent = np.minimum.reduceat(sent, first), np.maximum.reduceat(sent, first)
    low_done, high_done = np.minimum.reduceat(done, first), np.maximum.reduceat(done, first)
    long = high_sent > low_done
    sure = _merged(low_done[long], high_sent[long])
    return _Reigns(rows, sent, done, sure, _merged(low_sent, high_done), of)


def _merged(starts: Ints, ends: Ints) -> Spans:
    """Stretches of one server that touch, as one."""
    if not starts.size:
        return starts, ends
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    fresh = np.concatenate(([True], starts[1:] > ends[:-1]))
    last = np.concatenate((fresh[1:], [True]))
    return starts[fresh], ends[last]


def _together(spans: list[Spans]) -> int:
    """For how long at least two of them hold at once, ns."""
    starts = np.concatenate([s for s, _ in spans])
    ends = np.concatenate([e for _, e in spans])
    if not starts.size:
        return 0
    at = np.concatenate((starts, ends))
    step = np.concatenate((np.ones(starts.size, np.int64), -np.ones(ends.size, np.int64)))
    order = np.lexsort((step, at))  # at one moment, ends first
    at, holding = at[order], np.cumsum(step[order])
    return int((np.diff(at) * (holding[:-1] >= 2)).sum())


def _inside_others(found: dict[int, _Reigns], server: int) -> Bools:
    """Which of a server's acknowledged writes lie wholly within a sure reign of another's."""
    mine = found[server]
    parts = [_within(mine, r.sure) for other, r in found.items() if other != server]
    return reduce(np.logical_or, parts, np.zeros(mine.rows.size, dtype=bool))


def _within(mine: _Reigns, spans: Spans) -> Bools:
    starts, ends = spans
    if not starts.size:
        return np.zeros(mine.rows.size, dtype=bool)
    at = np.searchsorted(starts, mine.sent, side="left") - 1
    inside: Bools = (at >= 0) & (mine.done < ends[np.maximum(at, 0)])
    return inside


# ---------------------------------------------------------------- words


def _name(view: View, server: int) -> str:
    return view.history.servers[server]


def _note(view: View, found: dict[int, _Reigns], proof: dict[int, Bools], dual: int) -> str | None:
    said = []
    pinned = [t for t in view.tracks.values() if t.stream.pinned]
    if not pinned:
        said.append("only through the front door: there are no pinned writers")
    if not dual:
        return "; ".join(said) or None
    rows = np.concatenate([found[s].rows[inside] for s, inside in proof.items()])
    tokens = view.table.column("token")[rows]
    tokens = tokens[view.table.column("op")[rows] == Op.APPEND]
    stays = int(np.isin(tokens, view.held).sum()) if view.history.finals else None
    first = min(
        ((int(found[s].done[inside].min()), s) for s, inside in proof.items() if inside.any()),
    )
    front = int(np.count_nonzero(~_pinned_rows(view)[rows]))
    said.append(
        f"{dual} writes acknowledged by one while another was in office, first by "
        f"{_name(view, first[1])} {as_seconds(first[0] - view.origin_ns):.2f} s after the fault"
    )
    said.append(f"{front} of them through the front door")
    if stays is not None and tokens.size:
        said.append(f"{stays} of {tokens.size} appends among them survived")
    return "; ".join(said)


def _pinned_rows(view: View) -> Bools:
    """Which rows of the table belong to pinned writers."""
    pinned = [i for i, s in enumerate(view.history.streams) if s.pinned]
    rows: Bools = np.isin(view.table.column("stream"), pinned)
    return rows
