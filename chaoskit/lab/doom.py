"""A node is ended although some of its processes hang in the kernel, where no signal reaches them.

What is *doomed* never runs a line of its program again: SIGKILL waits for it, and is what it meets
on its way out of the kernel, whatever it waited for there.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.lab.freeze import members
from chaoskit.lab.process import ProcessIdentity, identity_of, is_alive, is_doomed, open_checked

__all__ = ["doom_with"]

_WITHIN_S = 10.0


def doom_with(first: ProcessIdentity, then: Callable[[], None]) -> None:
    """As soon as a node's first process is doomed, see that all of it are; then call ``then``.

    ``then`` is called in any case. Raises ``LabError`` if that takes too long.
    """
    try:
        if not wait_until(lambda: _lost(first), within_s=_WITHIN_S, every_s=0.0005):
            raise LabError(f"process {first.pid} is not being ended")
        if not wait_until(lambda: _all_lost(first), within_s=_WITHIN_S, every_s=0.0005):
            raise LabError(f"not every process beside {first.pid} can be ended")
    finally:
        then()


def _all_lost(first: ProcessIdentity) -> bool:
    alive = [who for who in _beside(first) if not _lost(who)]
    for who in alive:
        with suppress(ProcessLookupError), open_checked(who) as fd:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    return not alive


def _beside(first: ProcessIdentity) -> Iterable[ProcessIdentity]:
    """All of its PID namespace; nobody, once it has ended: the kernel ends them before it."""
    with suppress(ProcessLookupError):
        for pid in members(first):
            with suppress(ProcessLookupError, OSError):
                yield identity_of(pid)


def _lost(who: ProcessIdentity) -> bool:
    return is_doomed(who) or not is_alive(who)
