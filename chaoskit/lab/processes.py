"""Single processes of a node: who is there, and what is done to one of them.

For every lab in which this machine sees the first process of a node. Whoever is meant is a PID
with its start time, opened as a pidfd, so a number that was handed on is never hit.
"""

from __future__ import annotations

import os
import signal as signals
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chaoskit.capabilities import Process
from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.freeze import continue_one, is_stopped, members, stop_one
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import ContinueProcess
from chaoskit.lab.process import (
    ProcessIdentity,
    boot_id,
    is_alive,
    kill_and_wait,
    open_checked,
    starttime_of,
)

__all__ = ["NodeProcesses"]


class NodeProcesses:
    """``Processes`` for a lab that has a journal and knows each node's first process."""

    _journal: Journal

    def __init__(self) -> None:
        self._hung: dict[ProcessIdentity, list[int]] = {}

    @abstractmethod
    def first_process(self, node: Node) -> ProcessIdentity:
        """The first process of a node that runs. Raises ``LabError`` where it cannot be seen."""

    def processes(self, node: Node) -> tuple[Process, ...]:
        """See ``capabilities.Processes``; the node's first process comes first."""
        first = self.first_process(node)
        try:
            found = tuple(_described(members(first), first.pid))
        except ProcessLookupError:
            raise LabError(f"{node.name} has just ended: there is no process in it") from None
        return tuple(sorted(found, key=lambda process: (not process.first, process.pid)))

    def signal_process(self, node: Node, process: Process, signal: int) -> bool:
        """See ``capabilities.Processes``."""
        who = _identity(process)
        try:
            if signal == signals.SIGKILL:
                return kill_and_wait(who)
            with open_checked(who) as fd:
                signals.pidfd_send_signal(fd, signal)
        except ProcessLookupError:
            return False
        except (TimeoutError, PermissionError) as error:
            raise LabError(f"{process.name} of {node.name}: {error}") from error
        return True

    def runs(self, process: Process) -> bool:
        """See ``capabilities.Processes``."""
        return is_alive(_identity(process))

    def hang(self, node: Node, process: Process) -> bool:
        """See ``capabilities.Processes``: SIGSTOP, which nobody can handle."""
        who = _identity(process)
        op = ContinueProcess(who.pid, who.starttime, who.boot_id)
        entry = self._journal.intend(op, scope="fault")
        self._hung.setdefault(who, []).append(entry)
        try:
            stop_one(who)
        except ProcessLookupError:
            self.unhang(node, process)
            return False
        except (TimeoutError, PermissionError) as error:
            raise LabError(f"{process.name} of {node.name} could not be hung: {error}") from error
        self._journal.done(entry)
        return True

    def hangs(self, process: Process) -> bool:
        """See ``capabilities.Processes``."""
        return is_stopped(_identity(process))

    def unhang(self, node: Node, process: Process) -> None:
        """See ``capabilities.Processes``."""
        who = _identity(process)
        try:
            continue_one(who)
        except (TimeoutError, PermissionError) as error:
            raise HealFailed(
                f"{process.name} of {node.name} does not go on: {error}; "
                f"by hand: kill -CONT {who.pid}"
            ) from error
        for entry in self._hung.pop(who, []):
            self._journal.undone(entry)

    def _forget_hung(self) -> None:
        """The lab is gone, and with it every process of it: nothing is left to undo."""
        for entry in [entry for entries in self._hung.values() for entry in entries]:
            self._journal.undone(entry)
        self._hung.clear()


def _identity(process: Process) -> ProcessIdentity:
    return ProcessIdentity(process.pid, process.starttime, boot_id())


def _described(pids: list[int], first: int) -> Iterator[Process]:
    """What the kernel says about each; who ends meanwhile is left out."""
    there = frozenset(pids)
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            since = starttime_of(pid)
            here = Path(f"/proc/{pid}")
            name = (here / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
            raw = (here / "cmdline").read_bytes()
            words = [os.fsdecode(word) for word in raw.rstrip(b"\0").split(b"\0")]
            if _fields(pid)[0] not in (b"Z", b"X"):
                guest = _is_guest(pid, first, there)
                yield Process(pid, since, name, " ".join(words), pid == first, guest)


def _is_guest(pid: int, first: int, there: frozenset[int]) -> bool:
    """Whether its line of parents leads out of the node's processes, past the first of them.

    Orphans of the node's own become children of its first process, so theirs does not. A parent
    that ended since the others were listed is no evidence.
    """
    seen = {first}
    while pid not in seen:
        seen.add(pid)
        parent = int(_fields(pid)[1])
        if parent not in there:
            return Path(f"/proc/{parent}").exists()
        pid = parent
    return False


def _fields(pid: int) -> list[bytes]:
    """``/proc/<pid>/stat`` after the name: state, parent, and so on."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
