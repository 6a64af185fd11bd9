"""Which server took each shard over from which, as acknowledged writes show it.

Roles do not tell: a node that owns any shard is primary, and stays it while shards change hands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from chaoskit.measure.kept import found_once
from chaoskit.measure.reigns import ACKED, WRITES, Reigns, reigns_of
from chaoskit.measure.shards import shard_of
from chaoskit.measure.track import Ints
from chaoskit.measure.view import View

__all__ = ["Owners", "Takeover", "owners"]


@dataclass(frozen=True)
class Takeover:
    """``node`` had become primary by ``seen_ns``; ``before`` was that last; empty: nobody.

    ``shard``: of that part of the workload; 0 where there are none.
    """

    node: str
    seen_ns: int
    before: str
    shard: int = 0


@dataclass(frozen=True)
class Owners:
    """Takeovers of all shards in order of time; ``since_ns``: every owner was known from then."""

    takeovers: tuple[Takeover, ...]
    since_ns: int


@dataclass(frozen=True)
class _Run:
    """Writes that one server acknowledged in succession, in order of acknowledgement."""

    server: int
    sent: Ints
    done: Ints


@found_once
def owners(view: View) -> Owners | None:
    """Who owned the shards that were written to; None where answers do not say it of each.

    A takeover is seen when another server first acknowledges a write that was sent after the owner
    before it had acknowledged one. Whoever acknowledges first of all took over from nobody that is
    known. An owner that was deposed and goes on in its old epoch takes nothing back; nor does one
    that goes on after a silence, or in a new epoch, if nobody else came in between.
    """
    taken: list[Takeover] = []
    first: list[int] = []
    for shard in _written(view):
        found = reigns_of(view, shard)  # large: that of one shard at a time
        if not found:
            return None
        taken += _taken(view, shard, found)
        first.append(min(int(reigns.done[0]) for reigns in found.values()))
    if not first:
        return None
    return Owners(tuple(sorted(taken, key=lambda t: (t.seen_ns, t.shard))), max(first))


def _written(view: View) -> list[int]:
    """Shards of which a write was acknowledged, by whomever."""
    table = view.table
    acked = np.isin(table.column("op"), WRITES) & np.isin(table.column("outcome"), ACKED)
    found: list[int] = np.unique(shard_of(table.column("key")[acked], view.shards)).tolist()
    return [shard for shard in found if shard]


def _taken(view: View, shard: int, found: Mapping[int, Reigns]) -> Iterator[Takeover]:
    names = view.history.servers
    office: _Run | None = None
    for run in sorted(_runs(found), key=lambda run: int(run.done[0])):
        if office is not None and run.server != office.server:
            later = np.flatnonzero(run.sent > office.done[0])
            if not later.size:
                continue  # all of it was under way already: no sign of who came later
            seen = int(run.done[later[0]])
            yield Takeover(names[run.server], seen, names[office.server], shard)
        office = run


def _runs(found: Mapping[int, Reigns]) -> Iterator[_Run]:
    for server, reigns in found.items():
        starts = np.flatnonzero(np.diff(reigns.runs, prepend=-1))
        for start, end in zip(starts, [*starts[1:], reigns.runs.size], strict=True):
            yield _Run(server, reigns.sent[start:end], reigns.done[start:end])
