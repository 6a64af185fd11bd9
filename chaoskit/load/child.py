"""``python -m chaoskit.load.child``: the load as a process of its own, on JSON lines.

The first line of standard input is the configuration, the ones after it are commands; standard
output carries events. ``docs/writing-a-load.md`` shows all of them. The process ends when its
standard input closes or its parent is gone, whatever else it is doing: a thread of its own, out of
reach of the event loop, watches for both.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # before anything imports ssl or threading: Locust would do it too late

# ruff: noqa: E402 - the patching has to come first

import json
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import gevent
from gevent.event import Event

from chaoskit.clock import time_namespace
from chaoskit.errors import BadInput
from chaoskit.load.config import LoadConfig
from chaoskit.load.priority import favoured

__all__ = ["main"]

TICK_S = 0.25
BAD_CONFIGURATION = 3
BROKEN = 4
_LOOK_S = 0.1

_start_thread = monkey.get_original("_thread", "start_new_thread")
_select = monkey.get_original("select", "select")
_poll = monkey.get_original("select", "poll")
_read = os.read
_write = os.write


class _Output:
    """Events as JSON lines; prints of libraries go to standard error instead."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)
        self._writable = _poll()
        self._writable.register(self._fd, 4)  # POLLOUT

    def say(self, event: Mapping[str, object]) -> None:
        data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[_write(self._fd, data) :]

    def say_if_read(self, event: Mapping[str, object]) -> None:
        """For ticks: a parent that does not read must not stop the load."""
        if self._writable.poll(0):
            self.say(event)


class _Input:
    """Reads standard input in a real thread and hands lines to the event loop."""

    def __init__(self, at_end: Callable[[], None]) -> None:
        self._lines: deque[bytes] = deque()
        self._some = Event()
        self._at_end = at_end
        self._parent = os.getppid()
        self._wake = gevent.get_hub().loop.async_()
        self._wake.start(self._some.set)
        _start_thread(self._watch, ())

    def line(self) -> bytes:
        """The next line; blocks this greenlet only."""
        while not self._lines:
            self._some.clear()
            if not self._lines:
                self._some.wait()
        return self._lines.popleft()

    def _watch(self) -> None:
        rest = b""
        while os.getppid() == self._parent:
            readable, _, _ = _select([0], [], [], _LOOK_S)
            if not readable:
                continue
            data = _read(0, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            self._lines.extend(line for line in lines if line.strip())
            self._wake.send()
        self._at_end()


class _Child:
    def __init__(self) -> None:
        self.output = _Output()
        self.session: object = None
        self.flush: Callable[[], None] = lambda: None
        self.input = _Input(self.end)

    def end(self) -> None:
        """Called in the watching thread. Whatever the loop is stuck in, it ends here."""
        try:
            self.flush()
        finally:
            os._exit(0)

    def fail(self, sentence: str, code: int) -> None:
        try:
            self.flush()
            self.output.say({"event": "error", "message": sentence})
        finally:
            os._exit(code)

    def broken(
        self,
        _context: object,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        """An exception that nobody expected, in any greenlet: the load is not to be trusted."""
        if issubclass(kind, gevent.get_hub().NOT_ERROR):
            return
        if issubclass(kind, BadInput):
            self.fail(str(error), BAD_CONFIGURATION)
        frames = traceback.extract_tb(trace)
        where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        self.fail(f"the load broke: {kind.__name__}: {error}{where}", BROKEN)

    def run(self) -> None:
        gevent.get_hub().handle_error = self.broken  # in any other greenlet than this one
        sys.excepthook = lambda kind, error, trace: self.broken(None, kind, error, trace)
        # Locust takes half a second, in which whoever started us may still be busy.
        from chaoskit.load.session import LoadSession

        config = LoadConfig.parse(self.input.line())
        session = LoadSession(config, self.output.say_if_read)
        self.flush = session.recorder.flush
        self.output.say({"event": "ready", "time_ns": time_namespace()})
        ticking = None
        while True:
            command = self._command()
            match command.get("do"):
                case "start":
                    session.start(int(_number(command, "at_ns")))
                    ticking = gevent.spawn(self._tick, session.tick)
                case "shed":
                    whole = (int(_number(command, "from_ns")), int(_number(command, "until_ns")))
                    session.shed(*whole, _share(command, "share"))
                case "stop":
                    records = session.stop()
                    if ticking is not None:
                        ticking.kill()
                    self.output.say_if_read(session.tick())
                    self.output.say({"event": "stopped", "records": records})
                case "final":
                    places = session.final(*_times(command))
                    self.output.say({"event": "final", "places": places})
                case other:
                    raise BadInput(f"the load knows no command {other!r}")

    def _command(self) -> Mapping[str, object]:
        line = self.input.line()
        try:
            command = json.loads(line)
        except ValueError:
            command = None
        if not isinstance(command, dict):
            raise BadInput(f"a command to the load is not a JSON object: {line[:80]!r}")
        return command

    def _tick(self, tick: Callable[[], Mapping[str, object]]) -> None:
        while True:
            gevent.sleep(TICK_S)
            self.output.say_if_read(tick())


def _share(command: Mapping[str, object], key: str) -> float:
    value = command.get(key)
    if not isinstance(value, float) or not 0 < value < 1:
        raise BadInput(f"command {command.get('do')!r} needs a share {key}, not {value!r}")
    return value


def _times(command: Mapping[str, object]) -> tuple[float, float]:
    """How long one final read may take, and for how long nodes that differ are read again."""
    return _number(command, "timeout_s"), _number({"agree_s": 0.0, **command}, "agree_s")


def _number(command: Mapping[str, object], key: str) -> float:
    value = command.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadInput(f"command {command.get('do')!r} needs a number {key}, not {value!r}")
    return float(value)


def main() -> None:
    """Run until standard input closes."""
    # Ctrl-C reaches every process of the terminal; what it means is for the harness to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    favoured()
    _Child().run()


if __name__ == "__main__":
    main()
