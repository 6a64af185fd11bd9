"""Bare network namespaces for tests of the layers below the labs; does not import chaoskit.

Each namespace is kept by a ``cat`` that ends with the test; a bridge joins them.
"""

from __future__ import annotations

import subprocess
import sys
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


# Answers on TCP 9000 and UDP 9001 whatever it hears, and ends with its standard input.
ECHO = """
import os, socket, sys, threading
server = socket.create_server(("0.0.0.0", 9000))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", 9001))
def datagrams():
    while True:
        data, who = udp.recvfrom(4096)
        try: udp.sendto(data, who)
        except OSError: pass
def talk(peer):
    try:
        while data := peer.recv(65536): peer.sendall(data)
    except OSError: pass
def accept():
    while True: threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
for each in (datagrams, accept): threading.Thread(target=each, daemon=True).start()
print("up", flush=True); sys.stdin.read(); os._exit(0)
"""

# Runs the expressions that come in, in one process, with sockets that stay open between them.
TALKER = """
import socket, struct, sys, time
names = {"socket": socket, "struct": struct, "time": time}
exec('''
def connect(to, port=9000, timeout=0.5):
    s = socket.create_connection((to, port), timeout); s.settimeout(timeout); return s
def echo(s, data=b"x"):
    s.sendall(data); got = b""
    while len(got) < len(data):
        piece = s.recv(65536)
        if not piece: raise ConnectionError("closed")
        got += piece
    return got == data
def udp(to, timeout=0.5):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(timeout)
    s.connect((to, 9001)); return s
def ask(s):
    s.send(b"y"); return s.recv(10) == b"y"
def answered(s, count):
    got = 0
    s.setblocking(False)
    for i in range(count):
        s.send(b"y"); time.sleep(0.0005)
        try: s.recv(9); got += 1
        except BlockingIOError: pass
    time.sleep(0.2)
    try:
        while True: s.recv(9); got += 1
    except BlockingIOError: return got
def info(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
''', names)
for line in sys.stdin:
    try: print(repr(eval(line, names) if not line.startswith("!") else exec(line[1:], names)), flush=True)
    except Exception as error: print(type(error).__name__, flush=True)
"""


class Talker:
    def __init__(self, space):
        self.process = space.popen(
            sys.executable, "-c", TALKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, expression: str) -> str:
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)
