"""The example of docs/writing-a-load.md is a load that works."""

import re
import socketserver
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import Load, Stub, by_outcome, stream

pytestmark = pytest.mark.loopback

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-load.md"


class Lines(socketserver.StreamRequestHandler):
    """Refuses as a backup, or counts and closes each fifth request without an answer."""

    def handle(self):
        line = self.rfile.readline()
        with self.server.lock:
            self.server.lines.append(line)
            number = len(self.server.lines)
        if not self.server.primary:
            self.wfile.write(b"NO\n")
        elif number % 5:
            self.wfile.write(b"OK\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, primary):
        super().__init__(("127.0.0.1", 0), Lines)
        self.primary, self.lines, self.lock = primary, [], threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def place(self, node):
        return {"node": node, "url": f"lines://127.0.0.1:{self.server_address[1]}"}


def test_the_example_of_the_page_measures_honestly(tmp_path):
    path = tmp_path / "line_kv.py"
    path.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    options = {"locustfile": str(path)}
    with Server(primary=False) as backup, Server(primary=True) as primary:
        endpoints = [backup.place("backup"), primary.place("primary")]
        streams = [stream("write", 50), stream("read", 50)]
        with Load(tmp_path, endpoints, streams, options=options, user="any") as load:
            records = load.run(1.2)
            load.send({"do": "final", "timeout_s": 1})
            places = load.event("final")["places"]
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert ambiguous == len(primary.lines) // 5 > 10
    assert ok + late == len(primary.lines) - ambiguous
    assert definite == 0
    assert ok + late + ambiguous + not_sent == len(records)
    assert "cannot read back" in places["frontdoor"]["error"]


def test_a_backup_that_answers_for_itself_is_not_the_front_door(tmp_path):
    def backup(_n, method, _p):
        return (200, {"X-Chaoskit-Role": "backup"}) if method == "GET" else "ok"

    def primary(_n, method, _p):
        return (200, {"X-Chaoskit-Role": "primary"}) if method == "GET" else "ok"

    with Stub(backup, name="a") as a, Stub(primary, name="b") as b:
        for endpoints in ([a, b], [a]):
            streams = [stream("write", 50)]
            with Load(tmp_path, endpoints, streams, nodes=[a]) as load:
                load.run(0.4)
                load.send({"do": "final", "timeout_s": 2})
                places = load.event("final")["places"]
            assert places["a"]["tokens"] == len(a.tokens) > 0
            if b in endpoints:
                assert places["frontdoor"]["tokens"] == len(b.tokens)
            else:
                assert "says that it is primary" in places["frontdoor"]["error"]
