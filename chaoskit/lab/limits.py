"""A control group's limit on a node: the node's own group, or one of ours that it is moved into.

A container has a group of its own, and its limit is set lower there. Processes of the sandbox lab
share a group with whoever started them: they are moved into one of ours, and back afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from chaoskit.clock import wait_until
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.cgroups import Group, group_of, make_group, remove_group
from chaoskit.lab.freeze import members
from chaoskit.lab.ops import Op
from chaoskit.lab.ops_limits import LeaveGroup, RestoreLimit
from chaoskit.lab.process import ProcessIdentity, open_checked
from chaoskit.resources import Cpu, Memory

__all__ = ["GroupLimit", "Home", "Resident", "limit_tweaks", "page_down", "said_of"]

_OURS = "chaoskit_"
_WITHIN_S = 5.0


class Resident:
    """A node's first process as the place of a tweak; it may be gone, and then says so."""

    def __init__(self, who: ProcessIdentity) -> None:
        self.who = who

    def group(self, controller: str) -> Group:
        """The group that it is in. Raises ``LabError`` if it is gone."""
        try:
            with open_checked(self.who):
                return group_of(self.who.pid, controller)
        except ProcessLookupError:
            raise LabError(f"process {self.who.pid} is gone") from None

    def members(self) -> list[int]:
        """Everybody in its PID namespace. Raises ``LabError`` if it is gone."""
        try:
            return members(self.who)
        except ProcessLookupError:
            raise LabError(f"process {self.who.pid} is gone") from None

    def has_own(self, group: Group) -> bool:
        """Whether nobody but this node is in the group."""
        there = set(group.pids()) - set(self.members())
        return group.path != "/" and not any(_alive(pid) for pid in there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Home:
    """The node in a group of ours: a ``Tweak``. ``home`` is where it came from."""

    node: Node
    group: Group
    home: Group

    def refuse(self, place: Resident) -> None:
        """On version 2 a process has one group: two faults cannot each have one of their own."""
        if place.group(self.group.controller).path.rpartition("/")[2].startswith(_OURS):
            raise LabError(
                f"{self.node.name} is in a group of another fault already; with cgroup version 2 "
                "a node of the sandbox lab has one limit at a time"
            )

    def put(self, place: Resident) -> None:
        """Make the group and move everybody; whoever forks meanwhile is found by looking again."""
        if not self.group.folder.is_dir():  # it is, where the node was started again
            make_group(self.group)

        def look() -> bool:
            outside = set(place.members()) - set(self.group.pids())
            for pid in outside:
                self.group.adopt(pid)
            return not outside

        if not wait_until(look, within_s=_WITHIN_S, every_s=0.001):
            raise LabError(f"not every process of {self.node.name} could be moved into a group")

    def stands(self, place: Resident) -> bool:
        """Whether the first process is in it; who came in from outside is fetched by ``gather``."""
        return place.group(self.group.controller).path == self.group.path

    def gather(self, place: Resident) -> None:
        """Move whoever has come into the node from outside."""
        there = set(self.group.pids())
        for pid in place.members():
            if pid not in there:
                self.group.adopt(pid)

    def take(self, place: Resident) -> None:  # noqa: ARG002 - there is a way without it
        """Move everybody back and remove it."""
        remove_group(self.group, self.home)

    def undo(self, who: ProcessIdentity) -> Op:  # noqa: ARG002 - the group is known by its path
        """For the journal."""
        return LeaveGroup(self.group.controller, self.group.path, self.home.path)


@dataclass(frozen=True)
class GroupLimit:
    """A lower limit on the group that the node has to itself: a ``Tweak``.

    ``before`` is what stood there, in the kernel's own words.
    """

    node: Node
    controller: str
    value: str
    before: str

    def refuse(self, place: Resident) -> None:  # noqa: ARG002 - what it has stands in ``before``
        """A fault only ever takes away."""
        if _amount(self.before) <= _amount(self.value):
            raise LabError(
                f"{self.node.name} has no more than {said_of(self.controller, self.before)} as it "
                f"is: {said_of(self.controller, self.value)} would be no limit"
            )

    def put(self, place: Resident) -> None:
        """Set it."""
        self._group(place).set_limit(self.value)

    def stands(self, place: Resident) -> bool:
        """Whether the kernel says so."""
        with suppress(FileNotFoundError):
            return place.group(self.controller).limit() == self.value
        return False

    def take(self, place: Resident) -> None:
        """Restore what stood there, unless the process is gone, and its group with it."""
        with suppress(ProcessLookupError):
            restore(place, self.controller, self.before)

    def undo(self, who: ProcessIdentity) -> Op:
        """For the journal."""
        return RestoreLimit(who.pid, who.starttime, who.boot_id, self.controller, self.before)

    def _group(self, place: Resident) -> Group:
        """Its own, for certain: a limit must not hit anybody else."""
        group = place.group(self.controller)
        if not place.has_own(group):
            raise LabError(f"{self.node.name} shares the control group {group.path} with others")
        return group


def restore(place: Resident, controller: str, value: str) -> None:
    """Put a limit back, read back. ``ProcessLookupError`` if the process is gone."""
    try:
        with open_checked(place.who):
            group = group_of(place.who.pid, controller)
            if group.path == "/":  # where the kernel shows a process that is ending; never ours
                raise ProcessLookupError("it is ending")
            group.set_limit(value)
            now = group.limit()
    except FileNotFoundError:
        raise ProcessLookupError("its group is gone") from None
    if now != value:
        raise LabError(f"the {controller} limit of {group.path} is {now}, not {value}")


def limit_tweaks(
    what: Cpu | Memory, place: Resident, name: Callable[[], str]
) -> list[Home | GroupLimit]:
    """What has to be done for a limit, in order. ``name`` gives a new group's."""
    controller = "cpu" if isinstance(what, Cpu) else "memory"
    group = place.group(controller)
    found: list[Home | GroupLimit] = []
    own = place.has_own(group)
    if not own:
        found.append(Home(what.node, group.beside(name()), group))
    before = group.limit() if own else _unlimited(group)
    found.append(GroupLimit(what.node, controller, _value(what, group, own=own), before))
    return found


def _value(what: Cpu | Memory, group: Group, *, own: bool) -> str:
    if isinstance(what, Cpu):
        return f"{what.quota_us} {what.period_us}"
    if what.limit is not None:
        return str(page_down(what.limit))
    # What was charged before stays with the old group; a group of ours begins with nothing.
    return str(page_down((group.used() if own else 0) + what.spare))


def _unlimited(group: Group) -> str:
    """What a new group of this hierarchy has."""
    if group.controller == "cpu":
        return "max 100000"
    return "max" if group.version == 2 else str(page_down((1 << 63) - 1))


def page_down(size: int) -> int:
    """The kernel counts memory in pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    return size // page * page


def _amount(value: str) -> float:
    """Processors, or bytes."""
    first, _, period = value.partition(" ")
    if first == "max":
        return float("inf")
    return int(first) / int(period) if period else float(first)


def said_of(controller: str, value: str) -> str:
    """A limit in words."""
    amount = _amount(value)
    if amount == float("inf"):
        return f"all {controller}"
    return f"{amount:g} processors" if controller == "cpu" else f"{amount:.0f} bytes"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
