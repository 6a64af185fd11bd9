"""Stopping every process of a PID namespace, or one of them, and letting them go on.

SIGSTOP cannot be handled, not even by the first process of a namespace when it comes from outside;
sockets stay open and the kernel goes on answering for them, as it does for a frozen machine's
programs. Whoever forks meanwhile is found by looking again until nobody runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chaoskit.clock import wait_until
from chaoskit.lab.process import ProcessIdentity, open_checked

__all__ = [
    "all_stopped",
    "continue_one",
    "is_stopped",
    "members",
    "resume_all",
    "stop_all",
    "stop_one",
]

_WITHIN_S = 5.0
_STOPPED = frozenset("Tt")
_ENDED = frozenset("ZX")


def stop_all(first: ProcessIdentity) -> None:
    """Stop the namespace whose first process this is; returns when every thread has stopped.

    Raises ``ProcessLookupError`` if that process is gone and ``TimeoutError`` if somebody in
    there cannot be stopped, such as a process in an uninterruptible sleep.
    """

    def look() -> bool:
        running = [pid for pid in members(first) if not _stands(pid)]
        for pid in running:
            _signal(first, pid, signal.SIGSTOP)
        return not running

    if not wait_until(look, within_s=_WITHIN_S, every_s=0.001):
        raise TimeoutError(f"not every process could be stopped within {_WITHIN_S:g} s")


def resume_all(first: ProcessIdentity) -> bool:
    """Let the namespace go on; returns when nobody is stopped any more. False: it is gone.

    The first process goes last, so that whoever supervises does not see children that stand.
    """

    def look() -> bool:
        standing = [pid for pid in members(first) if _any_stopped(pid)]
        for pid in sorted(standing, key=lambda pid: pid == first.pid):
            _signal(first, pid, signal.SIGCONT)
        return not standing

    try:
        if not wait_until(look, within_s=_WITHIN_S, every_s=0.001):
            raise TimeoutError(f"not every process went on within {_WITHIN_S:g} s")
    except ProcessLookupError:
        return False
    return True


def all_stopped(first: ProcessIdentity) -> bool:
    """Whether the process is there and everybody in its namespace has stopped."""
    try:
        return all(_stands(pid) for pid in members(first))
    except ProcessLookupError:
        return False


def stop_one(who: ProcessIdentity) -> None:
    """Stop this process and no other; returns when every thread of it has stopped.

    Raises ``ProcessLookupError`` if it is gone and ``TimeoutError`` if it does not stop.
    """
    with open_checked(who) as fd:
        signal.pidfd_send_signal(fd, signal.SIGSTOP)
        if not wait_until(lambda: _stands(who.pid), within_s=_WITHIN_S, every_s=0.001):
            raise TimeoutError(f"process {who.pid} did not stop within {_WITHIN_S:g} s")


def continue_one(who: ProcessIdentity) -> bool:
    """Let this process go on; returns when none of its threads is stopped. False: it is gone."""
    try:
        with open_checked(who) as fd:

            def goes_on() -> bool:
                signal.pidfd_send_signal(fd, signal.SIGCONT)
                return not _any_stopped(who.pid)

            if not wait_until(goes_on, within_s=_WITHIN_S, every_s=0.001):
                raise TimeoutError(f"process {who.pid} did not go on within {_WITHIN_S:g} s")
    except ProcessLookupError:
        return False
    return True


def is_stopped(who: ProcessIdentity) -> bool:
    """Whether the process is there and every thread of it has stopped."""
    try:
        with open_checked(who):
            return _stands(who.pid)
    except ProcessLookupError:
        return False


def members(first: ProcessIdentity) -> list[int]:
    """PIDs of the namespace, as this process sees them; raises ``ProcessLookupError``."""
    with open_checked(first):
        space = _space_of(first.pid)
        if space is None:
            raise ProcessLookupError(f"process {first.pid} is gone")
        return [pid for pid in _pids() if pid == first.pid or _space_of(pid) == space]


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - many


def _space_of(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - no path, and there are many
    except OSError:
        return None  # gone, or not ours to look at and so not one of ours


def _signal(first: ProcessIdentity, pid: int, number: int) -> None:
    """By pidfd, and only if what was opened is still one of the namespace."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            if _space_of(pid) == _space_of(first.pid) is not None:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def _states(pid: int) -> list[str]:
    """The state letter of each thread; empty if the process is gone."""
    found = []
    try:
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            text = stat.read_text(encoding="ascii", errors="replace")
            found.append(text[text.rindex(")") + 2])
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found


def _stands(pid: int) -> bool:
    return all(state in _STOPPED | _ENDED for state in _states(pid))


def _any_stopped(pid: int) -> bool:
    return any(state in _STOPPED for state in _states(pid))
