"""How long a deposed primary went on acknowledging: max c(its acknowledgements) - t0."""

from __future__ import annotations

import numpy as np

from chaoskit.history.history import FaultRecord
from chaoskit.measure.cause import cause
from chaoskit.measure.failover import proven_ns
from chaoskit.measure.model import Interval
from chaoskit.measure.reigns import Reigns, pinned_to, reigns_of, within_others
from chaoskit.measure.view import View, as_seconds

__all__ = ["fencing_latency"]


def fencing_latency(view: View, found: dict[int, Reigns] | None = None) -> Interval | None:
    """From the fault until the last acknowledgement of whoever was in office before it.

    Low end: the last write that it acknowledged was sent, counted from when the fault was proven.
    High end: what was sent next and refused, or acknowledged in a new epoch, was answered, counted
    from the fault's command. Censored where neither came before observation ended: it may go on.
    Only the reign that the fault fell into counts: what the node acknowledges after it was elected
    anew is no failure to stop. Where answers carry no epoch, and others acknowledged while it was
    silent, it may have been elected anew: what it acknowledged since counts for the high end, and
    for the value where it did so in the midst of another's.

    Not applicable where nobody else acknowledged after the fault, or where nobody asked the node
    itself and no client saw it go on either. None where no server is named. Of several faults it
    counts from the one that the failover's outage followed. ``found``: the reigns of the view,
    where somebody has looked already.
    """
    if view.several_serve:
        return Interval(applicable=False, note="several nodes are in office at once")
    found = reigns_of(view) if found is None else found
    if not found:
        return None
    fault = cause(view)
    old = None if fault is None else _in_office(found, fault.commanded_ns)
    if fault is None or old is None:
        return Interval(applicable=False, note="nobody was in office before a fault")
    began = (r.begun.max() > fault.commanded_ns for s, r in found.items() if s != old)
    if not any(began):
        return Interval(applicable=False, note="nobody else took over")
    return _of(view, old, found, fault)


def _in_office(found: dict[int, Reigns], at_ns: int) -> int | None:
    """Who acknowledged last of what was sent before that moment."""
    last = {s: r.done[r.sent < at_ns] for s, r in found.items()}
    return max((s for s in last if last[s].size), key=lambda s: int(last[s].max()), default=None)


def _of(view: View, old: int, found: dict[int, Reigns], fault: FaultRecord) -> Interval:
    reigns = found[old]
    before = reigns.sent < fault.commanded_ns
    reign, run = int(reigns.of[before].max()), int(reigns.runs[before].max())
    mine = reigns.of == reign
    surely = mine & ((reigns.runs == run) | within_others(found, old))
    value = max(0, int(reigns.done[surely].max()) - fault.acknowledged_ns)
    low = max(0, min(value, int(reigns.sent[surely].max()) - proven_ns(fault)))
    name = view.history.servers[old]
    if pinned_to(view, old) is None:
        why = f"{name} was deposed and has no pinned writer"
        if not low:
            return Interval(
                applicable=False, note=f"{why}: whether it went on acknowledging was not asked"
            )
        return _at_least(value, low, f"{why}: clients saw that it went on, nobody when it stopped")
    end = reigns.ended_ns(reign)
    if end is None:
        since = f"{name} was deposed, and after its last acknowledgement"
        asked = _asked_since(view, old, int(reigns.done[mine].max()))
        said = f"it answered none of {asked} writes" if asked else "nothing was sent to it"
        return _at_least(value, low, f"{since} {said} until observation ended")
    return Interval(
        value_s=as_seconds(value),
        low_s=as_seconds(low),
        high_s=as_seconds(max(value, end - fault.commanded_ns)),
        note=f"{name} was deposed",
    )


def _at_least(value: int, low: int, note: str) -> Interval:
    return Interval(value_s=as_seconds(value), low_s=as_seconds(low), censored=True, note=note)


def _asked_since(view: View, server: int, at_ns: int) -> int:
    """Writes that its pinned writer sent to it after that moment."""
    pinned = pinned_to(view, server)
    if pinned is None:
        return 0
    rows = view.table.stream(pinned[0])
    return int(np.count_nonzero(rows.column("sent_ns") > at_ns))
