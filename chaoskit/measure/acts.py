"""What the operator of the experiment saw and did: the harness's own marks, by its own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaoskit.history.history import History
from chaoskit.measure.moment import Moment

__all__ = ["OperatorAct", "acts"]


@dataclass(frozen=True)
class OperatorAct:
    """One mark. ``accepted``: the system said yes to what was asked of it."""

    event: str
    when: Moment
    node: str
    accepted: bool


def acts(history: History, *events: str) -> Sequence[OperatorAct]:
    """Marks of these words, by time.

    What was seen had happened since the look before it; what was asked for was done between the
    request and its answer.
    """
    noted = history.notes.get("operator")
    found = []
    for act in noted if isinstance(noted, list) else ():
        if not isinstance(act, dict) or act.get("event") not in events:
            continue
        at = int(act.get("t_ns") or 0)
        low, high = int(act.get("low_ns") or at), int(act.get("high_ns") or at)
        when = Moment(at, max(0, at - low), max(0, high - at))
        heard = ": accepted" in str(act.get("detail"))
        found.append(OperatorAct(str(act["event"]), when, str(act.get("node", "")), heard))
    return sorted(found, key=lambda act: act.when.at)
