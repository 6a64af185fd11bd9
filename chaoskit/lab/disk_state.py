"""Whether a process of ours holds up somebody's disk: its name says so, and the kernel shows it.

The guardian, or anybody with the rights, ends it with one signal and reads back that it is so;
neither needs to know how the disk is made.
"""

from __future__ import annotations

import os
import signal

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.lab.process import ProcessIdentity, open_checked

__all__ = ["is_busy", "release", "show_busy"]

_WITHIN_S = 5.0
_COMM = "/proc/{}/comm"


def show_busy(what: str, *, busy: bool) -> None:
    """Name this process so that everybody can see whether it holds something up."""
    state = "busy" if busy else "idle"
    fd = os.open(_COMM.format("self"), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"ck-{what}-{state}"[:15].encode())
    finally:
        os.close(fd)


def is_busy(who: ProcessIdentity) -> bool:
    """Whether it is there, is one of ours, and holds something up now."""
    try:
        with open_checked(who):
            return _says_busy(who)
    except ProcessLookupError:
        return False


def release(who: ProcessIdentity) -> bool:
    """Let it hold up nothing any more, and see that it does not. False: it is gone.

    What it held up went on when it ended. Raises ``LabError`` if it does not obey.
    """
    try:
        with open_checked(who) as fd:
            if not _is_ours(who):
                raise LabError(f"process {who.pid} is not one that holds up a disk")
            signal.pidfd_send_signal(fd, signal.SIGUSR1)
            if not wait_until(lambda: not _says_busy(who), within_s=_WITHIN_S, every_s=0.002):
                raise LabError(f"process {who.pid} still holds up a disk after {_WITHIN_S:g} s")
    except ProcessLookupError:
        return False
    return True


def _name(who: ProcessIdentity) -> str:
    try:
        with open(_COMM.format(who.pid), encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _is_ours(who: ProcessIdentity) -> bool:
    name = _name(who)
    return name.startswith("ck-") and name.endswith(("-busy", "-idle"))


def _says_busy(who: ProcessIdentity) -> bool:
    return _name(who).endswith("-busy")
