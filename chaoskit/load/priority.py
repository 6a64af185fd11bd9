"""The instrument goes before what it measures, where the machine allows that.

On a busy machine a request would otherwise be due while its comb waits for a processor, and the
lateness would widen every bracket or make the trial invalid. A comb needs some tens of
microseconds at a time, a few per cent of one processor in all. Without the right to it (an
unprivileged user, a container without ``SYS_NICE``) nothing happens, and the recorded lateness
says what that cost.
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["ahead_of_others", "as_everybody", "favoured"]

_NICE = -10


def favoured() -> None:
    """Of this thread and those it starts from now on: a larger share than ordinary processes."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def ahead_of_others() -> None:
    """This thread runs as soon as it can, at the lowest real-time priority; not its children.

    The kernel still keeps a twentieth of each second for everybody else.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def as_everybody() -> None:
    """Take back ``ahead_of_others``."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
