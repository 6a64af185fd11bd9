"""After the failover: until a second failure could be survived again, and the way back.

Both are outside ``failover_time``. Data nodes are those that a final read is owed from. They are
whole again when each of them says that it is primary or backup (a node that is still copying says
neither) and somebody is primary, from then on until nobody looked any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.history.history import FaultRecord, Observation
from chaoskit.measure.model import Failback, Interval
from chaoskit.measure.outage import find_outages
from chaoskit.measure.roles import PRIMARY, last_word, primaries
from chaoskit.measure.takeovers import takeovers
from chaoskit.measure.told import told
from chaoskit.measure.view import View, as_seconds, bracketed

__all__ = ["failback", "time_to_redundancy"]

WHOLE = frozenset({PRIMARY, "backup"})
_NEVER = (-1,)
_PLANNED = "switchover"
_SETTLE_NS = 1_000_000_000  # so long after the way back clients may still feel it


def time_to_redundancy(view: View) -> Interval | None:
    """From the fault until every data node was whole again; censored where one never was.

    0 where no poll saw one missing. None where roles are not asked of every data node.
    """
    fault, seen = view.fault, view.history.polls
    if fault is None or not view.history.nodes or set(view.history.nodes) - set(seen):
        return None
    ends = {node: _whole_again(seen[node], fault) for node in view.history.nodes}
    missing = [node for node, end in ends.items() if end == _NEVER]
    if missing:
        last = max(seen[node][-1].done_ns for node in view.history.nodes)
        since = as_seconds(max(0, last - fault.acknowledged_ns))
        note = f"{', '.join(missing)} had not rejoined when nobody looked any more"
        return Interval(value_s=since, low_s=since, censored=True, note=note)
    known = [end for end in ends.values() if end]
    if not known:
        return Interval(value_s=0.0, low_s=0.0, high_s=0.0, note="no data node was seen missing")
    low, high = max(end[0] for end in known), max(end[1] for end in known)
    start = fault.acknowledged_ns
    middle = max((low + high) // 2, start)
    return Interval(
        value_s=as_seconds(middle - start),
        low_s=as_seconds(max(0, min(middle, low) - max(start, fault.verified_ns or start))),
        high_s=as_seconds(max(high, middle) - fault.commanded_ns),
    )


def _whole_again(seen: Sequence[Observation], fault: FaultRecord) -> tuple[int, ...]:
    """Between which moments a node became whole for good; empty if it always was."""
    after = [one for one in seen if one.done_ns > fault.commanded_ns]
    bad = [k for k, one in enumerate(after) if one.value not in WHOLE]
    if not bad:
        return ()
    k = bad[-1]
    return _NEVER if k == len(after) - 1 else (after[k].sent_ns, after[k + 1].done_ns)


def failback(view: View) -> Failback | None:
    """Whether the role went back to where it was before the fault, when, and what clients felt.

    None where it never left, or where it is not known who was primary before. A return because a
    fault struck whoever was in office is a failover, and no way back: times are not applicable.
    """
    fault = view.fault
    before = primaries(view.history, fault.commanded_ns) if fault else frozenset()
    if fault is None or len(before) != 1 or view.several_serve:
        return None
    (home,) = before
    away = _away_ns(view, home, fault.commanded_ns)
    if away is None:
        return None
    failover: Interval | None = None
    while away is not None:
        back = _back(view, home, away)
        if back is None:
            break
        last = _last_step(view, home, away, back)
        if last is None or last.fault == _PLANNED:
            return _gone_back(view, home, away, back, "manual" if last else "automatic")
        failover = failover or _no_way_back(view, home, last)
        away = _away_ns(view, home, back[1])
    return Failback(kind="never", home=home, time=failover, outage=failover)


def _gone_back(view: View, home: str, away: int, back: tuple[int, int], kind: str) -> Failback:
    low, high = back
    faults = [f for f in view.history.faults if f.must_bite and f.fault != _PLANNED]
    ended = [f.healed_ns for f in faults if f.healed_ns is not None]
    acknowledged = view.fault.acknowledged_ns if view.fault else low
    healed = max([t for t in ended if t <= high], default=acknowledged)
    middle = (low + high) // 2
    span = (min(healed, low), high + _SETTLE_NS)
    felt = [
        o
        for o in find_outages(view.headline, view.observed[1])
        if span[0] <= o.end_ns and o.start_ns <= span[1] and o.start_ns >= away
    ]
    none = Interval(value_s=0.0, low_s=0.0, high_s=0.0)
    outage = bracketed(felt, view.headline) if felt else none
    return Failback(
        kind=kind,
        home=home,
        time=Interval(
            value_s=as_seconds(max(0, middle - healed)),
            low_s=as_seconds(max(0, low - healed)),
            high_s=as_seconds(max(0, high - healed)),
        ),
        outage=outage,
    )


def _no_way_back(view: View, home: str, struck: FaultRecord) -> Interval:
    at = as_seconds(struck.commanded_ns - view.origin_ns)
    what = f"{struck.fault} of {' and '.join(struck.nodes)} at {at:+.2f} s"
    note = f"{home} came back to office by a failover, after the {what}"
    return Interval(applicable=False, note=note)


def _last_step(view: View, home: str, away: int, back: tuple[int, int]) -> FaultRecord | None:
    """The last step that can have ended the office of the node before: a switchover, or a fault.

    A fault can if it bites and struck that node while it was in office, unless the node went on in
    office for a while after the heal. One that was struck before it took over, or another node that
    was, gave nothing back.
    """
    others = [t for t in takeovers(view) or () if t.node != home and t.seen_ns <= back[1]]
    found = []
    for step in view.history.faults:
        if not step.commanded_ns <= back[1]:
            continue
        if step.fault == _PLANNED:
            found += [step] * (step.commanded_ns > away)
        elif step.must_bite and others and others[-1].node in step.nodes:
            # The poll that saw it in office came up to an interval late.
            since = others[-1].seen_ns - view.history.poll_every_ns
            if step.commanded_ns > since and not _went_on(view, others[-1].node, step, back):
                found.append(step)
    return max(found, key=lambda step: step.commanded_ns, default=None)


def _went_on(view: View, node: str, step: FaultRecord, back: tuple[int, int]) -> bool:
    """Whether it was still seen to be primary a while after the fault was over.

    A word or two more say nothing: whoever wakes up has not noticed yet that it was deposed.
    """
    if step.healed_ns is None:
        return False
    since = step.healed_ns + _SETTLE_NS
    seen = view.history.polls.get(node, ())
    return any(one.value == PRIMARY and since < one.sent_ns <= back[1] for one in seen)


def _away_ns(view: View, home: str, since: int) -> int | None:
    """When another node was first seen to be primary since then."""
    moments = [
        one.done_ns
        for node, seen in view.history.polls.items()
        for one in seen
        if node != home and one.value == PRIMARY and one.done_ns > since
    ]
    return min(moments, default=None)


def _back(view: View, home: str, away_ns: int) -> tuple[int, int] | None:
    """Between which moments the home node became primary again: by its own word, or by polls.

    A deposed primary that has not noticed goes on saying that it is one: it must have said
    something else, or nothing, since.
    """
    seen = view.history.polls.get(home, ())
    for k, later in enumerate(seen[1:], start=1):
        earlier = seen[k - 1]
        changed = earlier.value != PRIMARY and later.value == PRIMARY
        if changed and later.done_ns > away_ns:
            low, high = last_word(seen, k).sent_ns, later.done_ns
            said = [one.t_ns for one in told(view.history, "promoted") if one.node == home]
            exact = [t for t in said if low <= t <= high]
            return (exact[-1], exact[-1]) if exact else (low, high)
    return None
