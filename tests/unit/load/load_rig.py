"""A scripted HTTP server in threads, and the load child as its harness sees it."""

import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from chaoskit.history.records import REQUEST

MS = 1_000_000
RESET = struct.pack("ii", 1, 0)


def stream(op="write", rate=100.0, connections="kept", deadline_ms=100, timeout_ms=5000, name=None):
    """One comb, so patient that a stall of a small machine is not taken for no answer at all."""
    return {
        "name": name or (op if connections == "kept" else f"{op}/new"),
        "op": op,
        "rate": rate,
        "connections": connections,
        "deadline_ns": deadline_ms * MS,
        "timeout_ns": timeout_ms * MS,
    }


class Stub:
    """``behave(number, method, path)`` says what becomes of a request.

    "ok", "close" (read, then end without an answer), "reset", "drop" (never answer), "hang_up"
    (answer, then close without saying so), a number (wait so many seconds, then answer), or a
    pair of status and headers. ``anonymous``: answers do not say who gave them.
    """

    def __init__(self, behave=lambda number, method, path: "ok", name="a", *, anonymous=False):
        self.behave, self.name, self.anonymous = behave, name, anonymous
        self.seen = []  # (monotonic ns, method, path, body)
        self.done = {}  # behaviour → how often
        self.tokens = []
        self.connections = []
        self.accepted = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def place(self):
        return {"node": self.name, "url": f"http://127.0.0.1:{self.port}"}

    def close(self):
        """As a killed process: nobody listens, every connection is reset."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join(5)
        with self._lock:
            for connection in self.connections:
                try:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads[1:]:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._socket.fileno() >= 0:
            self.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self.accepted += 1
                self.connections.append(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            try:
                buffer = b""
                while True:
                    while b"\r\n\r\n" not in buffer:
                        data = connection.recv(65536)
                        if not data:
                            return
                        buffer += data
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    at = head.lower().find(b"content-length:")
                    length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
                    while len(buffer) < length:
                        buffer += connection.recv(65536)
                    body, buffer = buffer[:length], buffer[length:]
                    method, path = head.decode().split(" ")[:2]
                    if not self._answer(connection, method, path, body):
                        return
            except OSError:
                return
            finally:
                with self._lock:
                    self.connections.remove(connection)

    def _answer(self, connection, method, path, body):
        with self._lock:
            number = len(self.seen)
            self.seen.append((time.monotonic_ns(), method, path, body))
            what = self.behave(number, method, path)
            self.done[what if isinstance(what, str) else "other"] = (
                self.done.get(what if isinstance(what, str) else "other", 0) + 1
            )
            if method == "POST" and not isinstance(what, tuple):
                self.tokens.append(int(body))
        if what == "drop":
            while connection.recv(65536):
                pass
            return False
        if what == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return False
        if what == "close":
            return False
        if isinstance(what, int | float):
            time.sleep(what)
        status, headers = what if isinstance(what, tuple) else (200, {})
        text = self._body(method, path) if status == 200 else b"{}"
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        who = "" if self.anonymous else f"X-Chaoskit-Node: {self.name}\r\nX-Chaoskit-Epoch: 7\r\n"
        connection.sendall(
            f"HTTP/1.1 {status} Whatever\r\n{who}{lines}Content-Length: {len(text)}\r\n\r\n".encode()
            + text
        )
        return what != "hang_up"

    def _body(self, method, path):
        if method == "GET" and path == "/log":
            return json.dumps({"tokens": [[token, 1] for token in self.tokens]}).encode()
        return b'{"value": "12345678901234567890", "version": 3}'


class Load:
    """The load child; ``with`` sees to its end."""

    def __init__(
        self, folder, endpoints, streams, *, nodes=(), options=None, user="http-kv", wrap=()
    ):
        self.folder = Path(folder)
        self.process = subprocess.Popen(
            [*wrap, sys.executable, "-m", "chaoskit.load.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._rest = b""
        self.send(
            {
                "user": user,
                "options": options or {},
                "endpoints": [getattr(e, "place", e) for e in endpoints],
                "nodes": [getattr(n, "place", n) for n in nodes],
                "streams": streams,
                "requests": str(self.folder / "requests.raw"),
                "strings": str(self.folder / "strings.json"),
                "final": str(self.folder / "final"),
                "trial": 3,
                "seed": 1,
                "client": "client",
            }
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def event(self, name, within_s=20.0):
        """The next event of that name; others are passed over, an error is one to report."""
        until = time.monotonic() + within_s
        while True:
            while b"\n" not in self._rest:
                left = until - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    raise AssertionError(f"no {name} within {within_s} s")
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise AssertionError(f"the child ended ({self.process.wait(5)}) before {name}")
                self._rest += data
            line, self._rest = self._rest.split(b"\n", 1)
            message = json.loads(line)
            if message["event"] == name:
                return message
            assert message["event"] != "error", message

    def start(self, in_s=0.1):
        self.event("ready")
        self.at_ns = time.monotonic_ns() + int(in_s * 1e9)
        self.send({"do": "start", "at_ns": self.at_ns})
        return self.at_ns

    def sleep_until(self, seconds):
        """Until so long after slot 0."""
        time.sleep(max(0.0, self.at_ns / 1e9 + seconds - time.monotonic()))

    def stop(self):
        self.send({"do": "stop"})
        stopped = self.event("stopped")
        records = self.records()
        assert stopped["records"] == len(records)
        return records

    def run(self, seconds):
        self.start()
        self.sleep_until(seconds)
        return self.stop()

    def records(self):
        return read(self.folder / "requests.raw")

    def texts(self):
        return json.loads((self.folder / "strings.json").read_text())

    def errors(self, records):
        names = self.texts()["errors"]
        return {names[i] for i in np.unique(records["error"]).tolist()}

    def small_pipe(self):
        fcntl.fcntl(self.process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)


def read(path):
    data = Path(path).read_bytes()
    return np.frombuffer(data[: len(data) // REQUEST.itemsize * REQUEST.itemsize], dtype=REQUEST)


def by_outcome(records):
    """ok, ok_late, fail_definite, ambiguous, not_sent"""
    return tuple(np.bincount(records["outcome"], minlength=6)[1:].tolist())


BLOCKING_USER = """
import gevent.monkey
from chaoskit.load.users.http_kv import HttpKv

block = gevent.monkey.get_original("time", "sleep")  # the whole loop stands still

class Sleepy(HttpKv):
    def perform(self, operation):
        if operation.slot == {slot}:
            block({seconds})
        return super().perform(operation)
"""


def blocking(folder, slot, seconds):
    path = folder / "sleepy.py"
    path.write_text(BLOCKING_USER.format(slot=slot, seconds=seconds))
    return {"locustfile": str(path)}
