"""A system that asks an operator, and a lab in which the operator's child runs here."""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Node, Targets
from chaoskit.faults.approve import Approve


def approve(**keys):
    return Approve.model_validate(keys)


class Asking(BaseHTTPRequestHandler):
    """Something else than our reference system that speaks what docs/stacks.md says."""

    def do_GET(self):
        pending, decided = self.server.pending, self.server.decided
        said = {"pending": pending, "known": {"lag": "0 B"}}
        self._say(self.server.status, said if decided is None else {**said, "decided": decided})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, now_ns()))
        if self.server.silent(len(self.server.asked)):
            self.close_connection = True  # without a word
        else:
            self._say(*self.server.answer)

    def _say(self, status, made):
        data = made.encode() if isinstance(made, str) else json.dumps(made).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class LocalLab:
    """Children run here; one service, which is the server of this test."""

    name = "local"

    def __init__(self, port):
        labels = {
            "chaoskit.operator": f"http://:{port}/failover",
            "chaoskit.operator.switchover": f"http://:{port}/switchover",
        }
        self._node = Node("db-1", "127.0.0.1", labels)

    def nodes(self):
        return (self._node,)

    def node(self, name):
        return Node(name, "127.0.0.1")

    def spawn(self, _place, argv):
        import subprocess
        import sys

        from chaoskit.lab.child import PipeChild

        program = [sys.executable, *argv[1:]]
        pipe = subprocess.PIPE
        return PipeChild(
            subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe), "operator"
        )


@contextmanager
def system(pending=None, answer=(200, {"accepted": "done"})):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Asking)
    server.pending, server.asked, server.answer, server.status = pending, [], answer, 200
    server.decided = None
    server.silent = lambda _: False  # whether the request of that number gets no answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server, LocalLab(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


PENDING = {"id": "f-1", "candidate": "db-2", "primary": "db-1", "reason": "no heartbeat"}
NOBODY = Targets(())


def tended(hold, until):
    def look():
        hold.tend()
        return until()

    assert wait_until(look, within_s=20.0, every_s=0.005), hold.acts


@contextmanager
def person(monkeypatch):
    """A terminal on which nothing is typed yet; its other end."""
    read, write = os.pipe()
    with os.fdopen(read) as stream, os.fdopen(write, "wb", 0) as keys:
        monkeypatch.setattr("sys.stdin", stream)
        yield keys


def told(hold, event):
    return [act.detail for act in hold.acts if act.event == f"operator-{event}"]
