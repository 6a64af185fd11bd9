"""Two nodes that both acknowledge writes: for how long, and which writes prove it.

``W_lo`` and ``W_hi`` of the usual two-writer argument: a write sent to the old primary after the
new one had acknowledged, and acknowledged by it, proves two primaries. The stretches in which a
server was in office, surely or possibly, are its reigns.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from chaoskit.history.records import Op
from chaoskit.measure.model import DualPrimary, Example
from chaoskit.measure.reigns import (
    ACKED,
    WRITES,
    Reigns,
    Spans,
    pause_ns,
    pinned_to,
    reigns_of,
    within,
    within_others,
)
from chaoskit.measure.track import Ints
from chaoskit.measure.view import View, as_seconds
from chaoskit.wording import listed

__all__ = ["dual_primary"]

_SHOWN = 10

Places = tuple[Ints, Ints]
"""Server and place in its reigns of some writes, in order of acknowledgement."""


def dual_primary(view: View, found: dict[int, Reigns] | None = None) -> DualPrimary | None:
    """How long at least two servers were in office at once; None where no server is named.

    ``low_s`` is proven, ``high_s`` possible. Two nodes are in office whatever the streams are
    through which they acknowledge; without pinned writers only what the front door shows is seen.
    A node that was in office and acknowledged nothing is not seen. Censored where two still
    acknowledged when observation ended. ``examples`` has the first of the writes that prove it.
    ``found``: the reigns of the view, where somebody has looked already.
    """
    if view.shards:
        each = [_dual(view, reigns_of(view, shard)) for shard in range(1, view.shards + 1)]
        return max((d for d in each if d is not None), key=_severity, default=None)
    if view.several_serve:
        return DualPrimary(applicable=False, note="several nodes are meant to acknowledge at once")
    return _dual(view, reigns_of(view) if found is None else found)


def _severity(found: DualPrimary) -> tuple[float, bool, float]:
    high = math.inf if found.high_s is None else found.high_s
    return found.low_s or 0.0, not found.handover, high


def _dual(view: View, found: dict[int, Reigns]) -> DualPrimary | None:
    if not found:
        return None
    proof = _proof(found)
    dual = proof[0].size
    low = int(_together([r.sure for r in found.values()]).sum())
    low = max(low, int(dual > 0))  # one write in the midst of another's reign: an instant at least
    possible = _together([r.possible for r in found.values()])
    high, going_on = int(possible.sum()), _going_on(view, found)
    handover = not low and not going_on and _is_handover(view, possible)
    asked = bool(view.history.pinned)
    return DualPrimary(
        value_s=as_seconds(low),
        low_s=as_seconds(low),
        high_s=None if going_on else as_seconds(max(low, high)),
        censored=going_on,
        note=_note(view, found, proof, going_on=going_on, handover=handover),
        handover=handover,
        writes=dual if dual or asked else None,
        examples=_examples(view, found, proof),
    )


def _proof(found: dict[int, Reigns]) -> Places:
    """Every write that one server acknowledged wholly within a sure reign of another's."""
    inside = {server: np.flatnonzero(within_others(found, server)) for server in found}
    servers = np.repeat(np.array(list(inside), dtype=np.int64), [k.size for k in inside.values()])
    at = np.concatenate(list(inside.values()))
    order = np.lexsort((at, servers, np.concatenate([found[s].done[k] for s, k in inside.items()])))
    return servers[order], at[order]


def _going_on(view: View, found: dict[int, Reigns]) -> bool:
    """Whether two that were possibly in office at once still acknowledged in the last moments."""
    last = []
    for server, reigns in found.items():
        mine = reigns.of == reigns.of[-1]
        begun, done = int(reigns.sent[mine].min()), int(reigns.done[mine].max())
        pinned = pinned_to(view, server)
        stream = pinned[1] if pinned else view.headline.stream
        recent = view.observed[1] - stream.timeout_ns - 2 * pause_ns(view, stream)
        if reigns.sent[mine].max() >= recent and reigns.ended_ns(int(reigns.of[-1])) is None:
            last.append((begun, done))
    return any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in combinations(last, 2))


def _together(spans: list[Spans]) -> Ints:
    """How long each stretch lasts in which at least two of them hold at once, ns."""
    starts = np.concatenate([s for s, _ in spans])
    ends = np.concatenate([e for _, e in spans])
    at = np.concatenate((starts, ends))
    step = np.concatenate((np.ones(starts.size, np.int64), -np.ones(ends.size, np.int64)))
    order = np.lexsort((step, at))  # at one moment, ends first
    at, two = at[order], np.cumsum(step[order]) >= 2
    edges = np.diff(two, prepend=False)
    found: Ints = at[edges & ~two] - at[edges & two]
    return found


def _usual_ns(view: View) -> int | None:
    """How long 99 of 100 acknowledged writes took at most before anything was done, ns."""
    table = view.table
    before = np.isin(table.column("outcome"), ACKED) & np.isin(table.column("op"), WRITES)
    before &= table.column("done_ns") < view.commanded_ns
    took = (table.column("done_ns") - table.column("sent_ns"))[before]
    if not took.size:
        return None
    rank = -(-99 * took.size // 100) - 1
    return int(np.partition(took, rank)[rank])


def _is_handover(view: View, stretches: Ints) -> bool:
    """Whether two writes of usual length, under way at once, are all there is in each stretch.

    A write that the old primary acknowledged and one that the new one did may overlap wherever the
    office changes hands at once, as at a planned switchover, and the more trials, the surer.
    """
    usual = _usual_ns(view)
    return usual is not None and 0 < int(stretches.max(initial=0)) <= 2 * usual


# ---------------------------------------------------------------- words


def _left_out(view: View) -> list[str]:
    """Who acknowledged writes and cannot be in office, such as a front door that names itself."""
    if view.holders is None:
        return []
    table = view.table
    acked = np.isin(table.column("outcome"), ACKED) & np.isin(table.column("op"), WRITES)
    seen = np.unique(table.column("server")[acked]).tolist()
    return [_name(view, n) for n in seen if n < view.holders.size and not view.holders[n]]


def _name(view: View, server: int) -> str:
    return view.history.servers[server]


def _note(
    view: View, found: dict[int, Reigns], proof: Places, *, going_on: bool, handover: bool
) -> str | None:
    said = []
    if left_out := _left_out(view):
        names = listed(left_out, "and")
        said.append(f"left out: what {names} acknowledged, as no node that holds data is called so")
    if not view.history.pinned:
        said.append("only through the front door: there are no pinned writers")
    if going_on:
        said.append("two still acknowledged when observation ended")
    if handover:
        said.append("writes of usual length were under way at both when the office changed hands")
    servers, at = proof
    if not servers.size:
        return "; ".join(said) or None
    rows = np.concatenate([found[s].rows[at[servers == s]] for s in found])
    tokens = view.table.column("token")[rows]
    tokens = tokens[view.table.column("op")[rows] == Op.APPEND]
    stays = int(np.isin(tokens, view.held).sum()) if view.history.finals else None
    front = int(np.count_nonzero(~view.pinned_rows[rows]))
    first = int(servers[0])
    said.append(
        f"{servers.size} writes acknowledged by one while another was in office, first by "
        f"{_name(view, first)} {_after(view, found[first].done[at[0]]):.2f} s after the fault"
    )
    said.append(f"{front} of them through the front door")
    if stays is not None and tokens.size:
        said.append(f"{stays} of {tokens.size} appends among them survived")
    return "; ".join(said)


def _examples(view: View, found: dict[int, Reigns], proof: Places) -> tuple[Example, ...]:
    """The first writes that one server acknowledged in the midst of another's, with the other's."""
    shown = []
    for server, at in zip(proof[0][:_SHOWN].tolist(), proof[1][:_SHOWN].tolist(), strict=True):
        mine = found[server]
        shown.append(
            Example(
                token=int(view.table.column("token")[mine.rows[at]]),
                sent_ns=int(mine.sent[at]),
                acknowledged_ns=int(mine.done[at]),
                server=_name(view, server),
                after_fault_s=_after(view, mine.done[at]),
                detail=_between(view, found, server, at),
            )
        )
    return tuple(shown)


def _between(view: View, found: dict[int, Reigns], server: int, at: int) -> str:
    """Which two of another server's writes the write lies between."""
    sent, done = found[server].sent[at], found[server].done[at]
    token = view.table.column("token")
    for other, theirs in found.items():
        if other == server or not within(found[server], theirs.sure)[at]:
            continue
        before = int(np.searchsorted(theirs.done, sent, side="left")) - 1
        later = np.flatnonzero(theirs.sent > done)
        after = int(later[np.argmin(theirs.sent[later])])
        return (
            f"{_name(view, other)} had acknowledged {int(token[theirs.rows[before]])} at "
            f"{_after(view, theirs.done[before]):+.3f} s, and acknowledged "
            f"{int(token[theirs.rows[after]])}, sent at {_after(view, theirs.sent[after]):+.3f} s"
        )
    return ""


def _after(view: View, at_ns: Ints | int) -> float:
    return as_seconds(at_ns - view.origin_ns)
