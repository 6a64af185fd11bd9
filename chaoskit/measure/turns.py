"""Of several faults, before which one a lost write had been acknowledged, and which it was under.

Faults one after another are plain: each takes what was acknowledged since the one before it began
to be healed. Where they overlap, as a kill amid a load on the processor, a write between the two
was acknowledged under the first and before the second. It is the second's loss as long as the node
that acknowledged it was still in office by then; a node that had been deposed was one side of a
split brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaoskit.history.history import FaultRecord
from chaoskit.measure.office import in_office
from chaoskit.measure.reigns import ACKED, WRITES
from chaoskit.measure.roles import primaries, promotion
from chaoskit.measure.shards import shard_of
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View, healing_ns

__all__ = ["Turns", "turns_of"]

_LAST = 20  # acknowledgements that say who is in office
_FEW = 3  # of others in succession: it was heard no more


@dataclass(frozen=True)
class Turns:
    """Of some acknowledged writes: the fault each was lost to, or under which it was."""

    faults: tuple[FaultRecord, ...]  # those that bite, in order of time
    before: Ints  # of each write, the fault before which it was acknowledged; -1 for none
    under: Bools  # sent and acknowledged under a fault, and not the loss of a later one


def turns_of(view: View, rows: Ints) -> Turns:
    """Of acknowledged writes, by their rows in the table."""
    faults = tuple(sorted(view.biting, key=lambda fault: fault.acknowledged_ns))
    begun = np.array([fault.acknowledged_ns for fault in faults], dtype=np.int64)
    ended = np.array([healing_ns(f, view.observed[1]) for f in faults], dtype=np.int64)
    table = view.table
    sent, done = (table.column(name)[rows] for name in ("sent_ns", "done_ns"))
    steps = np.searchsorted(begun, sent), np.searchsorted(begun, done)
    over = np.searchsorted(np.sort(ended), done)  # with those before: which faults were on
    servers = in_office(table.column("server")[rows], view.holders)
    parts = (*steps, over, servers, _shards(view, rows))
    _, firsts, of = np.unique(_packed(parts), return_index=True, return_inverse=True)
    office = _Office(view, faults, begun, ended)
    before, under = np.full(firsts.size, -1), np.zeros(firsts.size, dtype=bool)
    for n, row in enumerate(firsts.tolist()):
        started, following, _, server, shard = (int(part[row]) for part in parts)
        on = [k for k in range(following) if done[row] <= ended[k]]
        before[n] = office.lost_to(on, following, server, shard)
        under[n] = before[n] < 0 and any(k < started for k in on)
    return Turns(faults, before[of], under[of])


def _packed(parts: tuple[Ints, ...]) -> Ints:
    """Each row's parts as one number: rows that share all of them are judged alike."""
    found = np.zeros(parts[0].size, dtype=np.int64)
    for part in parts:
        found = found * (int(part.max(initial=0)) + 1) + part
    return found


def _shards(view: View, rows: Ints) -> Ints:
    if not view.shards:
        return np.zeros(rows.size, dtype=np.int64)
    return shard_of(view.table.column("key")[rows], view.shards).astype(np.int64)


class _Office:
    """Who was in office before each fault, as far as the acknowledgements tell."""

    def __init__(
        self, view: View, faults: tuple[FaultRecord, ...], begun: Ints, ended: Ints
    ) -> None:
        self._faults, self._begun, self._ended = faults, begun, ended
        self._commanded = np.array([fault.commanded_ns for fault in faults], dtype=np.int64)
        self._several = view.several_serve
        self._history = view.history
        overlap = self._commanded[1:] < np.maximum.accumulate(self._ended)[:-1]
        rows = _acknowledged(view) if overlap.any() else np.zeros(0, dtype=np.int64)
        columns = ("done_ns", "sent_ns", "server")
        self._done, self._sent, server = (view.table.column(c)[rows] for c in columns)
        self._server = in_office(server, view.holders)
        self._shard = _shards(view, rows)

    def lost_to(self, on: list[int], following: int, server: int, shard: int) -> int:
        """The fault before which ``server`` acknowledged, while those in ``on`` were; -1: none."""
        found, chain = -1, list(on)
        for n in range(following, len(self._faults)):
            first = not chain
            together = any(self._commanded[n] <= self._ended[k] for k in chain)
            if not first and not (together and self._still(server, shard, chain, n)):
                break
            found, chain = n, [*chain, n]
        return found

    def _still(self, server: int, shard: int, chain: list[int], n: int) -> bool:
        """Fault ``n`` struck it in office: it acknowledged until then, and nobody had taken over.

        Of acknowledgements that name nobody the roles tell, where any were seen.
        """
        until = self._commanded[n]
        in_office = {self._history.servers[server]} if server else primaries(self._history, until)
        if self._several or not in_office & set(self._faults[n].nodes):
            return False
        mine = (self._server == server) & (self._shard == shard) & (self._done <= until)
        if not (mine & (self._sent > max(self._begun[k] for k in chain))).any():
            return False
        return not any(self._deposed(server, shard, self._commanded[k], until) for k in chain)

    def _deposed(self, server: int, shard: int, since: int, until: int) -> bool:
        if not server and promotion(self._history, since, until):
            return True
        mine = (self._shard == shard) & (self._done <= until)
        last = self._done[mine & (self._server == server)][-1]
        if np.count_nonzero(mine & (self._done > last) & (self._server > 0)) > _FEW:
            return True
        before = self._server[mine & (self._done <= since)][-_LAST:]
        newcomers = self._server[mine & (self._done > since)]
        return server in before and bool(np.setdiff1d(newcomers, [*before, 0]).size)


def _acknowledged(view: View) -> Ints:
    """Rows of all acknowledged writes, in order of acknowledgement."""
    table = view.table
    acked = np.isin(table.column("op"), WRITES) & np.isin(table.column("outcome"), ACKED)
    rows = np.flatnonzero(acked)
    found: Ints = rows[np.argsort(table.column("done_ns")[rows], kind="stable")]
    return found
