"""Waking at an absolute time, to some tens of microseconds.

gevent's own timers are rounded to the milliseconds of ``epoll_wait``; a kernel timer that is
watched like a file is not, and it cannot drift because every setting names an absolute time.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable

import gevent

__all__ = ["Alarm"]

_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class Alarm:
    """One kernel timer on ``CLOCK_MONOTONIC``."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(
            time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC
        )
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "the kernel gave no timer")
        self._watcher = gevent.get_hub().loop.io(self._fd, 1)
        self._setting = _Setting()
        self._address = ctypes.byref(self._setting)

    def set(self, when_ns: int) -> None:
        """Go off at ``when_ns``, or at once if that is past."""
        first = self._setting.first
        first.seconds, first.nanoseconds = divmod(max(when_ns, 1), 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._address, None) < 0:
            raise OSError(ctypes.get_errno(), "the kernel's timer could not be set")

    def call(self, callback: Callable[[], None]) -> None:
        """Let the event loop call ``callback`` whenever it goes off; it must ``set`` it anew."""
        # That also takes back the event, so the timer need not be read.
        self._watcher.start(callback)

    def close(self) -> None:
        """Give the timer back; closing twice is silent."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1
