"""Undo operations about what a process may use: control groups, descriptors, its clock.

A group is never named by its own path where a process tells it: what the kernel says about a
process whose identity was checked leads to it, so no journal can point anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from chaoskit.lab.ops_checks import check, check_process, is_int, matches

__all__ = [
    "KINDS",
    "LeaveGroup",
    "LimitOp",
    "RestoreClock",
    "RestoreFileLimit",
    "RestoreLimit",
    "describe_limit",
]

_CONTROLLER = re.compile(r"cpu|memory")
_VALUE = re.compile(r"(max|-?[0-9]{1,20})( [0-9]{1,10})?")
_STEP = r"/[A-Za-z0-9_.@:\\-]{1,255}"
_GROUP = re.compile(rf"({_STEP}){{0,30}}/chaoskit_[a-z0-9_]{{1,15}}_[0-9]{{1,9}}")
_HOME = re.compile(rf"/|({_STEP}){{1,30}}")
_FILE = re.compile(r"(/[A-Za-z0-9_.@:-]{1,255}){1,30}")
_CLOCK = re.compile(r"(\+0\n?)?")
_RUN_ID = re.compile(r"[a-z0-9_]{1,15}")
_MOST = 1 << 63


@dataclass(frozen=True)
class RestoreLimit:
    """Give the group of this process the limit back that it had, in the kernel's own words."""

    kind: ClassVar[str] = "restore-limit"
    pid: int
    starttime: int
    boot_id: str
    controller: str
    value: str

    def __post_init__(self) -> None:
        check_process(self.pid, self.starttime, self.boot_id)
        check(matches(_CONTROLLER, self.controller), "controller", self.controller)
        check(matches(_VALUE, self.value), "value", self.value)


@dataclass(frozen=True)
class LeaveGroup:
    """Move whoever is in a group of ours back to where they came from, and remove the group.

    ``path`` and ``home`` start at the root of the controller's hierarchy.
    """

    kind: ClassVar[str] = "leave-group"
    controller: str
    path: str
    home: str

    def __post_init__(self) -> None:
        check(matches(_CONTROLLER, self.controller), "controller", self.controller)
        check(matches(_GROUP, self.path) and _straight(self.path), "path", self.path)
        check(matches(_HOME, self.home) and _straight(self.home), "home", self.home)


@dataclass(frozen=True)
class RestoreFileLimit:
    """Let a process open as many descriptors again as it could.

    With ``family`` also whoever is in its PID namespace with a limit of ``ours`` or less: started
    since, they have inherited it.
    """

    kind: ClassVar[str] = "restore-file-limit"
    pid: int
    starttime: int
    boot_id: str
    soft: int
    ours: int
    family: bool

    def __post_init__(self) -> None:
        check_process(self.pid, self.starttime, self.boot_id)
        for name in ("soft", "ours"):
            value = getattr(self, name)
            check(is_int(value) and -1 <= value < _MOST, name, value)
        check(isinstance(self.family, bool), "family", self.family)


@dataclass(frozen=True)
class RestoreClock:
    """Let the file that shifts the clock of this process say what it said; ``before``: "", none."""

    kind: ClassVar[str] = "restore-clock"
    pid: int
    starttime: int
    boot_id: str
    path: str
    run_id: str
    before: str

    def __post_init__(self) -> None:
        check_process(self.pid, self.starttime, self.boot_id)
        check(matches(_FILE, self.path) and _straight(self.path), "path", self.path)
        check(matches(_RUN_ID, self.run_id), "run_id", self.run_id)
        check(matches(_CLOCK, self.before), "before", self.before)


LimitOp = RestoreLimit | LeaveGroup | RestoreFileLimit | RestoreClock

KINDS: Mapping[str, Callable[..., LimitOp]] = {
    RestoreLimit.kind: RestoreLimit,
    LeaveGroup.kind: LeaveGroup,
    RestoreFileLimit.kind: RestoreFileLimit,
    RestoreClock.kind: RestoreClock,
}


def describe_limit(op: LimitOp) -> str:
    """The operation in words."""
    match op:
        case RestoreLimit():
            return f"give process {op.pid} its {op.controller} limit back ({op.value})"
        case LeaveGroup():
            return f"empty and remove the {op.controller} group {op.path}"
        case RestoreFileLimit():
            return f"give process {op.pid} its limit of open files back ({op.soft})"
        case RestoreClock():
            return f"set the clock of process {op.pid} right ({op.path})"


def _straight(path: str) -> bool:
    return not {".", ".."} & set(path.split("/"))
