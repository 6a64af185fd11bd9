"""What comes after a failover: how long service was back before it was as good as ever.

*Settle* is the phase after *reroute*, outside the sum of ``failover_time``. Draining is the part of
it that is due to requests which had queued up.
"""

from __future__ import annotations

import numpy as np

from chaoskit.measure.failover import first_good_ns
from chaoskit.measure.model import Interval
from chaoskit.measure.steady import STEADY_S, as_fast, baseline_of, steady_ns, windows
from chaoskit.measure.view import View, as_seconds

__all__ = ["backlog_drain", "settle_time"]

NOTHING_TO_SETTLE = "nothing failed over, so there is nothing to settle"


def settle_time(view: View, steady_s: float = STEADY_S) -> Interval | None:
    """From the first good write after the outage until service is steady (``time_to_steady``).

    Censored where it was not within the observation. None where there is no baseline of two
    seconds; not applicable where nothing failed over, or service did not come back.
    """
    back, base = first_good_ns(view), baseline_of(view)
    if back is None:
        return Interval(applicable=False, note=NOTHING_TO_SETTLE)
    if base is None:
        return None
    before, steady, note = steady_ns(view, base, steady_s)
    low = as_seconds(max(0, before - back))
    if steady is None:
        return Interval(value_s=low, low_s=low, censored=True, note=note)
    value = as_seconds(max(0, steady - back))
    return Interval(value_s=value, low_s=min(low, value), high_s=value)


def backlog_drain(view: View) -> Interval | None:
    """From the first good write after the outage until answers come as fast as before the fault.

    That is the first second whose p99 is at most 1.5 times the baseline's; looked for every tenth
    of a second. Censored, None and not applicable as ``settle_time``.
    """
    back, base = first_good_ns(view), baseline_of(view)
    if back is None:
        return Interval(applicable=False, note=NOTHING_TO_SETTLE)
    if base is None:
        return None
    at = windows(view)
    fast = np.flatnonzero(as_fast(view, base, at))
    if not fast.size:
        low = as_seconds(max(0, int(at[-1]) - back)) if at.size else 0.0
        note = "answers were slower than before until observation ended"
        return Interval(value_s=low, low_s=low, censored=True, note=note)
    first = int(fast[0])
    value = as_seconds(max(0, int(at[first]) - back))
    low = as_seconds(max(0, int(at[max(0, first - 1)]) - back))
    return Interval(value_s=value, low_s=low, high_s=value)
