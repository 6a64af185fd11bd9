"""Does the system stay down although what brought it down is gone?

Bronson and others (HotOS 2021) call that a metastable failure: an effect such as retries keeps the
overload up when its trigger is over. It ends when the load is dropped for a while, which is also
how it is told from a system that is simply broken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chaoskit.clock import NS
from chaoskit.measure.model import Metastability
from chaoskit.measure.shed import Shed
from chaoskit.measure.steady import baseline_of, goodput
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import Span, View, as_seconds

__all__ = ["Terms", "metastability", "retry_amplification", "terms_of"]

_BUCKET_NS = NS
_RESTORED = 2  # whole seconds of the full load that must be good after it was shed


@dataclass(frozen=True)
class Terms:
    """What counts as metastable; ``below``: so much less goodput than the baseline's."""

    grace_s: float = 5.0  # after the last heal
    below: float = 0.1
    after_s: float = 60.0  # degraded for so long after the grace: suspected


def terms_of(view: View) -> Terms:
    """Those of the experiment, as the engine noted them; the usual ones else."""
    noted, usual = view.history.notes.get("metastability"), Terms()
    if not isinstance(noted, dict):
        return usual
    try:
        found = Terms(*(float(noted[name]) for name in ("grace_s", "below", "after_s")))
    except (KeyError, TypeError, ValueError):
        return usual
    sound = found.grace_s >= 0 and 0 < found.below < 1 and found.after_s > 0
    return found if sound else usual


def metastability(view: View) -> Metastability | None:
    """Whether service stayed degraded after heal, and whether dropping the load ended that.

    ``suspected``: every second was below the bound for as long as the terms say. ``confirmed``:
    it still was when the load was shed, and no second is from one second after the load was
    restored. ``unknown``: degraded when observation ended, or not observed, for less than that.
    None without a fault that bites, or without a baseline.
    """
    biting = [fault for fault in view.history.faults if fault.must_bite]
    base = baseline_of(view)
    if not biting or base is None:
        return None
    healed = [fault.healed_ns for fault in biting]
    if any(moment is None for moment in healed):
        return Metastability(verdict="unknown", note="the fault was not seen to be healed")
    terms, shed = terms_of(view), view.shed
    start = max(m for m in healed if m is not None) + int(terms.grace_s * NS)
    until = min(view.observed[1], shed.from_ns) if shed else view.observed[1]
    starts = np.arange(start, until - _BUCKET_NS + 1, _BUCKET_NS, dtype=np.int64)
    if not starts.size:
        return Metastability(verdict="unknown", note="nothing was observed after heal and grace")
    low = _degraded(view, starts, base.goodput, terms)
    longest, last = _runs(low)
    seen = Metastability(
        verdict="none", degraded_s=float(longest), observed_s=as_seconds(until - start)
    )
    if longest < terms.after_s:
        if last:
            note = f"degraded for {last} s when observation ended; {terms.after_s:g} s make it one"
            return seen.model_copy(update={"verdict": "unknown", "note": note})
        return seen
    confirmed, note = _after_shed(view, shed, base.goodput, terms, still=last >= terms.after_s)
    verdict = "confirmed" if confirmed else "suspected"
    return seen.model_copy(update={"verdict": verdict, "note": note})


def _after_shed(
    view: View, shed: Shed | None, usual: float, terms: Terms, *, still: bool
) -> tuple[bool, str]:
    """Whether dropping the load ended it, and what a reader should know."""
    if not still:
        return False, "it ended by itself, without any change of the load"
    if shed is None:
        return False, "the load was not shed, which would tell (metastability: shed)"
    start = shed.until_ns + _BUCKET_NS
    starts = np.arange(start, view.observed[1] - _BUCKET_NS + 1, _BUCKET_NS, dtype=np.int64)
    if starts.size < _RESTORED:
        return False, "the load was shed, and observation ended too soon after it was restored"
    if _degraded(view, starts, usual, terms).any():
        return False, "shedding the load did not end it: it is not the load that keeps it up"
    return True, f"it ended when the load was dropped to {shed.share:.0%}, and did not come back"


def _degraded(view: View, starts: Ints, usual: float, terms: Terms) -> Bools:
    """Whether each second is below the bound."""
    found: Bools = goodput(view, starts, starts + _BUCKET_NS) < (1 - terms.below) * usual
    return found


def _runs(low: Bools) -> tuple[int, int]:
    """The longest run of seconds, and the one at the end; 0 where it does not end with one."""
    longest = run = 0
    for one in low.tolist():
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest, run


def retry_amplification(view: View, span: Span) -> float | None:
    """Attempts by logical operation, of all clients; 1: nobody tried again. None without any."""
    attempts = asked = 0
    for track in view.served.values():
        low, high = track.due_between(*span)
        chosen = track.asked[low:high]
        attempts += int(track.column("attempt")[low:high][chosen].sum(dtype=np.int64))
        asked += int(chosen.sum())
    return attempts / asked if asked and attempts else None
