"""The probe child: every poll is written down, on time, whatever single nodes do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest

from chaoskit.clock import wait_until
from chaoskit.history.history import Observation
from chaoskit.probes.child import find_probe, parse

MS = 1_000_000


class Server:
    """Answers every connection with what ``say`` returns; None: never. Counts connections."""

    def __init__(self, say):
        self.say, self.asked, self.held = say, [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.asked.append(peer.recv(4096))
            answer = self.say(len(self.asked))
            if answer is None:
                self.held.append(peer)
                continue
            peer.sendall(answer)
            peer.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for peer in self.held:
            peer.close()


@pytest.fixture
def server():
    made = []

    def make(say):
        made.append(Server(say))
        return made[-1]

    yield make
    for one in made:
        one.close()


def http(body, status="200 OK", extra=""):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\n{extra}\r\n".encode() + raw


class Child:
    def __init__(self, config):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaoskit.probes.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.send(config)

    def send(self, message):
        self.process.stdin.write(
            (message if isinstance(message, str) else json.dumps(message)) + "\n"
        )
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def stop(self):
        self.send({"do": "stop"})
        said = []
        while (message := self.hear())["event"] != "stopped":
            said.append(message)
        status = self.process.wait(10)
        self.process.communicate()
        return message, said, status


@pytest.fixture
def ask(tmp_path):
    children = []
    out = tmp_path / "observations.jsonl"

    def start(*probes, **more):
        config = {"every_ns": 50 * MS, "probes": list(probes), "out": str(out)} | more
        children.append(Child(config))
        assert children[-1].hear()["event"] == "ready"
        return children[-1]

    start.seen = lambda: [Observation(**json.loads(line)) for line in out.read_text().splitlines()]
    yield start
    for child in children:
        child.process.kill()
        with child.process:  # closes its pipes, however it ended
            pass


def probe(server, node="a", question="role", scheme="http", **more):
    return {
        "node": node,
        "question": question,
        "url": f"{scheme}://127.0.0.1:{server.port}/role",
    } | more


def test_every_poll_is_an_observation_and_a_change_is_said_at_once(server, ask):
    roles = ["leader"] * 5 + ["replica"] * 1000
    one = server(lambda n: http({"role": roles[n], "epoch": n // 10, "other": [1]}))
    child = ask(probe(one, words={"leader": "primary", "replica": "backup"}))
    first, second = child.hear(), child.hear()
    assert (first["event"], first["node"], first["value"], first["epoch"]) == (
        "change",
        "a",
        "primary",
        0,
    )
    assert second["value"] == "backup"
    stopped, said, status = child.stop()
    seen = ask.seen()
    assert status == 0
    assert stopped == {"event": "stopped", "polls": len(seen)}
    changes = 1 + sum((a.value, a.epoch) != (b.value, b.epoch) for a, b in pairwise(seen))
    assert changes == 2 + len(said)
    assert all(o.sent_ns < o.done_ns and o.error is None for o in seen)


def test_a_node_that_hangs_delays_nobody_else(server, ask):
    stuck, good = server(lambda n: None), server(lambda n: http({"role": "primary"}))
    child = ask(probe(stuck, "stuck"), probe(good, "good"), timeout_ns=500 * MS)
    time.sleep(2.2)
    child.stop()
    seen = ask.seen()
    silent = [o for o in seen if o.node == "stuck"]
    assert silent
    assert {(o.value, o.error) for o in silent} == {(None, "silent")}
    assert all(o.done_ns - o.sent_ns >= 490 * MS for o in silent)
    assert len([o for o in seen if o.node == "good"]) > 5 * len(silent)


def test_the_schedule_is_absolute_and_slots_that_were_missed_are_left_out(server, ask):
    one = server(lambda n: None if n == 5 else http({"role": "primary"}))
    child = ask(probe(one), every_ns=100 * MS, timeout_ns=350 * MS)
    time.sleep(2.5)
    child.stop()
    sent = [o.sent_ns for o in ask.seen()]
    phase = sorted((moment - sent[0]) % (100 * MS) for moment in sent)
    near = [p for p in phase if p < 40 * MS or p > 60 * MS]
    assert len(near) > 0.7 * len(phase)  # at their slots, not ever later
    gaps = [b - a for a, b in pairwise(sent)]
    assert max(gaps) > 300 * MS
    assert sorted(gaps)[len(gaps) // 10] > 30 * MS  # and nothing is caught up in a burst


def test_a_node_that_is_away_is_a_value_none_with_a_reason(ask, server):
    gone = server(lambda n: b"")
    refused = {"node": "x", "question": "health", "url": "http://127.0.0.1:1/"}
    child = ask(refused, probe(gone, "y"))
    heard = {child.hear()["node"]: None for _ in range(2)}
    child.stop()
    assert set(heard) == {"x", "y"}
    assert {(o.node, o.value, o.error) for o in ask.seen()} == {
        ("x", None, "refused"),
        ("y", None, "reset"),
    }


def test_it_ends_at_once_with_its_input(server, ask):
    child = ask(probe(server(lambda n: None)), timeout_ns=60_000 * MS)
    child.process.communicate(timeout=5)
    assert child.process.returncode == 0


def test_observations_reach_the_file_while_it_runs(server, ask):
    child = ask(probe(server(lambda n: http({"role": "primary"}))))
    assert wait_until(lambda: len(ask.seen()) > 3, within_s=10)
    os.kill(child.process.pid, signal.SIGKILL)
    assert len(ask.seen()) > 3


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("nonsense", "Expecting value"),
        ([], "not an object"),
        ({"out": "/tmp/x"}, "lacks 'probes'"),
        ({"probes": []}, "lacks 'out'"),
        ({"probes": 5, "out": "/tmp/x"}, "wrong type"),
        ({"probes": [{"node": "a"}], "out": "/tmp/x"}, "lacks 'question'"),
        ({"probes": [], "out": "/nowhere/x"}, "No such file"),
        ({"probes": [], "out": "/tmp/x", "every_ns": -1}, "positive"),
        (
            {"probes": [{"node": "a", "question": "age", "url": "http://x"}], "out": "/tmp/x"},
            "role or health",
        ),
        (
            {"probes": [{"node": "a", "question": "role", "url": "ftp://x"}], "out": "/tmp/x"},
            "no probe speaks 'ftp:'",
        ),
    ],
)
def test_a_bad_configuration_is_one_sentence_and_status_3(config, word):
    child = Child(config)
    said = child.hear()
    assert said["event"] == "error"
    assert word in said["message"]
    assert "\n" not in said["message"]
    assert child.process.wait(10) == 3
    child.process.communicate()


def test_probes_are_found_by_the_scheme_of_the_url():
    assert [type(find_probe(s)).__name__ for s in ("http", "redis")] == ["HttpProbe", "RedisProbe"]
    with pytest.raises(ValueError, match="no probe speaks"):
        find_probe("gopher")


def test_defaults_are_those_of_the_specification():
    config = parse({"probes": [], "out": "/tmp/x"})
    assert (config.every_ns, config.timeout_ns) == (50 * MS, 200 * MS)


def test_it_imports_nothing_heavy():
    code = "import sys, chaoskit.probes.child; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "docker", "pandas", "numpy", "locust"} & set(done.stdout.split())


def test_why_there_is_no_first_answer_is_said_and_later_only_that_there_is_none(server, ask):
    bodies = ({"words": 1}, {"role": "primary"}, {"words": 2})
    one = server(lambda n: http(bodies[min(n // 3, 2)]))
    child = ask(probe(one))
    first, second, third = child.hear(), child.hear(), child.hear()
    assert (first["value"], first["error"]) == (None, "http status 200 without a role")
    assert (second["value"], second["error"]) == ("primary", None)
    assert third["value"] is None
    assert child.stop()[1] == []
