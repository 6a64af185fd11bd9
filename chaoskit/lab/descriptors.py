"""How many descriptors a process may have: the kernel's soft limit, lowered from outside.

A new descriptor gets the lowest number that is free, and none at or above the limit: with the limit
at the lowest free number nothing more can be opened, and everything that is open stays so. What is
closed is free again, so the limit follows downwards: as if whoever leaks them took that as well.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.freeze import members
from chaoskit.lab.limits import Resident
from chaoskit.lab.ops import Op
from chaoskit.lab.ops_limits import RestoreFileLimit
from chaoskit.lab.process import ProcessIdentity, identity_of, open_checked

__all__ = ["FileLimit", "file_limit_tweaks", "free_number", "give_back"]

_NOFILE = resource.RLIMIT_NOFILE


@dataclass(frozen=True)
class FileLimit:
    """One process that can open ``left`` more and no others: a ``Tweak``.

    ``soft`` is what it had, ``ours`` the most that it has from now on. ``family``: it is the node's
    first one, and answers for whoever is started meanwhile.
    """

    node: Node
    who: ProcessIdentity
    soft: int
    ours: int
    left: int
    family: bool

    def refuse(self, place: Resident) -> None:
        """A fault only ever takes away, and of the process that it has looked at."""
        if self.family and place.who != self.who:
            raise LabError(f"{self.node.name} was started again")
        if 0 <= self.soft <= self.ours:
            raise LabError(
                f"process {self.who.pid} of {self.node.name} may have {self.soft} descriptors as "
                f"it is: {self.left} more are no limit"
            )

    def put(self, place: Resident) -> None:  # noqa: ARG002 - a process is its own place
        """Lower it."""
        if not _set(self.who, self.ours) and self.family:
            raise LabError(f"process {self.who.pid} of {self.node.name} is gone")

    def stands(self, place: Resident) -> bool:  # noqa: ARG002 - likewise
        """Whether the kernel says so; of one that has ended there is nothing to say."""
        now = _soft(self.who)
        return not self.family if now is None else 0 <= now <= self.ours

    def take(self, place: Resident) -> None:  # noqa: ARG002 - likewise
        """Give it back."""
        give_back(self.who, self.soft, self.ours, family=self.family)

    def undo(self, who: ProcessIdentity) -> Op:  # noqa: ARG002 - likewise
        """For the journal."""
        one = self.who
        return RestoreFileLimit(
            one.pid, one.starttime, one.boot_id, self.soft, self.ours, self.family
        )

    def tighten(self) -> None:
        """Lower it to what is open now; of the first one, too, what came since."""
        for who in self._meant():
            with suppress(FileNotFoundError):
                now = _soft(who)
                wanted = free_number(who.pid, self.left)
                if now is not None and not 0 <= now <= wanted:
                    _set(who, wanted)

    def met(self) -> bool:
        """Whether somebody has used up what was left: the next one is refused."""
        for who in self._meant():
            with suppress(FileNotFoundError):
                if _soft(who) == free_number(who.pid, 0):
                    return True
        return False

    def _meant(self) -> list[ProcessIdentity]:
        if not self.family:
            return [self.who]
        # Those that were there have their own; they may be looked at twice, and no harm is done.
        found = []
        with suppress(ProcessLookupError):  # all of it is gone
            for pid in members(self.who):
                with suppress(ProcessLookupError):
                    found.append(identity_of(pid))
        return found


def file_limit_tweaks(node: Node, place: Resident, left: int) -> list[FileLimit]:
    """One for each process of the node, the first one first: it is given back last."""
    found = []
    for pid in sorted(place.members(), key=lambda pid: pid != place.who.pid):
        with suppress(ProcessLookupError, FileNotFoundError):
            who = identity_of(pid)
            soft = _soft(who)
            if soft is not None:
                ours = free_number(pid, left)
                found.append(FileLimit(node, who, soft, ours, left, pid == place.who.pid))
    return found


def free_number(pid: int, left: int) -> int:
    """The lowest number that is free once ``left`` more were opened.

    Raises ``FileNotFoundError`` if the process is gone, ``LabError`` if it may not be looked at.
    """
    try:
        taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208 - often
    except PermissionError:
        raise LabError(f"the descriptors of process {pid} cannot be seen by this user") from None
    number = 0
    while True:
        if number not in taken:
            if left == 0:
                return number
            left -= 1
        number += 1


def give_back(who: ProcessIdentity, soft: int, ours: int, *, family: bool) -> bool:
    """Let it have ``soft`` again; False if it is gone, and with it what is meant.

    One that has set a higher limit itself keeps that. Raises ``LabError`` where it stays low.
    """
    try:
        others = [identity_of(pid) for pid in members(who) if pid != who.pid] if family else []
    except ProcessLookupError:
        others = []
    for one in [*others, who]:
        now = _soft(one)
        if now is not None and 0 <= now <= ours:
            _set(one, soft)
            after = _soft(one)
            if after is not None and after != soft:
                raise LabError(f"process {one.pid} may have {after} descriptors, not {soft}")
    return _soft(who) is not None


def _soft(who: ProcessIdentity) -> int | None:
    """The kernel's soft limit, -1 for none; None if the process is gone."""
    try:
        with open_checked(who):
            return resource.prlimit(who.pid, _NOFILE)[0]
    except (ProcessLookupError, PermissionError):
        return None


def _set(who: ProcessIdentity, soft: int) -> bool:
    """False: it is gone. The hard limit stays as it is. Raises ``LabError``."""
    try:
        with open_checked(who):
            hard = resource.prlimit(who.pid, _NOFILE)[1]
            resource.prlimit(who.pid, _NOFILE, (soft, hard))
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError) as error:
        raise LabError(f"the limit of process {who.pid} cannot be set: {error}") from error
    return True
