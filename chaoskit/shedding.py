"""Drops the offered load for a while after the last heal, if the experiment asks for it.

What a metastable failure is told by: it ends when there is less load, and only then. The moment is
fixed when the last fault is healed and told to the load ahead of time, so it is known to the slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chaoskit.clock import NS, now_ns
from chaoskit.experiment.metastability import MetastabilitySpec
from chaoskit.history.history import FaultRecord
from chaoskit.history.writer import Marks

__all__ = ["Shedding"]

_AHEAD_NS = NS // 4


class Shedding:
    """Looks on until every fault is healed, waits, and has the load shed once."""

    def __init__(self, spec: MetastabilitySpec | None, marks: Marks) -> None:
        self._spec, self.marks = spec, marks
        self._told = False
        if spec is not None:
            marks.note("metastability", spec.terms())

    def look(
        self,
        faults: Callable[[], Sequence[FaultRecord]],
        tell: Callable[[Mapping[str, object]], None],
    ) -> None:
        """Call it often once no step is left to come; ``tell`` sends a command to the load."""
        if self._spec is None or self._spec.shed is None or self._told:
            return
        records = [record for record in faults() if record.must_bite]
        healed = [record.healed_ns for record in records if record.healed_ns is not None]
        if not records or len(healed) < len(records):
            return
        shed = self._spec.shed
        begin_ns = max(healed) + int((self._spec.grace_s + self._spec.after_s) * NS)
        if now_ns() < begin_ns - _AHEAD_NS:
            return
        self._told = True
        begin_ns = max(begin_ns, now_ns() + _AHEAD_NS // 4)
        facts = {"from_ns": begin_ns, "until_ns": begin_ns + int(shed.for_s * NS), "share": shed.to}
        tell({"do": "shed", **facts})
        self.marks.note("shed", facts)
