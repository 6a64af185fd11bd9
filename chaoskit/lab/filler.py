"""Memory pressure: a process of ours holds whatever a node's limit leaves.

Two processes: one outside of the group that looks after it, and one inside that holds the memory
and asks the kernel to be taken first when more is needed than there is. When that happens it is
started anew. Both end when their standard input does, or after an hour.

It is started before the limit and ended after it: while one that holds everything is ending, and is
none of the kernel's victims any more, the kernel would take one of the node's.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaoskit.lab.cgroups import Group
    from chaoskit.lab.journal import Journal

__all__ = ["Filler"]

_FULL_S = 20.0
_LASTS_S = 3600.0
_MARGIN = 128 * 1024  # the kernel charges in lots of up to 64 pages: closer cannot be told
_LOT = 256 * 1024
_LOOK_MS = 10
# Shared memory would stay until the process is gone altogether, and the kernel would go on to end
# one of the node's.
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Filler:
    """One group that is kept full, once ``fill`` was called."""

    def __init__(self, run_id: str, journal: Journal) -> None:
        from chaoskit.lab.child import PipeChild
        from chaoskit.lab.ops import RUN_MARK, KillProcess
        from chaoskit.lab.process import identity_of

        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), RUN_MARK: run_id},
            start_new_session=True,
        )
        self._child = PipeChild(process, "what fills a node's memory")
        self._journal = journal
        self._entry: int | None = None
        try:
            who = identity_of(process.pid)
            op = KillProcess(who.pid, who.starttime, who.boot_id, "fills the memory of a node")
            self._entry = journal.intend(op, scope="fault")
            journal.done(self._entry)
        except BaseException:
            self.close()
            raise

    def fill(self, group: Group) -> None:
        """Begin; returns when the group is full. Raises ``LabError`` if it does not become so."""
        from chaoskit.errors import LabError

        used = "memory.current" if group.version == 2 else "memory.usage_in_bytes"
        order = {
            "used": str(group.folder / used),
            "limit": int(group.limit()),
            "procs": str(group.folder / "cgroup.procs"),
        }
        self._child.send(order)
        if self._child.receive(_FULL_S) is None:
            raise LabError(f"the memory of {group.path} was not full within {_FULL_S:g} s")

    def alive(self) -> bool:
        """Whether it goes on."""
        return self._child.alive()

    def close(self) -> None:
        """End it and give back what it holds. Idempotent."""
        self._child.close()
        if self._entry is not None:
            self._journal.undone(self._entry)
            self._entry = None


# ---------------------------------------------------------------- the program itself


def _look_after() -> None:
    """Have a holder, and another whenever the kernel has taken it; until nobody wants it."""
    if not _wanted(None):
        return
    order = json.loads(os.read(0, 4096))  # one line, written at once
    until = time.monotonic() + _LASTS_S
    while time.monotonic() < until:
        holder = os.fork()
        if holder == 0:
            _hold(order["used"], order["limit"], order["procs"])
        taken = False
        while not taken and time.monotonic() < until:
            if not _wanted(_LOOK_MS):
                os.kill(holder, signal.SIGKILL)
                os.waitpid(holder, 0)
                return
            taken = os.waitpid(holder, os.WNOHANG)[0] == holder
        if not taken:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)


def _hold(used: str, limit: int, procs: str) -> None:
    """In the group: take until it is full, and again when something becomes free."""
    keeper = os.getppid()
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        Path(procs).write_text(str(os.getpid()), encoding="ascii")
        lots, said = [], False
        while _wanted(_LOOK_MS if said else 0) and os.getppid() == keeper:
            while (room := limit - int(Path(used).read_text(encoding="ascii"))) > _MARGIN:
                lot = mmap.mmap(-1, min(_LOT, max(mmap.PAGESIZE, room // 2)), flags=_PRIVATE)
                for at in range(0, len(lot), mmap.PAGESIZE):
                    lot[at] = 1
                lots.append(lot)
            if not said:
                said = True
                os.write(1, json.dumps({"event": "full", "lots": len(lots)}).encode() + b"\n")
    finally:
        os._exit(0)


def _wanted(within_ms: int | None) -> bool:
    """False once standard input is closed at the other end."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    with suppress(InterruptedError):
        for _, event in poll.poll(within_ms):
            return bool(event & select.POLLIN) or not event & select.POLLHUP
    return True


if __name__ == "__main__":
    _look_after()
