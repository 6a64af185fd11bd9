"""The Redis client against real servers and sentinels on loopback."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, by_outcome, stream

from chaoskit.history.records import Flag, Op, Outcome

pytestmark = pytest.mark.redis


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for one in sockets:
        one.close()
    return ports


def call(port, *words):
    """One command, its raw answer: no library, so that nothing is hidden."""
    text = b"*%d\r\n" % len(words)
    for word in words:
        data = str(word).encode()
        text += b"$%d\r\n%s\r\n" % (len(data), data)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text)
        return connection.recv(65536).decode()


class Redis:
    """One primary, two replicas, three sentinels."""

    def __init__(self, folder, down_after_ms=500):
        self.folder = folder
        self.processes = []
        *self.servers, a, b, c = free_ports(6)
        self.sentinels = [a, b, c]
        for port in self.servers:
            more = (
                []
                if port == self.servers[0]
                else ["--replicaof", "127.0.0.1", str(self.servers[0])]
            )
            self.spawn(
                port,
                "redis-server",
                "--port",
                port,
                "--save",
                "",
                "--appendonly",
                "no",
                "--repl-diskless-sync-delay",
                "0",
                *more,
            )
        self.wait(
            lambda: all(
                "master_link_status:up" in call(port, "INFO", "replication")
                for port in self.servers[1:]
            )
        )
        for port in self.sentinels:
            config = folder / f"{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                f"sentinel monitor mymaster 127.0.0.1 {self.servers[0]} 2\n"
                f"sentinel down-after-milliseconds mymaster {down_after_ms}\n"
                "sentinel failover-timeout mymaster 5000\n"
            )
            self.spawn(port, "redis-sentinel", config)
        self.wait(
            lambda: all(
                "num-other-sentinels\r\n$1\r\n2" in call(port, "SENTINEL", "MASTER", "mymaster")
                and "num-slaves\r\n$1\r\n2" in call(port, "SENTINEL", "MASTER", "mymaster")
                for port in self.sentinels
            )
        )

    def spawn(self, port, *argv):
        with (self.folder / f"{port}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log, cwd=self.folder)
            )

    def wait(self, look, within_s=20):
        until = time.monotonic() + within_s
        while True:
            try:
                if look():
                    return
            except OSError:
                pass
            assert time.monotonic() < until, "redis did not come up"
            time.sleep(0.05)

    @property
    def endpoints(self):
        return [
            {"node": f"sentinel-{i}", "url": f"redis-sentinel://127.0.0.1:{port}"}
            for i, port in enumerate(self.sentinels)
        ]

    @property
    def nodes(self):
        return [
            {"node": f"redis-{i}", "url": f"redis://127.0.0.1:{port}"}
            for i, port in enumerate(self.servers)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def load_of(redis, folder, streams, **more):
    return Load(folder, redis.endpoints, streams, nodes=redis.nodes, user="redis-sentinel", **more)


FOUR = [
    stream("write", 50, timeout_ms=400),
    stream("read", 50, timeout_ms=400),
    stream("write", 10, "new", timeout_ms=400),
    stream("read", 10, "new", timeout_ms=400),
]


def test_the_master_is_found_written_to_and_read_back_from_every_node(tmp_path):
    with Redis(tmp_path) as redis, load_of(redis, tmp_path, FOUR) as load:
        records = load.run(2.0)
        load.send({"do": "final", "timeout_s": 5})
        places = load.event("final")["places"]
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert (definite, ambiguous) == (0, 0)
    assert ok + late + not_sent == len(records)
    appends = records[(records["op"] == Op.APPEND) & (records["sent_ns"] > 0)]
    everywhere = {"tokens": len(appends), "distinct": len(appends)}
    assert places == dict.fromkeys(["frontdoor", "redis-0", "redis-1", "redis-2"], everywhere)
    table = np.load(tmp_path / "final" / "redis-2.npy")
    assert table[:, 0].tolist() == sorted(appends["token"].tolist())
    puts = set(records[records["op"] == Op.PUT]["token"].tolist())
    seen = set(records[records["op"] == Op.GET]["seen"].tolist())
    assert seen - {0}
    assert seen - {0} <= puts
    servers = load.texts()["servers"]
    assert {servers[i] for i in set(records[records["sent_ns"] > 0]["server"].tolist())} == {
        "redis-0"
    }
    new = np.isin(records["stream"], (2, 3)) & (records["sent_ns"] > 0)
    assert ((records["flags"][new] & Flag.NEW_CONNECTION) != 0).all()


def test_when_the_master_is_killed_clients_fail_honestly_and_then_follow_the_sentinels(tmp_path):
    with Redis(tmp_path) as redis, load_of(redis, tmp_path, FOUR) as load:
        load.start()
        load.sleep_until(1.5)
        killed_ns = time.monotonic_ns()
        redis.processes[0].kill()
        redis.processes[0].wait()
        load.sleep_until(9.0)
        records = load.stop()
        reply = call(redis.sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
        length = int(call(int(reply.split()[-1]), "LLEN", "chaoskit:log")[1:])
        load.send({"do": "final", "timeout_s": 4})
        places = load.event("final")["places"]
    before = records[(records["done_ns"] < killed_ns) & (records["sent_ns"] > 0)]
    assert set(before["outcome"].tolist()) <= {Outcome.OK, Outcome.OK_LATE}
    bad = records[np.isin(records["outcome"], (Outcome.FAIL_DEFINITE, Outcome.AMBIGUOUS))]
    assert len(bad) >= 20  # at least down-after of them
    assert load.errors(bad) <= {
        "connection refused",
        "connection reset",
        "closed without an answer",
        "no master known to the sentinels",
        "redis READONLY",
        "timeout before anything was sent",
        "timeout after send",
    }
    refused = bad[bad["outcome"] == Outcome.FAIL_DEFINITE]
    assert "connection refused" in load.errors(refused)
    servers = load.texts()["servers"]
    for index in range(4):
        good = records[(records["stream"] == index) & (records["outcome"] == Outcome.OK)]
        last = good[good["due_ns"].argmax()]
        assert last["due_ns"] > load.at_ns + 8000 * MS, f"stream {index} did not come back"
        assert servers[int(last["server"])] in ("redis-1", "redis-2")
    # What Redis kept is for Redis to answer; that this is what was read back is for us.
    kept = np.load(tmp_path / "final" / "frontdoor.npy")[:, 0].tolist()
    assert places["frontdoor"]["tokens"] == length >= len(kept) > 0
    asked = set(records[records["op"] == Op.APPEND]["token"].tolist())
    assert set(kept) <= asked
    assert "could not be read back" in places["redis-0"]["error"]
    assert "tokens" in places["frontdoor"]


def test_a_master_that_was_demoted_refuses_definitely(tmp_path):
    streams = [stream("write", 50, timeout_ms=400)]
    # The sentinels would undo it within ten seconds; the demotion is looked at before.
    with Redis(tmp_path, down_after_ms=60_000) as redis, load_of(redis, tmp_path, streams) as load:
        load.start()
        load.sleep_until(0.7)
        assert "OK" in call(redis.servers[0], "REPLICAOF", "127.0.0.1", redis.servers[1])
        load.sleep_until(1.7)
        records = load.stop()
    refused = records[records["outcome"] == Outcome.FAIL_DEFINITE]
    assert len(refused) >= 20
    assert "redis READONLY" in load.errors(refused)
    assert (refused["server"] > 0).any()


def test_a_sentinel_that_hangs_does_not_hang_the_operations(tmp_path):
    mute = socket.create_server(("127.0.0.1", 0), backlog=512)  # accepts, never answers
    streams = [stream("write", 20, "new", timeout_ms=400, deadline_ms=400)]
    with mute, Redis(tmp_path) as redis:
        first = {"node": "mute", "url": f"redis-sentinel://127.0.0.1:{mute.getsockname()[1]}"}
        endpoints = [first, *redis.endpoints]
        with Load(tmp_path, endpoints, streams, user="redis-sentinel") as load:
            records = load.run(2.0)
    ok, late, *_ = by_outcome(records)
    assert ok + late >= 0.8 * len(records)
    sent = records[records["sent_ns"] > 0]
    assert (sent["done_ns"] - sent["sent_ns"]).max() < 900 * MS


def test_without_any_sentinel_operations_end_in_time_and_nothing_is_ambiguous(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as mute:
        place = {"node": "mute", "url": f"redis-sentinel://127.0.0.1:{mute.getsockname()[1]}"}
        streams = [stream("write", 20, timeout_ms=200)]
        with Load(tmp_path, [place], streams, user="redis-sentinel") as load:
            records = load.run(1.0)
    sent = records[records["sent_ns"] > 0]
    assert set(sent["outcome"].tolist()) == {Outcome.FAIL_DEFINITE}
    assert load.errors(sent) <= {
        "no master known to the sentinels",
        "timeout before anything was sent",
    }
