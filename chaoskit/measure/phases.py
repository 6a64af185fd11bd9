"""What ``failover_time`` is made of: the stretches between what was observed of the failover.

A stage ends at a moment: *mask* when the first client felt it, *detect* when the control plane
declared the target dead, *approval* when an operator approved (where one was asked; told by a
node, else as the experiment's own operator did it), *elect* when
the new primary was chosen, *promote* when it took a write (of its pinned writer, where there is
one; else when it said that it serves, or was seen to), *reroute* when a client's write went
through.
A stage whose end nobody observed is part of the one after it and named with it
(``elect+promote``). The parts sum to ``failover_time`` exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaoskit.history.history import FaultRecord, NodeEvent
from chaoskit.measure.approval import approvals, requests
from chaoskit.measure.cause import cause
from chaoskit.measure.failover import first_good_ns, promoted, proven_ns
from chaoskit.measure.model import Interval
from chaoskit.measure.moment import Moment
from chaoskit.measure.pinned import first_accepted
from chaoskit.measure.told import first_told, last_told
from chaoskit.measure.view import View, as_seconds

__all__ = ["phases", "split", "time_to_detect"]


def phases(view: View) -> Mapping[str, Interval]:
    """Each part with its bracket, by time; empty where nothing failed over."""
    fault, end = cause(view), first_good_ns(view)
    if fault is None or end is None:
        return {}
    start = Moment(
        fault.acknowledged_ns,
        fault.acknowledged_ns - fault.commanded_ns,
        max(0, proven_ns(fault) - fault.acknowledged_ns),
    )
    marks = _merged(_stages(view, fault, end))
    ends = dict(marks)
    found: dict[str, Interval] = {}
    before = start
    for name, length in split(start.at, [(n, m.at) for n, m in marks], end):
        after = ends[name]
        found[name] = Interval(
            value_s=as_seconds(length),
            low_s=as_seconds(max(0, length - before.after - after.before)),
            high_s=as_seconds(length + before.before + after.after),
        )
        before = after
    return found


def time_to_detect(view: View) -> Interval | None:
    """From the fault until the control plane declared the target dead, as a node told.

    Where none told, only an upper end is known: until another node was seen to be primary, which
    it became after it was detected, by how much nobody knows. None where neither was seen.
    """
    fault = cause(view)
    if fault is None:
        return None
    declared = _declared(view, fault, view.observed[1])
    if declared is not None:
        by = f"{declared.node} declared {declared.detail or 'the target'} dead"
        return _since(fault, Moment(declared.t_ns), by)
    change = promoted(view, fault, view.observed[1])
    if change is None:
        return None
    latest = as_seconds(max(0, change.seen_ns - fault.commanded_ns))
    note = f"at most: no node told, and {change.node} was seen to be primary by then"
    return Interval(value_s=latest, low_s=0.0, high_s=latest, note=note)


def _since(fault: FaultRecord, moment: Moment, note: str) -> Interval:
    value = max(0, moment.at - fault.acknowledged_ns)
    low = max(0, min(value, moment.at - moment.before - proven_ns(fault)))
    high = max(value, moment.at + moment.after - fault.commanded_ns)
    return Interval(
        value_s=as_seconds(value), low_s=as_seconds(low), high_s=as_seconds(high), note=note
    )


def _stages(view: View, fault: FaultRecord, end: int) -> list[tuple[str, Moment | None]]:
    """Every stage that there was, in the order of cause and effect, with its end if known."""
    history, since = view.history, fault.commanded_ns
    stages: list[tuple[str, Moment | None]] = []
    if view.failover_outage is not None:
        interval = view.worst_piece.interval_ns
        stages.append(("mask", Moment(view.failover_outage.start_ns, interval, interval)))
    declared = _declared(view, fault, end)
    stages.append(("detect", None if declared is None else Moment(declared.t_ns)))
    if requests(view, end):
        approved = approvals(view, end)
        stages.append(("approval", approved[-1] if approved else None))
    chosen = last_told(history, "chosen", since, end)
    stages.append(("elect", None if chosen is None else Moment(chosen.t_ns)))
    known = [m.at for name, m in stages if m is not None and name != "mask"]
    stages.append(("promote", _served(view, fault, end, known)))
    stages.append(("reroute", Moment(end)))
    return stages


def _served(view: View, fault: FaultRecord, end: int, known: Sequence[int]) -> Moment | None:
    """When the new primary took writes: as its pinned writer saw, as it told, as polls saw.

    ``known``: when it was detected, approved and chosen, as far as that is known. None of it came
    after its effect.
    """
    said = last_told(view.history, "promoted", fault.commanded_ns, end)
    change = promoted(view, fault, end + 2 * view.history.poll_every_ns)
    node = said.node if said else change.node if change else ""
    causes = (*known, said.t_ns) if said else known
    accepted = first_accepted(view, node, (fault.commanded_ns, end), causes)
    if accepted is not None:
        return accepted
    if said is not None:
        return Moment(said.t_ns)
    if change is None:
        return None
    half = (change.seen_ns - change.after_ns) // 2 + 1
    return Moment(change.middle_ns, half, half)


def _declared(view: View, fault: FaultRecord, until_ns: int) -> NodeEvent | None:
    """The first declaration by a node that is no target: of a cut both sides declare the other."""
    return first_told(view.history, "declared-dead", fault.commanded_ns, until_ns, fault.nodes)


def _merged(stages: Sequence[tuple[str, Moment | None]]) -> list[tuple[str, Moment]]:
    """Stages without an end joined with the one after them; the last has one."""
    found: list[tuple[str, Moment]] = []
    waiting: list[str] = []
    for name, moment in stages:
        waiting.append(name)
        if moment is not None:
            found.append(("+".join(waiting), moment))
            waiting = []
    return found


def split(start_ns: int, marks: Sequence[tuple[str, int]], end_ns: int) -> list[tuple[str, int]]:
    """Lengths of consecutive parts that sum to ``end_ns - start_ns`` exactly.

    Each mark names the part that it ends. A mark outside is moved to the nearest end, and marks
    are taken in order of time; the last part ends at ``end_ns``.
    """
    span = max(end_ns, start_ns)
    ordered = sorted(((min(max(t, start_ns), span), i, n) for i, (n, t) in enumerate(marks)))
    parts, at = [], start_ns
    for k, (moment, _, name) in enumerate(ordered):
        until = span if k == len(ordered) - 1 else moment
        parts.append((name, until - at))
        at = until
    return parts
