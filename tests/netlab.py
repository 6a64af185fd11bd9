"""Bare network namespaces for tests of the layers below the labs; does not import chaoskit.

Each namespace is kept by a ``cat`` that ends with the test; a bridge joins them.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Self

PREFIX = "198.18.240."


@dataclass
class Space:
    name: str
    address: str
    keeper: subprocess.Popen

    @property
    def pid(self) -> int:
        return self.keeper.pid

    def run(self, *argv: str, text: str | None = None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv],
            check=False,
            input=text,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, (argv, done.stderr)
        return done

    def popen(self, *argv: str, **more) -> subprocess.Popen:
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]
        return subprocess.Popen([*enter, *argv], **more)


def keeper() -> subprocess.Popen:
    """A process in a network namespace of its own; ready when this returns."""
    process = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "echo up; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.read(3)
    return process


@dataclass
class NetLab:
    """Namespaces a, b, c … on one bridge: ``with NetLab(3) as lab: lab["a"]``."""

    size: int = 3
    spaces: dict[str, Space] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Space:
        return self.spaces[name]

    def __enter__(self) -> Self:
        self.hub = Space("hub", "", keeper())
        self.hub.run("ip", "link", "add", "br0", "type", "bridge")
        self.hub.run("ip", "link", "set", "br0", "up")
        for index in range(self.size):
            name = "abcdefgh"[index]
            space = Space(name, f"{PREFIX}{index + 2}", keeper())
            self.spaces[name] = space
            self.hub.run(
                *("ip", "link", "add", f"v{name}", "type", "veth"),
                *("peer", "name", "eth0", "netns", str(space.pid)),
            )
            self.hub.run("ip", "link", "set", f"v{name}", "master", "br0", "up")
            space.run("ip", "link", "set", "lo", "up")
            space.run("ip", "addr", "add", space.address + "/24", "dev", "eth0")
            space.run("ip", "link", "set", "eth0", "up")
        return self

    def __exit__(self, *exc: object) -> None:
        for space in (*self.spaces.values(), self.hub):
            space.keeper.stdin.close()
            space.keeper.stdout.close()
            space.keeper.wait(timeout=10)
