"""What the streams that ask one node itself, past the front door, tell of the new primary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chaoskit.history.records import Outcome
from chaoskit.measure.moment import Moment
from chaoskit.measure.reigns import pinned_to
from chaoskit.measure.view import Span, View

__all__ = ["first_accepted"]

_ACKED = (int(Outcome.OK), int(Outcome.OK_LATE))


def first_accepted(view: View, node: str, span: Span, causes: Sequence[int]) -> Moment | None:
    """When a node began to take the writes of its pinned writer, after the span's beginning.

    Between the sending of the last that it refused and the first acknowledgement, and not before
    any of the ``causes`` that are known to precede it; by the span's end at the latest, when a
    client was served. None without such a writer, where it had not refused any before, or where a
    node may take writes of one shard and none of another.
    """
    servers = view.history.servers
    if view.several_serve or not node or node not in servers:
        return None
    pinned = pinned_to(view, servers.index(node))
    if pinned is None:
        return None
    rows = view.table.stream(pinned[0])
    sent, done, outcome = rows.column("sent_ns"), rows.column("done_ns"), rows.column("outcome")
    acked = np.isin(outcome, _ACKED)
    later = acked & (sent >= span[0])
    if not later.any():
        return None
    first = int(np.flatnonzero(later)[np.argmin(done[later])])
    earlier = sent < sent[first]
    refused = earlier & (outcome == Outcome.FAIL_DEFINITE)
    low = int(sent[refused].max(initial=0))
    if low <= int(sent[earlier & acked].max(initial=0)):
        return None  # it took writes all along, or nobody saw it refuse one
    high = min(int(done[first]), span[1])
    if high <= low:
        return None
    low = max([low, *(at for at in causes if at <= high)])
    middle = (low + high) // 2
    return Moment(middle, middle - low, high - middle)
