"""Waking a greenlet at an absolute time, to some tens of microseconds.

gevent's own timers are rounded to the milliseconds of ``epoll_wait``; a kernel timer that is
read like a file is not, and it cannot drift because every wait names an absolute time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time

import gevent

__all__ = ["Alarm"]

_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class Alarm:
    """One kernel timer on ``CLOCK_MONOTONIC``; for one greenlet at a time."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(
            time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC
        )
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "the kernel gave no timer")
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._fd, 1)
        self._setting = _Setting()

    def wait_until(self, when_ns: int) -> None:
        """Return at ``when_ns`` or as soon after as the loop allows; at once if it is past."""
        first = self._setting.first
        first.seconds, first.nanoseconds = divmod(max(when_ns, 1), 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._setting), None) < 0:
            raise OSError(ctypes.get_errno(), "the kernel's timer could not be set")
        self._hub.wait(self._watcher)
        with contextlib.suppress(BlockingIOError):  # not for a timer that was just readable
            os.read(self._fd, 8)

    def close(self) -> None:
        """Give the timer back; closing twice is silent."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1
