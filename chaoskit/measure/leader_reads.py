"""Reads that a node answered from the past while it still said that it is primary.

Every data node is asked itself, past the front door. A replica may be behind by design, so a read
counts only if the node claimed the office in its last answer about its role before the read was
sent and in its first one after the read was answered: a deposed primary that does not know it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chaoskit.history.history import Observation
from chaoskit.measure.model import Safety
from chaoskit.measure.operations import Operations, Registers, registers_of
from chaoskit.measure.registers import stale_among
from chaoskit.measure.roles import PRIMARY
from chaoskit.measure.track import Bools, Ints
from chaoskit.measure.view import View

__all__ = ["stale_leader_reads"]


def stale_leader_reads(view: View, found: Registers | None = None) -> Safety:
    """Reads past the front door of a value that had been replaced, of a node that claims office.

    Stale as ``stale_reads`` has it. Not checked where no reader is pinned to the nodes, they are
    not asked for their role, or several are meant to serve at once. ``found``: the registers of the
    view, where somebody has them already.
    """
    asked = {i: view.history.streams[i].pinned for i in view.history.pinned}
    asked = {i: node for i, node in asked.items() if view.history.streams[i].op == "read"}
    if why := _unchecked(view, asked):
        return Safety(count=None, checked=False, note=why)
    roles = view.history.polls

    def claimed(reads: Operations) -> Bools:
        sure = np.zeros(reads.sent.size, dtype=bool)
        for index, node in asked.items():
            mine = reads.stream == index
            sure[mine] = _claimed(roles.get(node, ()), reads.sent[mine], reads.done[mine])
        return sure

    return stale_among(view, registers_of(view) if found is None else found, claimed)


def _unchecked(view: View, asked: dict[int, str]) -> str:
    """Why nothing can be said; empty if it can."""
    if view.several_serve:
        return "several nodes are meant to serve at once"
    if not asked:
        return "no reader is pinned to the nodes"
    if not any(poll.value == PRIMARY for of in view.history.polls.values() for poll in of):
        return "no node said that it is primary"
    return ""


def _claimed(seen: Sequence[Observation], sent: Ints, done: Ints) -> Bools:
    """Whether a node said primary in the last answer before a read and the first one after it."""
    told = [poll for poll in seen if poll.value is not None]
    if not told:
        return np.zeros(sent.size, dtype=bool)
    primary = np.array([poll.value == PRIMARY for poll in told])
    begun, ended = np.array([p.sent_ns for p in told]), np.array([p.done_ns for p in told])
    before = np.searchsorted(np.maximum.accumulate(ended), sent, side="right") - 1
    after = np.searchsorted(begun, done, side="left")
    held: Bools = (before >= 0) & (after < len(told))
    held &= primary[np.maximum(before, 0)] & primary[np.minimum(after, len(told) - 1)]
    return held
