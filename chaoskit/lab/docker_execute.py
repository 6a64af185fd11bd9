"""Commands inside a container, as its service's user, with a time limit that holds."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from chaoskit.capabilities import Ran
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.docker_child import ExecProcess
from chaoskit.lab.docker_engine import Engine
from chaoskit.lab.process import identity_of, kill_and_wait

__all__ = ["Commands", "Tail"]

KEPT = 4096
"""Bytes of a command's output that are kept: the last ones."""


class Tail:
    """The last bytes that come out of some streams. One reader each, until it ends."""

    def __init__(self, *streams: IO[bytes] | None) -> None:
        self._data = b""
        self._lock = threading.Lock()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), name="output", daemon=True)
            for stream in streams
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def text(self, within_s: float = 1.0) -> str:
        """What has come so far; a moment is waited for the ends of the streams."""
        for reader in self._readers:
            reader.join(within_s)
        with self._lock:
            return self._data.decode(errors="replace")

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while block := os.read(stream.fileno(), 65536):
                with self._lock:
                    self._data = (self._data + block)[-KEPT:]


class Commands:
    """``Executes`` of the Docker lab."""

    _engine: Engine

    @abstractmethod
    def _id(self, node: Node) -> str: ...

    def execute(self, node: Node, argv: Sequence[str], timeout_s: float) -> Ran:
        """See ``Executes``."""
        identity = self._id(node)
        process = ExecProcess(self._engine, identity, argv)
        tail = Tail(process.stdout, process.stderr)
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            status: int | None = process.wait(timeout_s)
        except TimeoutError:
            status = None
            if not _end(process.host_pid(), identity):
                raise LabError(
                    f"{argv[0]} on {node.name} did not end within {timeout_s:g} s and cannot be "
                    "ended from here (this is not root on the engine's own host)"
                ) from None
        return Ran(status, tail.text())


def _end(pid: int, container: str) -> bool:
    """SIGKILL a process that shows that it belongs to the container; False if it does not."""
    if os.geteuid() != 0 or pid <= 1:
        return False
    try:
        who = identity_of(pid)
        if container not in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"):
            return False
        kill_and_wait(who)
    except (ProcessLookupError, FileNotFoundError):
        pass  # it has just ended
    return True
