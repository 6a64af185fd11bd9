"""Memory pressure: a process of ours holds whatever a node's limit leaves.

Two processes: one outside of the group that looks after it, and one inside that holds the memory
and asks the kernel to be taken first when more is needed than there is. When that happens it is
started anew. Both end when their standard input does, or after an hour. Run as a program:
``filler.py USED-FILE LIMIT-BYTES PROCS-FILE``.
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


class Filler:
    """One group that is kept full. Raises ``LabError`` if it does not become so."""

    def __init__(self, group: Group, run_id: str, journal: Journal) -> None:
        from chaoskit.errors import LabError
        from chaoskit.lab.child import PipeChild
        from chaoskit.lab.ops import RUN_MARK, KillProcess
        from chaoskit.lab.process import identity_of

        used = "memory.current" if group.version == 2 else "memory.usage_in_bytes"
        words = (str(group.folder / used), group.limit(), str(group.folder / "cgroup.procs"))
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), RUN_MARK: run_id},
            start_new_session=True,
        )
        self._child = PipeChild(process, f"what fills {group.path}")
        self._journal = journal
        self._entry: int | None = None
        try:
            who = identity_of(process.pid)
            op = KillProcess(who.pid, who.starttime, who.boot_id, "fills the memory of a node")
            self._entry = journal.intend(op, scope="fault")
            self._child.send({"do": "fill"})
            full = self._child.receive(_FULL_S) is not None
            journal.done(self._entry)
        except BaseException:
            self.close()
            raise
        if not full:
            self.close()
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


def _look_after(used: str, limit: int, procs: str) -> None:
    """Have a holder, and another whenever the kernel has taken it; until nobody wants it."""
    if not _wanted(None):
        return
    os.read(0, 4096)  # what makes it begin
    until = time.monotonic() + _LASTS_S
    while time.monotonic() < until:
        holder = os.fork()
        if holder == 0:
            _hold(used, limit, procs)
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
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        Path(procs).write_text(str(os.getpid()), encoding="ascii")
        lots, said = [], False
        while _wanted(_LOOK_MS if said else 0):
            while (room := limit - int(Path(used).read_text(encoding="ascii"))) > _MARGIN:
                lot = mmap.mmap(-1, min(_LOT, max(mmap.PAGESIZE, room // 2)))
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
    _look_after(sys.argv[1], int(sys.argv[2]), sys.argv[3])
