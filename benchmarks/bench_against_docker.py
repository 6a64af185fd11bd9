"""What a fault of ours costs next to the same done by hand with the docker command.

    python benchmarks/bench_against_docker.py [ROUNDS]

Two small servers in the Docker lab; ours and the command take turns on one of them. ``pause``
against ``docker pause``, ``kill`` against ``docker kill`` and ``docker start``, ``bandwidth``
against ``docker exec`` of ``tc`` (the host's own: the container has a mount, and the right to). Of
ours it is the time from command to *verified*, and from the heal's command to *healed*; of the
command the time until it has returned, and until one more has shown that it is so. Milliseconds:
median and worst.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stored import spread

from chaoskit.contracts import FaultModel, Targets
from chaoskit.faults.bandwidth import Bandwidth
from chaoskit.faults.kill import Kill
from chaoskit.faults.pause import Pause

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "docker"))
from docker_stacks import docker_lab, python_services  # noqa: E402 - its folder is no package

SERVER = """
import http.server
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
MOUNT = "{volumes: ['/:/host:ro'], cap_add: [NET_ADMIN]}"
TC = ("exec", "{id}", "chroot", "/host", "tc", "qdisc")
ON_ETH0 = ("dev", "eth0", "root")
BY_HAND: dict[str, tuple[FaultModel, Sequence[Sequence[str]], Sequence[Sequence[str]]]] = {
    "pause": (
        Pause(),
        (("pause", "{id}"), ("inspect", "-f", "{{.State.Paused}}", "{id}")),
        (("unpause", "{id}"), ("inspect", "-f", "{{.State.Paused}}", "{id}")),
    ),
    "kill": (
        Kill(),
        (("kill", "{id}"), ("inspect", "-f", "{{.State.Running}}", "{id}")),
        (("start", "{id}"), ("inspect", "-f", "{{.State.Running}}", "{id}")),
    ),
    "bandwidth": (
        Bandwidth.model_validate({"rate": "1mbit/s"}),
        (
            (*TC, "add", *ON_ETH0, "tbf", "rate", "1mbit", "burst", "4k", "limit", "64k"),
            (*TC, "show", "dev", "eth0"),
        ),
        ((*TC, "del", *ON_ETH0), (*TC, "show", "dev", "eth0")),
    ),
}
"""Fault, then the commands of the act and of its undo: what is done, and what shows it."""


def by_hand(container: str, commands: Sequence[Sequence[str]]) -> list[float]:
    """Seconds until each of the commands had returned."""
    began, found = time.monotonic(), []
    for words in commands:
        argv = ["docker", *(container if word == "{id}" else word for word in words)]
        subprocess.run(argv, check=True, capture_output=True)
        found.append(time.monotonic() - began)
    return found


def ours(lab: Any, fault: FaultModel) -> tuple[float, float]:
    """Seconds from command to verified and from the heal's command to healed."""
    with fault.inject(lab, Targets((lab.node("a"),))) as hold:
        pass
    assert hold.verified_ns, hold.detail
    return (hold.verified_ns - hold.commanded_ns) / 1e9, (
        hold.healed_ns - hold.heal_commanded_ns
    ) / 1e9


def container_of(lab: Any) -> str:
    """The id of the container of node a."""
    identity: str = lab.identity(lab.node("a"))
    return identity.partition("@")[0]


def rounds_of(lab: Any, name: str, rounds: int) -> None:
    """Print the rows of one fault."""
    fault, act, undo = BY_HAND[name]
    fault.prepare(lab)
    columns: list[list[float]] = [[] for _ in range(6)]
    for _ in range(rounds):
        mine = ours(lab, fault)
        container = container_of(lab)
        done, shown = by_hand(container, act)
        undone, gone = by_hand(container, undo)
        for column, value in zip(columns, (*mine, done, shown, undone, gone), strict=True):
            column.append(value)
    said: Callable[[int], str] = lambda n: spread(columns[n], 1e-3)  # noqa: E731
    print(f"{name:10} ours       {said(0)} {said(1)}")
    print(f"{'':10} returned   {said(2)} {said(4)}")
    print(f"{'':10} and shown  {said(3)} {said(5)}", flush=True)


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 10
    print(f"{'':21} {'on':>10} {'worst':>10} {'off':>10} {'worst':>10}")
    with tempfile.TemporaryDirectory() as name:
        stack = python_services(Path(name), "ab", SERVER, {}, MOUNT)
        with docker_lab(Path(name), stack) as lab:
            for fault in BY_HAND:
                rounds_of(lab, fault, rounds)


if __name__ == "__main__":
    main()
