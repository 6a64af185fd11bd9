"""When the writes that are gone had been acknowledged, and what became of the doubtful ones.

Before the fault: what replication had not carried yet (the recovery point). Under the fault: what a
side acknowledged that later gave way. After the heal: what a resync in the wrong direction undid.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.records import Outcome
from chaoskit.measure.failover import proven_ns
from chaoskit.measure.model import Count, Interval, Safety
from chaoskit.measure.track import Ints
from chaoskit.measure.turns import turns_of
from chaoskit.measure.view import View
from chaoskit.measure.writes import Lost, among, appends, examples_of, unchecked

__all__ = ["doubtful_writes", "post_heal_loss", "rpo_time", "split_brain_loss"]


def rpo_time(view: View, found: Lost | Safety) -> Interval:
    """From the earliest acknowledgement of a write that is lost to the fault: how far back it took.

    The recovery point that was achieved, in seconds (NIST SP 800-34 names the objective): t0 -
    min(done) over lost writes that had been acknowledged by t0. The low end counts to *commanded*,
    the high end to *verified*. 0 where none of them is lost. Of several faults the furthest: each
    takes what was acknowledged since those before it began to be healed, and where they overlap,
    what whoever was still in office by then had acknowledged.
    """
    if view.fault is None:
        return Interval(applicable=False, note="there was no fault")
    if isinstance(found, Safety):
        return Interval(note=found.note)
    surely = not found.maybe.size
    rows = found.rows if surely else found.maybe
    done, turns = view.table.column("done_ns")[rows], turns_of(view, rows)
    reached = []
    for n, fault in enumerate(turns.faults):
        before = turns.before == n
        if before.any():
            first = int(done[before].min())
            reached.append((fault.acknowledged_ns - first, first, fault, before))
    if not reached:
        return Interval(value_s=0.0, low_s=0.0, high_s=0.0)
    back, first, fault, before = max(reached, key=lambda one: one[0])
    low, high = fault.commanded_ns - first, proven_ns(fault) - first
    return Interval(
        value_s=back / NS if surely else 0.0,
        low_s=max(0, low) / NS if surely else 0.0,
        high_s=high / NS,
        note=f"{int(before.sum())} {'lost' if surely else 'perhaps lost'} writes had been "
        "acknowledged before the fault",
    )


def split_brain_loss(view: View, found: Lost | Safety) -> Safety:
    """Lost writes that were sent and acknowledged after a fault and before its heal began.

    Somebody was in charge enough to acknowledge them, and what he had was given up afterwards.
    What one in office acknowledged before another fault in the midst of this one is that one's.
    """
    return _between(view, found, after_heal=False)


def post_heal_loss(view: View, found: Lost | Safety) -> Safety:
    """Lost writes that were acknowledged after the last heal was commanded: rolled back."""
    return _between(view, found, after_heal=True)


def doubtful_writes(view: View, found: Lost | Safety) -> tuple[Count, Count]:
    """Appends of unknown outcome that are there in the end, recovered, or are not, vanished.

    Both are legal: the client was promised nothing. None where a final read is missing.
    """
    if isinstance(found, Safety) or found.missing:
        nothing = Count(count=None, note="final reads are missing")
        return nothing, nothing
    rows = appends(view, Outcome.AMBIGUOUS)
    there = int(np.count_nonzero(among(view.table.column("token")[rows], view.held)))
    return Count(count=there), Count(count=int(rows.size) - there)


def _between(view: View, found: Lost | Safety, *, after_heal: bool) -> Safety:
    if view.fault is None:
        return Safety(count=0)
    if isinstance(found, Safety):
        return unchecked(found.note or "lost writes could not be checked")
    chosen = _after if after_heal else _under
    named, maybe = chosen(view, found.rows), chosen(view, found.maybe)
    what = "after the heal" if after_heal else "under the fault"
    return Safety(
        count=int(named.size),
        unknown=int(maybe.size),
        examples=examples_of(view, named, lambda _token: f"acknowledged {what}, and gone"),
        note=_who(view, maybe if maybe.size else named, what),
    )


def _under(view: View, rows: Ints) -> Ints:
    """Those sent and acknowledged while one of the faults was on, and lost to no other."""
    found: Ints = rows[turns_of(view, rows).under]
    return found


def _after(view: View, rows: Ints) -> Ints:
    """Those that were sent under a fault or later, and acknowledged after the last heal began."""
    assert view.fault is not None  # noqa: S101 - asked before
    sent, done = (view.table.column(name)[rows] for name in ("sent_ns", "done_ns"))
    found: Ints = rows[(sent > view.fault.acknowledged_ns) & (done > view.spans["fault"][1])]
    return found


def _who(view: View, rows: Ints, what: str) -> str | None:
    """Who acknowledged them, and from when to when."""
    if not rows.size:
        return None
    table, servers = view.table, view.history.servers
    numbers = Counter(table.column("server")[rows].tolist())
    names = [
        f"{count} by {servers[n] if n < len(servers) and servers[n] else 'somebody unnamed'}"
        for n, count in numbers.most_common()
    ]
    done = table.column("done_ns")[rows] - view.origin_ns
    first, last = int(done.min()) / NS, int(done.max()) / NS
    return f"acknowledged {what}: {', '.join(names)}, {first:+.3f} to {last:+.3f} s"
