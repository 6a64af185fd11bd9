"""A process of ours that speaks JSON lines over its three pipes: what ``Lab.spawn`` returns.

Both labs use it. What differs is only how the process was started: ``subprocess.Popen`` fits as
it is, and so does anything else with the few methods of ``PipedProcess``.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections import deque
from collections.abc import Mapping
from typing import IO, Protocol

from chaoskit.clock import NS, now_ns
from chaoskit.errors import LabError

__all__ = ["PipeChild", "PipedProcess"]

STDERR_LINES = 40
GARBAGE_LINES = 5


class PipedProcess(Protocol):
    """The part of ``subprocess.Popen`` that a child needs; streams are binary.

    The standard input is unbuffered (``bufsize=0``) and written by one thread at a time.
    """

    @property
    def stdin(self) -> IO[bytes] | None:
        """What it reads from us."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its messages."""

    @property
    def stderr(self) -> IO[bytes] | None:
        """Its complaints."""

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; raises ``TimeoutError`` or ``subprocess.TimeoutExpired``."""

    def kill(self) -> None:
        """SIGKILL; silent if it has ended."""


class PipeChild:
    """Implements ``chaoskit.contracts.Child``. ``name`` is how messages call it.

    Two threads read its output for as long as it lives, so it can never block on a full pipe.
    Lines of standard output that are not JSON objects are kept with the standard error.
    """

    def __init__(self, process: PipedProcess, name: str) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            msg = "a child needs pipes for standard input, output and error"
            raise ValueError(msg)
        self.name = name
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._messages: queue.SimpleQueue[dict[str, object] | None] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=STDERR_LINES)
        self._over = False  # end of output was read from the queue
        self._closed = False
        self._lock = threading.Lock()
        self._readers = [
            threading.Thread(target=self._read_messages, name=f"{name} out", daemon=True),
            threading.Thread(target=self._read_errors, name=f"{name} err", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def send(self, message: Mapping[str, object]) -> None:
        """Write one JSON line. Raises ``LabError`` if the process has died or was closed."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                view = memoryview(line)
                while view:  # a raw pipe may take less than was offered
                    view = view[self._stdin.write(view) :]
                self._stdin.flush()
            except (OSError, ValueError) as error:
                raise self._dead() from error

    def receive(self, timeout_s: float) -> dict[str, object] | None:
        """The next message; None if none came within ``timeout_s`` seconds.

        Raises ``LabError`` with the last standard error once it has died and all is read.
        """
        if self._over:
            raise self._dead()
        try:
            message = self._messages.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if message is None:
            self._over = True
            raise self._dead()
        return message

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def errors(self) -> str:
        """The last lines of its standard error."""
        return "\n".join(self._tail)

    def close(self, grace_s: float = 1.0) -> None:
        """Close its input, wait up to ``grace_s``, kill what is left. Never raises."""
        if self._closed:
            return
        self._closed = True
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stdin.close()
        if not self._gone_within(grace_s):
            with contextlib.suppress(OSError, LabError):
                self._process.kill()
            self._gone_within(5.0)
        deadline = now_ns() + NS
        for reader in self._readers:
            # A grandchild may hold the pipe open for ever: the thread is a daemon, leave it.
            reader.join(max(0.0, (deadline - now_ns()) / NS))
            if reader.is_alive():
                return
        for stream in (self._stdout, self._stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def _gone_within(self, seconds: float) -> bool:
        # Popen raises TimeoutExpired, which is a SubprocessError; others raise TimeoutError.
        from subprocess import SubprocessError

        try:
            self._process.wait(seconds)
        except (OSError, SubprocessError, LabError):
            return self._process.poll() is not None
        return True

    def _dead(self) -> LabError:
        self._gone_within(1.0)
        if self._over:
            self._readers[1].join(1.0)  # its last words may still be in the pipe
        status = self._process.poll()
        how = "closed its output" if status is None else f"ended with status {status}"
        if self._closed:
            how = "was closed"
        return LabError(f"{self.name} {how}", output=self.errors())

    def _read_messages(self) -> None:
        garbage = 0
        try:
            for line in self._stdout:
                try:
                    message = json.loads(line)
                except ValueError:
                    message = None
                if isinstance(message, dict):
                    self._messages.put(message)
                elif line.strip() and garbage < GARBAGE_LINES:
                    garbage += 1
                    self._tail.append("(output) " + line.decode(errors="replace").rstrip())
        except (OSError, ValueError):
            pass  # closed under us: the same as its end
        finally:
            self._messages.put(None)

    def _read_errors(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._stderr:
                self._tail.append(line.decode(errors="replace").rstrip())
