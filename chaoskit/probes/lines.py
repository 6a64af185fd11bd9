"""JSON lines with the harness: how a child of the lab hears, speaks and ends.

A child ends at once when its standard input closes, however that comes about: a dead harness
cannot leave it behind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

__all__ = ["fail", "leave", "listen", "read_line", "say"]

_BAD_CONFIG = 3


def say(message: Mapping[str, object]) -> None:
    """Write one JSON line to standard output, in one piece. A reader that is gone ends us."""
    data = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        leave()


def fail(message: str) -> NoReturn:
    """Say in one sentence what is wrong with the configuration, and end with status 3."""
    say({"event": "error", "message": message})
    leave(_BAD_CONFIG)


def leave(status: int = 0) -> NoReturn:
    """End at once. An ordinary exit would trip over the thread that waits for input."""
    os._exit(status)


def read_line() -> object:
    """The next JSON line of standard input. Raises ``ValueError`` for anything else."""
    line = sys.stdin.buffer.readline()
    if not line:
        leave()
    return json.loads(line)


def listen(heard: Callable[[dict[str, object]], None]) -> None:
    """Hand every further line to ``heard``, from a thread; end this process with the input."""

    def loop() -> None:
        for line in sys.stdin.buffer:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # the harness writes whole lines; half a one means that it has died
            if isinstance(message, dict):
                heard(message)
        leave()

    threading.Thread(target=loop, name="input", daemon=True).start()
