"""Where labs that stay up are found: ``chaoskit lab up`` and its companions, from outside.

Each has a folder ``<state>/chaoskit-labs/<name>/`` with a socket of its keeper, ``lab.json`` and
logs. The keeper is the process that owns the lab (``keeper.py``); whoever wants something asks it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaoskit.clock import MonotonicClock, now_ns
from chaoskit.errors import BadInput, ChaoskitError, LabError, Refused
from chaoskit.lab.private import open_private, state_roots
from chaoskit.lab.process import ProcessIdentity, identity_of, open_checked
from chaoskit.rundir import write_atomically
from chaoskit.signals import Signals
from chaoskit.wording import did_you_mean, quoted

__all__ = [
    "Line",
    "ask",
    "folder_of",
    "forget",
    "labs_root",
    "names",
    "not_yet",
    "pick",
    "start",
]

SOCKET = "keeper.sock"
_UP_WITHIN_S = 600.0
_NS = 1_000_000_000


def labs_root() -> Path:
    """The folder of all of them, this user's alone."""
    root = state_roots()[0].parent / "chaoskit-labs"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(open_private(root, os.O_DIRECTORY, None))
    return root


def folder_of(name: str) -> Path:
    """Where the lab of that name is, or would be."""
    return labs_root() / name


def names() -> tuple[str, ...]:
    """Labs that are up, by name; what a dead keeper left is removed on the way."""
    found = []
    for folder in sorted(labs_root().iterdir()):
        if _alive(folder):
            found.append(folder.name)
        elif not _starting(folder):
            forget(folder.name)
    return tuple(found)


def pick(name: str | None) -> str:
    """The lab that is meant: by name, by its file, or the only one. Raises ``BadInput``."""
    known = names()
    if name is None:
        if len(known) == 1:
            return known[0]
        said = f"no lab is up{not_yet(known)}; start one with: chaoskit lab up FILE"
        raise BadInput(f"say which lab with --in: {', '.join(known)}" if known else said)
    meant = name if name in known else Path(name).resolve().parent.name
    if meant not in known:
        more = did_you_mean(name, known) or not_yet(known)
        raise BadInput(f"no lab called {quoted(name)} is up{more}")
    return meant


def forget(name: str) -> None:
    """Remove the folder of a lab that is down."""
    shutil.rmtree(folder_of(name), ignore_errors=True)


class Line:
    """A connection to a keeper: JSON lines both ways. What ends it ends what was asked for."""

    def __init__(self, folder: Path) -> None:
        self._socket = _connect(folder)
        self._file = self._socket.makefile("rb")

    def send(self, message: Mapping[str, object]) -> None:
        """Say something. Raises ``LabError`` if the keeper has died."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise LabError(f"the lab's keeper does not answer: {error.strerror}") from error

    def answers(self) -> Iterator[dict[str, Any]]:
        """What it says, until it has said all. Raises what it reports as an error."""
        for line in self._file:
            message = json.loads(line)
            if message.get("event") == "error":
                raise error_of(message)
            yield message
            if message.get("last"):
                return
        raise LabError("the lab's keeper has died; its guardian heals; see: chaoskit lab status")

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._file.close()
            self._socket.close()


def error_of(message: Mapping[str, Any]) -> ChaoskitError:
    """An error that a keeper reported, with its exit code."""
    kinds: dict[int, type[ChaoskitError]] = {2: Refused, 4: LabError}
    kind = kinds.get(int(message.get("code", 4)), ChaoskitError)
    error = kind(str(message.get("sentence")))
    error.exit_code = int(message.get("code", 4))
    return error


def ask(name: str, message: Mapping[str, object]) -> list[dict[str, Any]]:
    """Ask one thing and hear all of the answer."""
    line = Line(folder_of(name))
    try:
        line.send(message)
        return list(line.answers())
    finally:
        line.close()


def start(file: Path, lab: str, name: str) -> dict[str, Any]:
    """Start a keeper and wait until its lab is up; what it says of it. Raises what went wrong.

    A signal that asks us to end, while it starts, takes it down again.
    """
    folder = folder_of(name)
    if name in names():
        raise Refused(f"the lab {name} is up already; take it down with: chaoskit lab down {name}")
    if _starting(folder):
        raise Refused(f"the lab {name} is starting already; see: chaoskit lab status")
    with Signals().installed():
        return _started(folder, file, lab)


def _started(folder: Path, file: Path, lab: str) -> dict[str, Any]:
    name = folder.name
    forget(name)
    folder.mkdir(mode=0o700)
    _say_starting(folder, os.getpid())
    with (folder / "keeper.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "chaoskit.keeper", str(file.resolve()), lab, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _say_starting(folder, keeper.pid)
        return _wait(keeper, folder)
    except BaseException:
        keeper.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(60)
        forget(name)
        raise


def _wait(keeper: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    deadline = now_ns() + int(_UP_WITHIN_S * _NS)
    while now_ns() < deadline:
        if (folder / "lab.json").exists():
            (folder / "starting").unlink(missing_ok=True)
            facts: dict[str, Any] = json.loads((folder / "lab.json").read_text("utf-8"))
            return facts
        if keeper.poll() is not None:
            raise _why(folder, keeper.returncode)
        MonotonicClock().sleep(0.05)
    raise LabError(f"the lab was not up within {_UP_WITHIN_S:g} s")


def _why(folder: Path, status: int) -> ChaoskitError:
    failed = folder / "error.json"
    if failed.exists():
        return error_of(json.loads(failed.read_text("utf-8")))
    tail = (folder / "keeper.log").read_text("utf-8", "replace")
    return LabError(f"the lab's keeper ended with status {status}", output=tail)


def _say_starting(folder: Path, pid: int) -> None:
    """Leave word of the process without which nothing will come of this start."""
    with contextlib.suppress(ProcessLookupError):  # it has failed already, and will be asked why
        who = identity_of(pid)
        text = json.dumps([who.pid, who.starttime, who.boot_id])
        write_atomically(folder / "starting", text)


def _starting(folder: Path) -> bool:
    """Whether somebody is at it: one who was killed left only his word."""
    try:
        who = ProcessIdentity(*json.loads((folder / "starting").read_text("utf-8")))
        with open_checked(who):
            return True
    except (OSError, ValueError, TypeError):
        return False


def not_yet(known: Sequence[str] = ()) -> str:
    """Labs that are still being started, as the end of a sentence."""
    found = [f.name for f in sorted(labs_root().iterdir()) if f.name not in known and _starting(f)]
    return f" ({', '.join(found)}: still starting)" if found else ""


def _alive(folder: Path) -> bool:
    try:
        _connect(folder).close()
    except (ChaoskitError, OSError):
        return False
    return True


def _connect(folder: Path) -> socket.socket:
    """Connect by the folder's descriptor: a socket's path may not be longer than 107 bytes."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise LabError(f"no lab is up in {folder}: {error.strerror}") from error
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(f"/proc/self/fd/{fd}/{SOCKET}")
    except OSError as error:
        made.close()
        raise LabError(f"the keeper of {folder.name} does not answer: {error.strerror}") from error
    finally:
        os.close(fd)
    return made
