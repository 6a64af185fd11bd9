"""The harness's end of a sandbox lab: one init, one socket, requests and exits.

Only this process holds the socket. When it is closed, or when this process dies in whatever way,
the lab's init reads end of input and ends, and the kernel ends everything else of the lab.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from chaoskit.clock import wait_until
from chaoskit.errors import HealFailed, LabError, Refused
from chaoskit.lab.ops import RUN_MARK
from chaoskit.lab.process import ProcessIdentity, boot_id, kill_and_wait
from chaoskit.lab.sandbox_server import PACKET

__all__ = ["Inside", "InsideChild", "Session", "identity_from", "program", "system_path"]

_INIT = Path(__file__).with_name("sandbox_init.py")
_SPACES = ("--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
_USER = ("--user", "--map-root-user")
_ANSWER_S = 30.0
_GONE_S = 5.0


def system_path() -> str:
    """PATH with the folders that an ordinary user's lacks on Debian; ``nft`` is in one."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Where a program is, or None."""
    return shutil.which(name, path=system_path())


class Inside:
    """A process of the lab, held by the pidfd that init opened while it was certainly there."""

    def __init__(
        self, session: Session, do: str, order: Mapping[str, object], fds: Sequence[int] = ()
    ) -> None:
        """Have init start it. Raises ``LabError`` with the reason if it cannot."""
        answer, (self.pidfd,) = session.ask(do, order, fds)
        self._close = weakref.finalize(self, os.close, self.pidfd)
        self._session, self._pid = session, _number(answer, "pid")
        self.identity = identity_from(answer)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return None if self._runs(0) else self._status()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises ``TimeoutError`` if it runs on."""
        if self._runs(_GONE_S if timeout is None else timeout):
            raise TimeoutError(f"process {self.identity.pid} runs on")
        return self._status()

    def signal(self, number: int) -> None:
        """Send it a signal; silent if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def release(self) -> None:
        """Let go of it, dead or alive."""
        self._close()

    @property
    def pid(self) -> int:
        """Its PID as the lab's init knows it."""
        return self._pid

    def _runs(self, seconds: float) -> bool:
        if not self._close.alive:
            return False
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(seconds * 1000)

    def _status(self) -> int:
        """Init reports it a moment after the kernel does; a lab that is gone reports nothing."""
        status = wait_until(lambda: self._session.exit_of(self._pid), within_s=1.0, every_s=0.001)
        return -signal.SIGKILL if status is None else status[0]


class InsideChild(Inside):
    """A process of the lab with pipes to us: fits ``PipeChild``."""

    def __init__(self, session: Session, do: str, order: Mapping[str, object]) -> None:
        """Have init start it with three pipes."""
        (child_in, stdin), (stdout, child_out), (stderr, child_err) = (os.pipe() for _ in range(3))
        try:
            super().__init__(session, do, order, (child_in, child_out, child_err))
        except BaseException:
            for fd in (stdin, stdout, stderr):
                os.close(fd)
            raise
        finally:
            for fd in (child_in, child_out, child_err):
                os.close(fd)
        self.stdin: IO[bytes] = open(stdin, "wb", buffering=0)  # noqa: PTH123, SIM115 - kept
        self.stdout: IO[bytes] = open(stdout, "rb")  # noqa: PTH123, SIM115 - kept open
        self.stderr: IO[bytes] = open(stderr, "rb")  # noqa: PTH123, SIM115 - kept open


class Session:
    """A lab's init, from start to end. Methods may be called from any thread."""

    def __init__(self, run_id: str, *, user_namespace: bool) -> None:
        unshare = program("unshare")
        if unshare is None:
            raise Refused("the program unshare (package util-linux) is not installed")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = os.memfd_create("sandbox-errors")
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        spaces = (*_USER, *_SPACES) if user_namespace else _SPACES
        argv = [unshare, *spaces, sys.executable, "-I", "-S", str(_INIT), run_id, str(proc)]
        environment = {"PATH": system_path(), RUN_MARK: run_id, "LANG": "C.UTF-8"}
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(proc,),
                env=environment,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for the harness alone
            )
        except BaseException:
            ours.close()
            os.close(self._errors)
            raise
        finally:
            os.close(proc)
            theirs.close()
        self._socket = ours
        self._lock = threading.RLock()
        self._exits: dict[int, int] = {}
        self._came: list[int] = []
        self._asked = 0
        self._open = True
        self.init: ProcessIdentity | None = None

    def hello(self) -> ProcessIdentity:
        """The identity of the lab's init, once it serves. Raises ``LabError`` with its words."""
        self.init = identity_from(self.request("hello"))
        return self.init

    def request(self, do: str, order: Mapping[str, object] | None = None) -> dict[str, object]:
        """Have init do something. Raises ``LabError`` with its complaint, or if it is gone."""
        return self.ask(do, order or {}, ())[0]

    def ask(
        self, do: str, order: Mapping[str, object], fds: Sequence[int]
    ) -> tuple[dict[str, object], list[int]]:
        """``request`` with descriptors there and back; those that come back are the caller's."""
        with self._lock:
            if not self._open:
                raise LabError("the lab is not up")
            self._asked += 1
            data = json.dumps({"do": do, "n": self._asked, **order}).encode()
            if len(data) > PACKET:
                raise LabError(f"the order '{do}' is larger than {PACKET} bytes")
            try:
                socket.send_fds(self._socket, [data], list(fds))
            except OSError as error:
                raise self._gone() from error
            while True:
                message = self._read(_ANSWER_S)
                if message is None:
                    raise LabError(f"the lab's init did not answer '{do}' within {_ANSWER_S:g} s")
                came, self._came = self._came, []
                if message.get("n") == self._asked:
                    break
                # The answer to a question whose asker was interrupted before it could listen.
                for fd in came:
                    os.close(fd)
            result = message["answer"]
        assert isinstance(result, dict)  # noqa: S101 - our own program at the other end
        if "error" in result:
            raise LabError(str(result["error"]))
        return result, came

    def exit_of(self, pid: int) -> tuple[int] | None:
        """The exit status of a process of the lab, in a tuple; None if none was reported yet.

        Once init is gone nobody will report any: the kernel has killed whatever was left.
        """
        with self._lock:
            while pid not in self._exits and self._open:
                try:
                    if self._read(0) is None:
                        return None
                except LabError:
                    break
            return (self._exits.get(pid, -signal.SIGKILL),)

    def close(self) -> None:
        """End the lab; returns when init is gone. Idempotent. Raises ``HealFailed``."""
        with self._lock:
            if self._open:
                self._open = False
                self._socket.close()
        try:
            try:
                self._process.wait(_GONE_S)
            except subprocess.TimeoutExpired:
                self._kill()
            # The outer program ends after init; init after everything else of the lab.
            if self.init is not None:
                kill_and_wait(self.init, _GONE_S)
        except (TimeoutError, PermissionError, subprocess.TimeoutExpired) as error:
            raise HealFailed(
                f"the sandbox's first process did not end ({error}); "
                f"undo it by hand: kill -9 {self.init.pid if self.init else self._process.pid}"
            ) from error
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1

    def _kill(self) -> None:
        if self.init is not None:
            kill_and_wait(self.init, _GONE_S)
        self._process.kill()  # and with it, by --kill-child, an init that we never knew
        self._process.wait(_GONE_S)

    def _read(self, seconds: float) -> dict[str, object] | None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, PACKET, 1)
            for fd in fds:
                os.set_inheritable(fd, False)
            self._came += fds
        except ConnectionError:
            data = b""
        if not data:
            raise self._gone()
        message: dict[str, object] = json.loads(data)
        if "exit" in message:
            self._exits[_number(message, "exit")] = _number(message, "status")
        return message

    def _gone(self) -> LabError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        said = ""
        if self._errors >= 0:
            said = os.pread(self._errors, 65536, 0).decode(errors="replace").strip()
        return LabError("the sandbox's first process has ended", output=said)


def identity_from(answer: Mapping[str, object]) -> ProcessIdentity:
    """Who a process is on this host, as the process itself has told init."""
    return ProcessIdentity(_number(answer, "host_pid"), _number(answer, "starttime"), boot_id())


def _number(message: Mapping[str, object], key: str) -> int:
    value = message[key]
    assert isinstance(value, int)  # noqa: S101 - our own program at the other end
    return value
