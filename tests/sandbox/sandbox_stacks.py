"""Small stacks, a lab around them, and a census of what is left; shared by the sandbox tests.

Run as a program it is a harness: ``check`` takes a lab through ``check_lab``, ``hold`` brings one
up, says who lives in it and keeps it up until somebody kills it.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaoskit.lab.journal import Journal
from chaoskit.lab.sandbox import SandboxLab
from chaoskit.stack.model import Healthcheck, Service, Stack

PORT = 8080
TINY_SERVER = f"""
import socket
with socket.create_server(("", {PORT})) as server:
    while True:
        server.accept()[0].close()
"""
# Deaf to polite signals, stopped, and forked away from whoever started it: a hard one to get rid of.
STUBBORN = (
    """
import os, signal
for stopped in (False, True):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if stopped:
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
"""
    + TINY_SERVER
)
HEALTHY = Healthcheck(
    (
        "python3",
        "-I",
        "-S",
        "-c",
        f"import socket; socket.create_connection(('127.0.0.1', {PORT}))",
    ),
    interval_s=0.5,
)


_numbers = itertools.count(1)


def fresh_id() -> str:
    """A run id of our own: others may be testing on this machine at the same time."""
    return f"s{os.getpid()}_{next(_numbers)}"


def python(code: str) -> tuple[str, ...]:
    return ("python3", "-I", "-c", code)


def server(name: str, code: str = TINY_SERVER, **more) -> Service:
    """A service that accepts connections; healthy once it does."""
    more.setdefault("healthcheck", HEALTHY)
    labels = {"chaoskit.endpoint": f"http://:{PORT}"}
    return Service(name, labels=labels, command=python(code), **more)


def stack(folder: Path, *services: Service, **more) -> Stack:
    return Stack("tiny", folder / "compose.yaml", {s.name: s for s in services}, **more)


def census(run_id: str) -> dict[int, str]:
    """Every living process of this machine that carries the mark of the run."""
    mark = f"CHAOSKIT_RUN={run_id}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
    return found


def gone_within(run_id: str, seconds: float) -> dict[int, str]:
    """What is left of the run after that time; empty as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while (left := census(run_id)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


@contextmanager
def lab_of(folder: Path, *services: Service, run_id: str = "", **more) -> Iterator[SandboxLab]:
    """A lab that is not up; down when this ends, and nothing of it is left then."""
    run_id = run_id or fresh_id()
    with Journal.create(run_id, folder / "state") as journal:
        lab = SandboxLab(stack(folder, *services, **more), run_id, folder / "run", journal)
        try:
            yield lab
        finally:
            lab.down()
            left = census(run_id)
            assert not left, left
            assert not journal.open_entries()


def main(what: str, folder: Path, run_id: str) -> None:
    services = (server("a", STUBBORN), server("b"))
    if what == "check":
        from chaoskit.testing import check_lab

        with lab_of(folder, *services, run_id=run_id) as lab:
            check_lab(lab, folder)
        print(json.dumps({"checked": True, "uid": os.geteuid(), "lab": lab.facts()["lab"]}))
        return
    with lab_of(folder, *services, run_id=run_id) as lab:
        lab.up()
        print(json.dumps(census(run_id)), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
