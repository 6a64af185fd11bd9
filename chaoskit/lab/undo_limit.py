"""Undoing what a node may use, without the harness: limits, groups, descriptors, clocks."""

from __future__ import annotations

from typing import Literal

from chaoskit.errors import LabError
from chaoskit.lab.cgroups import group_of, remove_group
from chaoskit.lab.descriptors import give_back
from chaoskit.lab.faketime import restore_clock
from chaoskit.lab.limits import Resident, restore
from chaoskit.lab.ops_limits import (
    LeaveGroup,
    LimitOp,
    RestoreClock,
    RestoreFileLimit,
    RestoreLimit,
)
from chaoskit.lab.process import ProcessIdentity

__all__ = ["limit_by_hand", "undo_limit"]


def undo_limit(op: LimitOp) -> Literal["undone", "gone"]:
    """Carry it out and see that it is so. Raises ``LabError``, ``OSError``."""
    match op:
        case LeaveGroup(controller, path, home):
            own = group_of("self", controller)
            there = remove_group(own.named(path), own.named(home))
            return "undone" if there else "gone"
        case RestoreLimit(pid, starttime, boot_id, controller, value):
            try:
                restore(Resident(ProcessIdentity(pid, starttime, boot_id)), controller, value)
            except ProcessLookupError:
                return "gone"  # and its group, or whatever would be limited in it, as well
            return "undone"
        case RestoreFileLimit(pid, starttime, boot_id, soft, ours, family):
            who = ProcessIdentity(pid, starttime, boot_id)
            return "undone" if give_back(who, soft, ours, family=family) else "gone"
        case RestoreClock(pid, starttime, boot_id, path, run_id, before):
            who = ProcessIdentity(pid, starttime, boot_id)
            try:
                return "undone" if restore_clock(who, path, run_id, before) else "gone"
            except ProcessLookupError:
                return "gone"


def limit_by_hand(op: LimitOp) -> str:
    """What somebody would type."""
    match op:
        case LeaveGroup(controller, path, home):
            try:
                own = group_of("self", controller)
            except LabError:
                return ""
            group, back = own.named(path).folder, own.named(home).folder
            return (
                f"for p in $(cat {group}/cgroup.procs); do echo $p > {back}/cgroup.procs; done; "
                f"rmdir {group}"
            )
        case RestoreLimit():
            return f"look at: cat /proc/{op.pid}/cgroup; its {op.controller} limit was {op.value}"
        case RestoreFileLimit():
            return f"prlimit --pid {op.pid} --nofile={op.soft}:"
        case RestoreClock():
            return f"rm /proc/{op.pid}/root{op.path}"
