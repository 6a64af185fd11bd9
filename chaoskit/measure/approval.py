"""How long a failover stood pending before an operator approved it, and how long the rest took.

Requests and approvals are those that nodes told of (``failover-pending``, ``failover-approved``);
where none told, what the experiment's own operator saw and what the system accepted of it. A
person may think for as long as he likes: what a system is to be blamed for is the time beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.measure.acts import acts
from chaoskit.measure.cause import cause
from chaoskit.measure.failover import failover_time, first_good_ns, rejected
from chaoskit.measure.model import Interval
from chaoskit.measure.moment import Moment
from chaoskit.measure.told import told
from chaoskit.measure.view import View, as_seconds

__all__ = ["approvals", "failover_time_without_approval", "requests", "time_to_approval"]

NOBODY_ASKED = "no failover was seen to wait for an operator"
REJECTED = "an operator rejected the failover"
NOT_APPROVED = "nobody approved before service was back"

_Wait = tuple[Moment, Moment]


def requests(view: View, until_ns: int) -> Sequence[Moment]:
    """When failovers became pending since the fault, until a moment."""
    return _heard(view, "failover-pending", ("operator-saw",), until_ns, accepted=False)


def approvals(view: View, until_ns: int) -> Sequence[Moment]:
    """When an operator approved, and was heard; whatever candidate was named."""
    did = ("operator-approve", "operator-wrong")
    return _heard(view, "failover-approved", did, until_ns, accepted=True)


def time_to_approval(view: View) -> Interval:
    """How long requests stood pending until they were approved, from the fault to the recovery.

    Of several requests that were approved it is the sum, where they did not overlap. Censored
    where one still stood when observation ended with service out; not applicable where nobody was
    asked, or nobody approved.
    """
    waits, still_open = _waits(view)
    if rejected(view):
        return Interval(applicable=False, note=REJECTED)
    if not waits:
        asked = requests(view, view.observed[1])
        return Interval(applicable=False, note=NOT_APPROVED if asked else NOBODY_ASKED)
    value, low, high = _sum(waits)
    several = f"{len(waits)} requests in sum" if len(waits) > 1 else None
    return Interval(
        value_s=as_seconds(value),
        low_s=as_seconds(low),
        high_s=None if still_open else as_seconds(high),
        censored=still_open,
        note="still pending when observation ended" if still_open else several,
    )


def failover_time_without_approval(view: View) -> Interval:
    """``failover_time`` less the time in which it waited for an operator's approval.

    The whole of it where nobody was asked; not applicable where an operator rejected.
    """
    whole = failover_time(view)
    if not whole.applicable or whole.value_s is None:
        return whole
    if rejected(view):
        return Interval(applicable=False, note=REJECTED)
    waits, _ = _waits(view)
    if not waits:
        return whole
    value, low, high = (as_seconds(part) for part in _sum(waits))
    return Interval(
        value_s=max(0.0, whole.value_s - value),
        low_s=max(0.0, (whole.low_s or 0.0) - high),
        high_s=None if whole.high_s is None else max(0.0, whole.high_s - low),
        censored=whole.censored,
        note=whole.note,
    )


def _heard(
    view: View, event: str, did: Sequence[str], until_ns: int, *, accepted: bool
) -> Sequence[Moment]:
    """By nodes, else by the operator; in (fault, until]."""
    fault = cause(view)
    if fault is None:
        return ()
    found = [Moment(one.t_ns) for one in told(view.history, event)]
    if not found:
        marks = acts(view.history, *did)
        found = [act.when for act in marks if act.accepted or not accepted]
    return [one for one in found if fault.commanded_ns < one.at <= until_ns]


def _waits(view: View) -> tuple[Sequence[_Wait], bool]:
    """From pending to approved, not overlapping; and whether the last one still stood at the end.

    An approval is for the newest request before it: an older one that nobody approved was
    withdrawn, or stood beside it for another candidate.
    """
    served = first_good_ns(view)
    end = view.observed[1] if served is None else served
    asked, said = requests(view, end), approvals(view, end)
    found: list[_Wait] = []
    before = 0
    for approved in said:
        open_now = [one for one in asked if before < one.at <= approved.at]
        if open_now:
            found.append((open_now[-1], approved))
            before = approved.at
    out = view.outage is not None and view.outage.censored
    last = [one for one in asked if one.at > before]
    if out and last:
        found.append((last[-1], Moment(end)))
        return found, True
    return found, False


def _sum(waits: Sequence[_Wait]) -> tuple[int, int, int]:
    """Value, low and high end, ns."""
    value = low = high = 0
    for pending, approved in waits:
        length = approved.at - pending.at
        value += length
        low += max(0, length - pending.after - approved.before)
        high += length + pending.before + approved.after
    return value, low, high
