"""Which fault the outage followed, where there were several, and whether another node serves since.

How long a failover took counts from the failure that it answered. In a trial with a load on the
processor from the beginning and a kill in its midst, or with three faults one after another, that
is not the first of all.
"""

from __future__ import annotations

from chaoskit.history.history import FaultRecord
from chaoskit.measure.requests import latency_at
from chaoskit.measure.view import View

__all__ = ["cause", "several_bite", "writer_changed", "writers_before"]


def cause(view: View) -> FaultRecord | None:
    """The last fault that bites and was commanded before the outage that was answered began.

    The first bad request may have been under way when the fault came: as much earlier as an answer
    usually takes (99th percentile of the baseline) and an interval. The first fault of all where
    nothing was out, or the outage is older than every one.
    """
    outage = view.failover_outage
    if view.fault is None or outage is None or not several_bite(view):
        return view.fault
    usual = latency_at(view.headline, view.spans["baseline"], 0.99) or 0
    until = outage.start_ns + view.headline.interval_ns + usual
    before = [f for f in view.history.faults if f.must_bite and f.commanded_ns <= until]
    return max(before, key=lambda f: f.commanded_ns, default=view.fault)


def several_bite(view: View) -> bool:
    """Whether there is anything to choose between."""
    return sum(f.must_bite for f in view.history.faults) > 1


def writers_before(view: View) -> frozenset[str]:
    """Who acknowledged last before the fault that the outage followed.

    Of the first fault of all: everybody who did.
    """
    fault = cause(view)
    if fault is None or fault is view.fault:
        return view.writers_before
    return view.writers((view.observed[0], fault.commanded_ns), last=20)


def writer_changed(view: View) -> bool:
    """Somebody acknowledges after that fault who did not before it."""
    return view.fault is not None and bool(view.writers_after - writers_before(view))
