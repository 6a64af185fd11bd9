"""Planted defects: one flaw each, and the finding that a harness worth its name reports.

A defect is a subclass that overrides one decision of the sound state machine; the sound code
does not know that any of them exists. Chosen by ``CHAOSKIT_DEFECT=<name>`` on the services.
The flaws of each shape stand in a file of their own; this is the table of all.
"""

from __future__ import annotations

from chaoskit.reference.after_defects import AFTER
from chaoskit.reference.approval_defects import APPROVAL
from chaoskit.reference.defect import Defect
from chaoskit.reference.group_defects import ROWS, behind
from chaoskit.reference.node import Node
from chaoskit.reference.pair_defects import PAIR
from chaoskit.reference.settings import BadSettings, Settings, Timing

__all__ = ["DEFECTS", "Defect", "node_of", "node_type", "timing_of"]

DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
        *PAIR,
        *AFTER,
        *APPROVAL,
        *(Defect(*row[:5], needs=row[5]) for row in ROWS),
    )
}
"""Every planted defect by name."""

_BEHIND = behind("active-passive")

_ONLY = {
    "approval": "a failover that an operator approves, and this pair fails over by itself"
    " (CHAOSKIT_FAILOVER is not approval); it would be no flaw here, or another one",
    "data": "a node that writes to a disk, and this one keeps all in memory"
    " (CHAOSKIT_DATA is not set); it would find nothing wrong",
}


def node_of(settings: Settings) -> type[Node]:
    """The state machine to run; a flaw that would be none with these settings is refused as well.

    Raises ``BadSettings``.
    """
    defect = DEFECTS.get(settings.defect or "")
    told = {"approval": settings.rules.approval, "data": settings.data is not None}
    if defect is not None and defect.only and not told[defect.only]:
        raise BadSettings(f"CHAOSKIT_DEFECT={defect.name!r} is a flaw of {_ONLY[defect.only]}")
    return node_type(settings.defect)


def node_type(name: str | None) -> type[Node]:
    """The state machine to run. Raises ``BadSettings`` with the list for an unknown name."""
    if name is None or name in _BEHIND:
        return Node
    return _of_a_node(name).node or Node


def timing_of(name: str | None, timing: Timing) -> Timing:
    """The times to run by: ``timing`` unless the defect is one of time."""
    if name is None or name in _BEHIND:
        return timing
    return _of_a_node(name).timing or timing


def _of_a_node(name: str) -> Defect:
    defect = DEFECTS.get(name)
    if defect is None or defect.node is None:
        known = ", ".join((*(n for n, one in DEFECTS.items() if one.node), *_BEHIND))
        raise BadSettings(
            f"CHAOSKIT_DEFECT={name!r} is not a planted defect of a pair; there are: {known}"
        )
    return defect
