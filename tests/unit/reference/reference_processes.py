"""Real processes on loopback: a pair, its witness, and the wires between them.

Every wire runs through a relay that can be cut in each direction, so that a partition needs no
network namespace.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"
A, B, W = "node-a", "node-b", "witness"


def free_ports(count):
    held = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


class Relay:
    """Carries TCP from one port to another; ``cut`` holds back what goes there or comes back."""

    def __init__(self, target):
        self.target = target
        self.there = self.back = True  # whether bytes pass
        self.listener = socket.create_server((HOST, 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self._pairs = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.listener, selectors.EVENT_READ)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over.is_set():
            for key, _ in self._selector.select(0.005):
                if key.fileobj is self.listener:
                    self._accept()
                else:
                    self._pump(key.fileobj)

    def _accept(self):
        inner, _ = self.listener.accept()
        try:
            outer = socket.create_connection((HOST, self.target), timeout=0.2)
        except OSError:
            inner.close()
            return
        for one, other in ((inner, outer), (outer, inner)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            self._pairs[one] = (other, one is inner)
            self._selector.register(one, selectors.EVENT_READ)

    def _pump(self, sock):
        other, there = self._pairs.get(sock, (None, True))
        if other is None:
            return
        try:
            data = sock.recv(1 << 20)
            if data and (self.there if there else self.back):
                other.setblocking(True)
                other.settimeout(1)
                other.sendall(data)
                other.setblocking(False)
            elif data:
                return  # swallowed: as silent as a dropped packet
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(sock)
            self._drop(other)

    def _drop(self, sock):
        if self._pairs.pop(sock, None):
            self._selector.unregister(sock)
            sock.close()

    def close(self):
        self._over.set()
        self._thread.join()
        for sock in list(self._pairs):
            self._drop(sock)
        self.listener.close()
        self._selector.close()


class Pair:
    """node-a (preferred), node-b and their witness, each a process."""

    def __init__(self, folder: Path, defect: str | None = None, **environment: str) -> None:
        self.folder, self.defect, self.environment = folder, defect, environment
        ports = free_ports(3)
        self.port = dict(zip((A, B, W), ports, strict=True))
        ways = ((A, B), (B, A), (A, W), (B, W))
        self.relays = {way: Relay(self.port[way[1]]) for way in ways}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self):
        for name in (W, A, B):
            self.start(name)
        self.wait(lambda: self.role(A) == "primary" and self.role(B) == "backup")
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for relay in self.relays.values():
            relay.close()

    def start(self, name):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CHAOSKIT_")}
        env |= {
            "CHAOSKIT_NODE": name,
            "CHAOSKIT_BIND": HOST,
            "CHAOSKIT_PORT": str(self.port[name]),
            **self.environment,
        }
        if name == W:
            env["CHAOSKIT_STATE"] = str(self.folder / "witness.json")
        else:
            other = B if name == A else A
            env["CHAOSKIT_PEER"] = f"http://{HOST}:{self.relays[name, other].port}"
            env["CHAOSKIT_WITNESS"] = f"http://{HOST}:{self.relays[name, W].port}"
            env["CHAOSKIT_PREFERRED"] = "true" if name == A else "false"
            if self.defect:
                env["CHAOSKIT_DEFECT"] = self.defect
        kind = "witness" if name == W else "node"
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "chaoskit.reference", kind],
            env=env,
            stdout=subprocess.DEVNULL,
        )

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def pause(self, name):
        self.signal(name, signal.SIGSTOP)

    def resume(self, name):
        self.signal(name, signal.SIGCONT)

    def cut(self, one, other, both=True):
        """Nothing passes from ``one`` to ``other`` (nor back, if ``both``)."""
        for (source, target), relay in self.relays.items():
            if (source, target) == (one, other):
                relay.there = False
                relay.back = relay.back and not both
            if (source, target) == (other, one):
                relay.back = False
                relay.there = relay.there and not both

    def join(self):
        for relay in self.relays.values():
            relay.there = relay.back = True

    def ask(self, name, method, path, body=None, timeout=0.3):
        """(status, body, headers); status 0 for no answer."""
        connection = http.client.HTTPConnection(HOST, self.port[name], timeout=timeout)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        except (OSError, http.client.HTTPException):
            return 0, "", {}
        finally:
            connection.close()

    def role(self, name):
        status, body, _ = self.ask(name, "GET", "/role")
        return json.loads(body)["role"] if status == 200 else None

    def log(self, name):
        status, body, _ = self.ask(name, "GET", "/log", timeout=5)
        assert status == 200
        return {int(t): int(n) for t, n in (line.split() for line in body.splitlines())}

    def settled(self):
        return {self.role(A), self.role(B)} == {"primary", "backup"}

    def events(self, name):
        return json.loads(self.ask(name, "GET", "/events")[1])["events"]

    def wait(self, look, within_s=20):
        """Wait until ``look`` is true; the seconds that it took."""
        begin = time.monotonic()
        while not look():
            assert time.monotonic() - begin < within_s, (self.role(A), self.role(B))
            time.sleep(0.005)
        return time.monotonic() - begin


class Writers:
    """Clients that append tokens to whichever node they are told; a thread for each node."""

    def __init__(self, pair: Pair, targets=(A, B)) -> None:
        self.pair = pair
        self.acked: list[tuple[int, int, str, int, int]] = []  # sent, done, node, epoch, token
        self.refused: list[int] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(name, first))
            for first, name in enumerate(targets, start=1)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name, first):
        token = first * 10**9
        connection = None
        while not self._over.is_set():
            token += 1
            connection = connection or http.client.HTTPConnection(
                HOST, self.pair.port[name], timeout=0.3
            )
            sent = time.monotonic_ns()
            try:
                connection.request("POST", "/log", str(token))
                answer = connection.getresponse()
                body = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                connection = None
                time.sleep(0.005)
                continue
            if answer.status == 200:
                done = time.monotonic_ns()
                self.acked.append((sent, done, body["node"], body["epoch"], token))
            elif answer.status in {421, 503}:
                self.refused.append(token)
                time.sleep(0.002)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def overlap(self):
        """Acknowledgements of an older epoch to requests sent after one of a newer epoch."""
        found, newest = [], {}
        for sent, done, node, epoch, _ in self.acked:
            newest.setdefault(epoch, []).append((done, node))
            found += [
                (node, epoch, later)
                for later, acks in newest.items()
                if later > epoch and any(at < sent for at, _ in acks)
            ]
        return found
