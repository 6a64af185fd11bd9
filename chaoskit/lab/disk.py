"""The two processes behind a disk of a node's own, as the harness holds them.

``disk_server.py`` is the device, ``disk_hand.py`` works in the file system on it. Neither the
harness nor the system under test holds anything of it open that could keep the other from ending.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chaoskit.disks import DiskPace
from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.child import PipeChild
from chaoskit.lab.disk_server import FOLDER
from chaoskit.lab.disk_state import is_busy, release
from chaoskit.lab.ops import RUN_MARK
from chaoskit.lab.process import ProcessIdentity, identity_of
from chaoskit.lab.sandbox_session import program, system_path
from chaoskit.stack.label_words import SMALLEST_DISK

__all__ = ["Device", "Hand", "no_devices"]

_SOON_S = 10.0
_MAKE_S = 90.0
_GRACE_S = 0.5
_WRITTEN_S = 2.0


class _Helper:
    """A process of ours that answers every order with one line."""

    def __init__(self, run_id: str, what: str, argv: list[str]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the harness; it decides what ends when
            env={**os.environ, "PATH": system_path(), RUN_MARK: run_id},
        )
        self.identity: ProcessIdentity = identity_of(process.pid)
        self._child = PipeChild(process, what)

    def ask(self, within_s: float = _SOON_S, **order: object) -> dict[str, object]:
        """Its answer. Raises ``LabError`` if it has none, or says that something failed."""
        if order:
            self._child.send(order)
        answer = self._child.receive(within_s)
        if answer is None:
            raise LabError(f"{self._child.name} did not answer within {within_s:g} s")
        if "failed" in answer:
            raise LabError(f"{self._child.name}: {answer['failed']}", output=self._child.errors())
        return answer

    def busy(self) -> bool:
        """Whether it holds something up, as the kernel shows."""
        return is_busy(self.identity)

    def release(self) -> None:
        """Let it hold up nothing any more. Raises ``LabError`` if it does not obey."""
        release(self.identity)

    def close(self) -> None:
        """End it. Never raises; closing twice is silent."""
        self._child.close(_GRACE_S)


class Hand(_Helper):
    """Works in one folder of a node."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(run_id, f"the hand in the disk of {name}", ["chaoskit.lab.disk_hand"])


class Device:
    """A block device of so many bytes with an empty ext4 on it. Raises ``LabError``.

    ``path`` is that of the device, ``number`` its ``major:minor``. It is taken down by the kernel
    when it is closed and nobody has it mounted any more.
    """

    def __init__(self, run_id: str, name: str, size: int) -> None:
        file = f"chaoskit.{run_id}.{name}"
        argv = ["chaoskit.lab.disk_server", file, str(size)]
        self.hand = Hand(run_id, name)
        self.server = _Helper(run_id, f"the disk of {name}", argv)
        self.path = ""
        try:
            self.server.ask()
            where = f"/proc/{self.server.identity.pid}/root{FOLDER}/{file}"
            made = self.hand.ask(_MAKE_S, do="make", file=where)
        except BaseException:
            self.close()
            raise
        self.path, self.number = str(made["device"]), str(made["number"])

    def pace(self, pace: DiskPace) -> None:
        """Answer like that from now on. Raises ``LabError``."""
        order = {"stalled": pace.stalled, "latency_s": pace.latency_s, "rate": pace.rate}
        self.server.ask(do="pace", **order)

    def cut_power(self) -> None:
        """Answer nothing, and let nothing last from now on. Raises ``LabError``."""
        self.hand.ask(do="leave")
        self.server.ask(do="cut")

    def run_out(self) -> None:
        """Answer whatever waits, though it will not last: nobody lives who could tell of it."""
        self.pace(DiskPace())

    def restore_power(self, patience_s: float) -> int:
        """Once nobody has it mounted: be as at the last flush. Bytes that are forgotten."""
        try:
            self._unmounted(patience_s, patience_s + _SOON_S)
        except LabError as error:
            who = ", ".join(_having_mounted(self.number)) or "nobody that can be seen"
            raise LabError(f"{error}; it is mounted by {who}") from error
        return int(str(self.server.ask(do="restore")["forgotten"]))

    def _unmounted(self, patience_s: float, within_s: float) -> None:
        self.hand.ask(do="leave")
        self.hand.ask(within_s, do="forget", device=self.path, patience_s=patience_s)

    def waiting(self) -> int:
        """Requests that the kernel has given to the device and that are not answered."""
        try:
            text = Path(f"/sys/dev/block/{self.number}/inflight").read_text(encoding="ascii")
        except OSError:
            return 0
        return sum(map(int, text.split()))

    def close(self) -> None:
        """End both. Whatever waits for the device fails at once.

        Whoever had it mounted and is gone is given time to write back: else the kernel complains.
        """
        with suppress(ChaoskitError):
            self._unmounted(_WRITTEN_S, _WRITTEN_S + 1.0)
        self.server.close()
        self.hand.close()


def _having_mounted(number: str) -> Iterator[str]:
    """Processes in whose view of the files a device is mounted; one of each view."""
    seen = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - many
        with suppress(OSError):
            view = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - no path
            if view not in seen and f" {number} " in Path(f"/proc/{pid}/mountinfo").read_text():
                seen.add(view)
                yield f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})"


@functools.cache
def no_devices() -> str | None:
    """One sentence why this machine can have no such device, and what helps; None if it can.

    Tried once per process, by making one; takes a few tenths of a second.
    """
    if os.geteuid() != 0:
        return "a disk that can be held up needs a loop device, which only root can make"
    for path, module in (("/dev/fuse", "fuse"), ("/dev/loop-control", "loop")):
        if not Path(path).exists():
            return f"this kernel has no {path}, which a disk is made with; try: modprobe {module}"
    if program("mkfs.ext4") is None:
        return "the program mkfs.ext4 is not installed: apt-get install e2fsprogs"
    try:
        Device("probe", "nobody", SMALLEST_DISK).close()
    except (ChaoskitError, OSError) as error:
        return f"a disk that can be held up cannot be made here: {error}"
    return None
