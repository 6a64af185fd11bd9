"""Which process is meant: a PID alone is never trusted.

A process is a PID, the moment the kernel started it and the boot it was started in. It is opened
as a pidfd first and compared afterwards, so the number cannot be handed to somebody else between
the look and the act. PIDs 0 and 1 and negative ones are refused everywhere: a signal to PID 0
goes to one's own process group.
"""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import Refused

__all__ = [
    "ProcessIdentity",
    "boot_id",
    "identity_of",
    "is_alive",
    "is_doomed",
    "kill_and_wait",
    "open_checked",
    "starttime_of",
]

_FLAGS = 6  # field 9
_PF_SIGNALED = 0x400  # include/linux/sched.h: a signal ended it
_STARTTIME = 19  # field 22 of /proc/<pid>/stat, counted after the state, which is field 3


@dataclass(frozen=True)
class ProcessIdentity:
    """One process and no other. ``starttime`` is in clock ticks since boot."""

    pid: int
    starttime: int
    boot_id: str


def boot_id() -> str:
    """The kernel's name for this boot; it changes with every one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def starttime_of(pid: int) -> int:
    """When the kernel started process ``pid``. Raises ``ProcessLookupError`` if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    # The name of the program stands in brackets and may hold anything, brackets included.
    return int(stat[stat.rindex(b")") + 2 :].split()[_STARTTIME])


def identity_of(pid: int) -> ProcessIdentity:
    """Who runs as ``pid`` now. Raises ``ProcessLookupError``, and ``Refused`` for PID <= 1."""
    _refuse_low(pid)
    return ProcessIdentity(pid, starttime_of(pid), boot_id())


@contextmanager
def open_checked(identity: ProcessIdentity) -> Iterator[int]:
    """A pidfd that is certainly this process, closed on leaving.

    Raises ``ProcessLookupError`` when the process is gone: its PID is free, or belongs to a later
    process, or the machine was booted since.
    """
    _refuse_low(identity.pid)
    if identity.boot_id != boot_id():
        raise ProcessLookupError(f"process {identity.pid} belongs to an earlier boot")
    fd = os.pidfd_open(identity.pid)
    try:
        if starttime_of(identity.pid) != identity.starttime or _ended(fd, 0):
            raise ProcessLookupError(f"process {identity.pid} is gone")
        yield fd
    finally:
        os.close(fd)


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether this process still runs. One that ended and was not waited for is not alive."""
    try:
        with open_checked(identity):
            return True
    except ProcessLookupError:
        return False


def is_doomed(identity: ProcessIdentity) -> bool:
    """Whether it still runs and soon will not: SIGKILL waits for it, or a signal is ending it.

    An OOM kill takes its time: the process is there until its memory is given back.
    """
    try:
        with open_checked(identity):
            stat = Path(f"/proc/{identity.pid}/stat").read_bytes()
            status = Path(f"/proc/{identity.pid}/status").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return _killed(stat, status)


def _killed(stat: bytes, status: str) -> bool:
    flags = int(stat[stat.rindex(b")") + 2 :].split()[_FLAGS])
    waiting = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
    killed = any(int(mask, 16) >> (signal.SIGKILL - 1) & 1 for mask in waiting)
    return killed or bool(flags & _PF_SIGNALED)


def kill_and_wait(identity: ProcessIdentity, within_s: float = 5.0) -> bool:
    """SIGKILL it and wait until it has ended. False: it was gone already.

    Raises ``TimeoutError`` if it does not end in time and ``PermissionError`` if it may not be
    signalled. A stopped process dies as well.
    """
    try:
        with open_checked(identity) as fd:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            if not _ended(fd, within_s):
                raise TimeoutError(f"process {identity.pid} did not end within {within_s:g} s")
    except ProcessLookupError:
        return False
    return True


def _ended(pidfd: int, within_s: float) -> bool:
    """A pidfd becomes readable when its process has ended, whether or not it was waited for."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def _refuse_low(pid: int) -> None:
    if isinstance(pid, bool) or not isinstance(pid, int) or pid <= 1:
        raise Refused(f"PID {pid!r} is never a target: it would be init or our own process group")
