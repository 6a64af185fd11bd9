"""How long the failover took, from the fault to the first good write, and of what kind it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chaoskit.history.history import FaultRecord
from chaoskit.measure.acts import acts
from chaoskit.measure.answered import began_at_heal
from chaoskit.measure.cause import cause, several_bite, writer_changed, writers_before
from chaoskit.measure.chance import CHANCE, flagged, of_outage, run_note
from chaoskit.measure.kept import found_once
from chaoskit.measure.model import Interval
from chaoskit.measure.roles import Promotion, primaries, promotion
from chaoskit.measure.sharing import lost_servers
from chaoskit.measure.view import View, as_seconds

__all__ = [
    "failover_time",
    "first_good_ns",
    "promoted",
    "proven_ns",
    "recovery_kind",
    "rejected",
]

NOTHING_FAILED_OVER = "nothing failed over: no outage, and the same node went on writing"
NOBODY_NAMED = "no outage, and no answer says which node gave it"

ALL_SERVE = "nothing fails over where all nodes serve: look at dropped requests, latency and shares"


def _all_serve(view: View) -> bool:
    """Several nodes serve the same: nobody takes anything over."""
    return view.several_serve and not view.shards


@found_once
def first_good_ns(view: View) -> int | None:
    """When the first good write through the front door was done, at or after the outage's end.

    Without an outage, the first one that a new writer acknowledged. None where there is none, or
    nothing failed over. A fault that is not supposed to bite fails nothing over.
    """
    fault, outage, track = cause(view), view.failover_outage, view.worst_piece
    if fault is None or not any(f.must_bite for f in view.history.faults):
        return None
    if (outage is not None and outage.censored) or _all_serve(view):
        return None
    if outage is None:
        return _taken_ns(view, fault)
    good = track.good & (track.done >= outage.end_ns)
    return int(track.done[good].min()) if good.any() else None


def _taken_ns(view: View, fault: FaultRecord) -> int | None:
    """When a new writer's first acknowledgement came; None where the writers are the same."""
    if not writer_changed(view):
        return None
    track, new = view.worst_piece, view.writers_after - writers_before(view)
    ids = [i for i, name in enumerate(view.history.servers) if name in new]
    good = track.good & (track.done >= fault.acknowledged_ns) & np.isin(track.server, ids)
    return int(track.done[good].min()) if good.any() else None


def failover_time(view: View) -> Interval:
    """First good write - fault acknowledged; low from verified, high from commanded, with lag.

    Of several faults it is the one that the outage followed, as the note says. An outage that only
    began when the fault was being healed is no part of it, nor is one after which the same node
    went on, if there was one in which the office changed hands (``View.failover_outage``).
    """
    fault, outage = cause(view), view.failover_outage
    biting = fault is not None and any(f.must_bite for f in view.history.faults)
    if fault is None or not biting:
        return Interval(applicable=False, note="no fault that bites was injected")
    if outage is not None and outage.censored:
        since = view.observed[1] - fault.acknowledged_ns
        return Interval(
            value_s=as_seconds(since),
            low_s=as_seconds(max(0, min(since, view.observed[1] - proven_ns(fault)))),
            censored=True,
            note=_joined("no good write before observation ended", _since_which(view, fault)),
        )
    end = first_good_ns(view)
    if end is None:
        note = NOTHING_FAILED_OVER if view.writers_after else NOBODY_NAMED
        note = ALL_SERVE if _all_serve(view) else note
        return Interval(applicable=False, note=note)
    lag = outage.lag_ns if outage else 0
    found = _since(fault, end, end, end, lag)
    note = _joined(_since_which(view, fault), _another(view))
    return _doubted(view, fault, found.model_copy(update={"note": note or None}))


def _doubted(view: View, fault: FaultRecord, found: Interval) -> Interval:
    """``found``, where the outage that it ends with may be chance.

    It may then have been over with the first write that another node took, if one did; else there
    may have been no failover at all.
    """
    outage = view.failover_outage
    chance = of_outage(view, view.worst_piece, outage)
    if outage is None or chance < CHANCE:
        return found
    note = _joined(found.note, run_note(outage.bad, chance))
    taken = _taken_ns(view, fault)
    if taken is None:
        return flagged(view, found.model_copy(update={"note": note}), chance)
    low = _since(fault, taken, taken, taken, 0).low_s or 0.0
    low = low if found.low_s is None else min(low, found.low_s)
    return found.model_copy(update={"note": note, "low_s": low})


def _since_which(view: View, fault: FaultRecord) -> str | None:
    """Which of several faults the time counts from."""
    if not several_bite(view):
        return None
    what = " of ".join(part for part in (fault.fault, " and ".join(fault.nodes)) if part)
    at = as_seconds(fault.acknowledged_ns - view.origin_ns)
    return f"since the {what} at +{at:.2f} s, which the failover's outage followed"


def _another(view: View) -> str | None:
    """That a longer outage was none of the failover's."""
    if view.outage is None or view.outage is view.failover_outage:
        return None
    longest = as_seconds(view.outage.end_ns - view.outage.start_ns)
    at = as_seconds(view.outage.start_ns - view.origin_ns)
    healing = began_at_heal(view.outage, view.history.faults)
    why = "came with the heal" if healing else "left the same node in office"
    return f"the longest outage, {longest:.2f} s from +{at:.2f} s on, {why}"


def _joined(*notes: str | None) -> str:
    return "; ".join(note for note in notes if note)


def promoted(view: View, fault: FaultRecord, until_ns: int) -> Promotion | None:
    """When another node became primary: seen by a poll, or proven by a write that it took."""
    change = promotion(view.history, fault.commanded_ns, until_ns)
    served = first_good_ns(view)
    if change is None or served is None or change.node not in view.writers_after:
        return change
    return replace(change, seen_ns=max(change.after_ns, min(change.seen_ns, served)))


def recovery_kind(view: View) -> str:
    """How clients were served again.

    ``failover``, ``in-place restart``, ``rejected`` (an operator had refused a failover, whether
    or not the same node came back afterwards), ``none`` (nothing was out) or ``failed``.
    ``absorbed``: several nodes served, one that did no longer does, and the others have its share.
    Where no answer names a node, the roles that were seen tell, and ``unknown`` if none were.
    """
    outage = view.failover_outage
    if outage is not None and outage.censored:
        return "rejected" if rejected(view) else "failed"
    if writer_changed(view):
        return "failover"
    fault = cause(view)
    if fault is not None and view.several_serve and lost_servers(view):
        return "absorbed"
    return "none" if fault is None else _by_roles(view, fault)


def _by_roles(view: View, fault: FaultRecord) -> str:
    """Of a trial in which no answer shows that somebody else took over."""
    named = bool(view.writers_after)
    if not named and promotion(view.history, fault.commanded_ns, view.observed[1]):
        return "failover"
    if view.failover_outage is None:
        return "none"
    if rejected(view):
        return "rejected"
    told = named or primaries(view.history, fault.commanded_ns)
    return "in-place restart" if told else "unknown"


def rejected(view: View) -> bool:
    """Whether the last word that an operator said, and that was heard, refused a failover."""
    said = acts(view.history, "operator-approve", "operator-wrong", "operator-reject")
    heard = [act.event for act in said if act.accepted]
    return heard[-1:] == ["operator-reject"]


def proven_ns(fault: FaultRecord) -> int:
    """From when on the fault was certainly in force."""
    return max(fault.acknowledged_ns, fault.verified_ns or fault.acknowledged_ns)


def _since(fault: FaultRecord, at: int, low_at: int, high_at: int, lag: int) -> Interval:
    """A moment as a duration since the fault; the bracket holds the value, and is not negative."""
    value = max(0, at - fault.acknowledged_ns)
    low = max(0, min(value, low_at - proven_ns(fault) - lag))
    high = max(value, high_at - fault.commanded_ns + lag)
    return Interval(value_s=as_seconds(value), low_s=as_seconds(low), high_s=as_seconds(high))
