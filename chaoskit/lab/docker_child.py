"""A process of ours in a container: ``docker exec`` with its three streams on one socket.

The engine closes the process's standard input when our end of the socket goes away, which the
kernel sees to when the harness dies, however it dies; the process ends itself then. Its container
lives no longer either: see the idle process in ``image/Dockerfile``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import socket
import struct
import threading
from collections.abc import Sequence
from typing import IO, cast

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.lab.docker_engine import Engine, EngineAwayError, is_not_found, translating

__all__ = ["ExecProcess", "hold_open", "upgrade"]

_FRAME = struct.Struct(">BxxxL")
_STDERR = 2
CHILD_MARK = "CHAOSKIT_CHILD"
"""Environment mark of one process: the engine offers no way to kill what it executes."""

_KILLER = """
import os, signal, sys
mark = sys.argv[1].encode()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            hit = mark in file.read().split(bytes(1))
        if hit and int(pid) not in (1, os.getpid()):
            os.kill(int(pid), signal.SIGKILL)
    except OSError:
        pass
"""


def upgrade(engine: Engine, path: str, body: dict[str, object], doing: str) -> socket.socket:
    """POST to the engine and keep the connection as a raw stream, as attach and exec do.

    ``path`` is without the version. Raises ``LabError`` with the engine's reason.
    """
    version = engine.client().api.api_version  # what was negotiated with this engine
    payload = json.dumps(body).encode()
    head = (
        f"POST /v{version}{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(engine.timeout_s)
        link.connect(engine.endpoint.path)
        link.sendall(head.encode() + payload)
        _expect_stream(link, doing)
    except OSError as error:
        link.close()
        raise EngineAwayError(f"the Docker engine went away ({doing}): {error}") from error
    except BaseException:
        link.close()
        raise
    link.settimeout(None)
    return link


def _expect_stream(link: socket.socket, doing: str) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # byte by byte: what follows is the stream
        byte = link.recv(1)
        if not byte:
            break
        answer += byte
    if answer.split(b" ", 2)[1:2] not in ([b"101"], [b"200"]):
        said = link.recv(4096).decode(errors="replace").strip() if answer else "no answer"
        raise LabError(f"the Docker engine refused {doing}: {said}")


def hold_open(engine: Engine, container: str) -> socket.socket:
    """Hold a container's standard input open; it sees the end of it when we are gone."""
    path = f"/containers/{container}/attach?stream=1&stdin=1"
    return upgrade(engine, path, {}, "attaching to the lab's client")


class _Input(io.RawIOBase):
    """The sending half of the socket; closing it is the end of file on the other side."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._link.send(cast("memoryview", data))

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                self._link.shutdown(socket.SHUT_WR)
        super().close()


class ExecProcess:
    """``chaoskit.lab.child.PipedProcess`` over the engine; fits ``PipeChild``.

    ``container`` is a full id. Raises ``LabError`` if the process cannot be started.
    """

    def __init__(
        self,
        engine: Engine,
        container: str,
        argv: Sequence[str],
        *,
        environment: dict[str, str] | None = None,
        user: str = "",
    ) -> None:
        self._engine, self._container, self._user = engine, container, user
        self._mark = f"{CHILD_MARK}={secrets.token_hex(8)}"
        given = [f"{key}={value}" for key, value in (environment or {}).items()]
        with translating(f"running {argv[0]} in the lab"):
            created = engine.client().api.exec_create(
                container,
                list(argv),
                stdin=True,
                environment=[*given, self._mark],
                user=user,
            )
        self._id: str = created["Id"]
        start: dict[str, object] = {"Detach": False, "Tty": False}
        self._link = upgrade(engine, f"/exec/{self._id}/start", start, f"running {argv[0]}")
        self._status: int | None = None
        self._ended = threading.Event()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self.stdin: IO[bytes] | None = cast("IO[bytes]", _Input(self._link))
        self.stdout: IO[bytes] | None = os.fdopen(out_read, "rb")
        self.stderr: IO[bytes] | None = os.fdopen(err_read, "rb")
        self._sorter = threading.Thread(
            target=self._sort, args=(out_write, err_write), name="exec streams", daemon=True
        )
        self._sorter.start()

    def poll(self) -> int | None:
        """The exit status; None while it runs. 255 where the engine cannot say any more."""
        if self._status is None and self._ended.is_set():
            self._status = self._ask()
        return self._status

    def host_pid(self, within_s: float = 2.0) -> int:
        """Its process id on the engine's host, once it has one; 0 where that cannot be told."""
        return wait_until(self._pid, within_s=within_s) or 0

    def _pid(self) -> int:
        try:
            with translating("asking after a process in the lab"):
                told = self._engine.client().api.exec_inspect(self._id)
        except LabError:
            return 0
        return int(told.get("Pid") or 0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; ``TimeoutError`` if it has not ended within ``timeout`` seconds."""
        if not self._ended.wait(timeout):
            raise TimeoutError("the process still runs")
        status = wait_until(lambda: _some(self.poll()), within_s=5.0)
        if status is None:
            raise TimeoutError("the process has closed its output and still runs")
        return status[0]

    def kill(self) -> None:
        """SIGKILL from inside its container; silent if it, or the container, has ended."""
        if self.poll() is not None:
            return
        with translating("killing a process in the lab"):
            api = self._engine.client().api
            try:
                argv = ["python3", "-c", _KILLER, self._mark]
                killer = api.exec_create(self._container, argv, user=self._user)
                api.exec_start(killer["Id"])
            except Exception as error:
                if not (is_not_found(error) or _not_running(error)):
                    raise
                self._ended.set()

    def _ask(self) -> int | None:
        try:
            with translating("asking after a process in the lab"):
                try:
                    told = self._engine.client().api.exec_inspect(self._id)
                except Exception as error:
                    if is_not_found(error):
                        return 255
                    raise
        except LabError:
            return 255
        return None if told["Running"] else int(told["ExitCode"] or 0)

    def _sort(self, out: int, err: int) -> None:
        """Split the engine's frames into two pipes until the stream ends."""
        try:
            while head := self._exactly(_FRAME.size):
                stream, size = _FRAME.unpack(head)
                data = memoryview(self._exactly(size))
                if not data:
                    break
                while data:
                    data = data[os.write(err if stream == _STDERR else out, data) :]
        except OSError:
            pass  # our reader closed its pipe, or the engine went away: the end either way
        finally:
            self._ended.set()
            os.close(out)
            os.close(err)
            self._link.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._link.recv(size - len(data))
            if not chunk:
                return b""
            data += chunk
        return data


def _some(value: int | None) -> tuple[int] | None:
    """Zero is a status too: wrapped, it counts as true."""
    return None if value is None else (value,)


def _not_running(error: BaseException) -> bool:
    """A container that is stopped, or an exec in it, answers with a conflict."""
    from docker import errors

    return isinstance(error, errors.APIError) and error.status_code == 409
