"""Room for as many sockets as a stall can hold, made before anything is measured.

A stalled request keeps its socket, so descriptors pile up just when it matters. The kernel doubles
a process's table of them when it is full, and where threads share the table it first waits until
all processors have passed a quiet point: 5 to 22 ms in which nothing was sent, in every trial at
the same moment of the stall. The table never shrinks, so it is grown once, ahead of time.
"""

from __future__ import annotations

import fcntl
import os
import resource

__all__ = ["make_room"]

_BESIDES = 256
"""For what is open anyway, and for connections that wait to be used again."""

_NO_LIMIT = 65536


def make_room(most: int) -> None:
    """Raise the soft limit to the hard one and grow the table for ``most`` sockets more.

    As far as the hard limit lets it; where that is too low, a slot that gets no socket is recorded
    with the kernel's error.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else _NO_LIMIT
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    any_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(fcntl.fcntl(any_fd, fcntl.F_DUPFD_CLOEXEC, min(most + _BESIDES, limit - 1)))
    except OSError:  # every number up there is taken, so the table is as large as it can be
        return
    finally:
        os.close(any_fd)
