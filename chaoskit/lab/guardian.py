"""The guardian: a small process that undoes a run whose harness has died or frozen.

It is started before the first act, in a session of its own, and holds a pipe to the harness and a
pidfd of it. Bytes come through the pipe twice a second. When the harness is gone without having
said goodbye, the guardian replays the journal. When bytes stay away for longer than the lease
(the harness is stopped, or the machine slept), it undoes the faults only and goes on watching:
a frozen harness must not hold a system broken, but its lab may still be of use to it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from chaoskit.clock import MonotonicClock, wait_until
from chaoskit.errors import ChaoskitError, HealFailed, LabError, Refused
from chaoskit.lab.journal import FILE_NAME, Journal, lock, read_journal
from chaoskit.lab.private import remove_folder
from chaoskit.lab.process import ProcessIdentity, is_alive, open_checked
from chaoskit.lab.undo import Outcome, undo_all

__all__ = ["LEASE_S", "Guardian", "main", "watch"]

LEASE_S = 3.0
_BEATS_PER_LEASE = 6
_BEAT, _GOODBYE, _READY = b".", b"q", b"ready\n"
_TRIES = 5  # replays of a journal while something in it cannot be undone
_PAUSE_S = 1.0
_START_S = 20.0


class Guardian:
    """The harness's end: beats twice a second until ``goodbye``."""

    def __init__(self, process: subprocess.Popen[bytes], every_s: float) -> None:
        self._process = process
        self._every_s = every_s
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @classmethod
    def start(cls, journal: Journal, lease_s: float = LEASE_S) -> Guardian:
        """Start a guardian for this run and return once it watches. Raises ``LabError``."""
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            # -P: nothing that lies in somebody's working folder is ever imported.
            [sys.executable, "-P", "-m", __name__, str(journal.path), str(lease_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # whoever waits for our output must not wait for it
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        guardian = cls(process, lease_s / _BEATS_PER_LEASE)
        if not guardian._is_ready():
            process.kill()
            guardian._close()
            raise LabError("the guardian did not start, so nothing was begun")
        guardian._beats.start()
        return guardian

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it still watches."""
        return self._process.poll() is None

    def goodbye(self) -> None:
        """The run is over and everything is undone: let the guardian go. Idempotent."""
        self._over.set()
        if self._beats.is_alive():
            self._beats.join()
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with contextlib.suppress(OSError):
                os.write(stdin.fileno(), _GOODBYE)
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.goodbye()

    def _is_ready(self) -> bool:
        stdout = self._process.stdout
        if stdout is None:
            return False
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        return bool(poll.poll(_START_S * 1000)) and stdout.readline() == _READY

    def _beat(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            return
        os.set_blocking(stdin.fileno(), False)  # a stopped guardian must not stop the harness
        while not self._over.wait(self._every_s):
            try:
                os.write(stdin.fileno(), _BEAT)
            except BlockingIOError:
                continue
            except OSError:
                return  # it has died: alive() says so

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def watch(path: Path, lease_s: float, pipe: int) -> int:
    """The guardian's whole life; its exit status: 0 all undone or nothing to do, 5 if not."""
    owner = read_journal(path).owner
    if owner is None:
        raise Refused(f"{path} does not say whose it is")
    with contextlib.ExitStack() as stack:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        try:
            harness = stack.enter_context(open_checked(owner))
            poll.register(harness, select.POLLIN)
        except ProcessLookupError:
            return _replay(path, owner)
        if not _beats_come(path, lease_s, pipe, poll):
            return 0
    return _replay(path, owner)


def _beats_come(path: Path, lease_s: float, pipe: int, poll: select.poll) -> bool:
    """Watch while the harness lives. False: it said goodbye. True: it is gone without."""
    seen = _boottime()
    owed = True  # an undo of the faults, should this lease end without a beat
    while True:
        left = seen + lease_s - _boottime()
        ready = poll.poll((max(left, 0.0) if left > 0 else _PAUSE_S) * 1000 if owed else None)
        data = os.read(pipe, 4096) if any(fd == pipe for fd, _ in ready) else None
        if data is not None and _GOODBYE in data:
            return False
        # Beats that waited in the pipe are no sign of life then: the clock decides.
        if owed and _boottime() - seen > lease_s:
            owed = not _undo_faults(path)
        if data == b"" or (ready and data is None):
            return True  # the pipe is closed, or the process has ended
        if data:
            seen, owed = _boottime(), True


def _undo_faults(path: Path) -> bool:
    """Whether nothing of the faults is left; where it is, the next look tries again."""
    try:
        return not any(outcome.failed for outcome in undo_all(path, by="guardian", scope="fault"))
    except (ChaoskitError, OSError):
        return False


def _replay(path: Path, owner: ProcessIdentity) -> int:
    """Undo everything, several times while something fails; remove the journal when all is well."""
    held = _take_over(path, owner)
    outcomes: list[Outcome] = []
    try:
        for attempt in range(_TRIES):
            if attempt:
                MonotonicClock().sleep(_PAUSE_S)
            outcomes = undo_all(path, by="guardian")
            if not any(outcome.failed for outcome in outcomes):
                remove_folder(path.parent, FILE_NAME)
                return 0
    except FileNotFoundError:
        return 0  # somebody healed the run in the meantime
    finally:
        if held is not None:
            os.close(held)
    return HealFailed.exit_code


def _take_over(path: Path, owner: ProcessIdentity) -> int | None:
    """Wait until the harness has ended, and take its lock.

    A harness that lost its pipe but lives is left alone until it ends. Where a forked child of a
    dead harness holds on to the lock, its owner's death is proof enough.
    """
    while is_alive(owner):
        MonotonicClock().sleep(0.01)
    return wait_until(lambda: _try_lock(path), within_s=1.0)


def _try_lock(path: Path) -> int | None:
    try:
        return lock(path)
    except FileNotFoundError:
        return None


def _boottime() -> float:
    """Seconds, counting the time that the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m chaoskit.lab.guardian``; standard input is the pipe from the harness."""
    parser = argparse.ArgumentParser(prog="chaoskit.lab.guardian")
    parser.add_argument("journal", type=Path)
    parser.add_argument("lease", type=float)
    given = parser.parse_args(argv)
    # What ends the harness (Ctrl-C, a closed terminal, a cancelled job) must not end the undo.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, _READY)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - not a file
        os.dup2(nothing.fileno(), 1)
    try:
        return watch(given.journal, given.lease, 0)
    except ChaoskitError as error:
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
