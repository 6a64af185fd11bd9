"""The PostgreSQL client against a real server on loopback, and against one that drops requests."""

import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from postgres_server import Postgres, programs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, by_outcome, stream

from chaoskit.clock import wait_until
from chaoskit.history.records import Flag, Op, Outcome

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

# Deadlines are generous: what is asked here is who fails and how, not how fast.
SLOW = {"deadline_ms": 900, "timeout_ms": 1000}
FOUR = [
    stream("write", 50, **SLOW),
    stream("read", 50, **SLOW),
    stream("write", 5, "new", **SLOW),
    stream("read", 5, "new", **SLOW),
]


@pytest.fixture(scope="module")
def server():
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def fresh(server):
    """The module's server as it was: no tables, no settings of an earlier test."""
    server.sql("DROP TABLE IF EXISTS chaoskit_log, chaoskit_register")
    yield server
    for name in ("synchronous_standby_names", "default_transaction_read_only"):
        set_to(server, name, None)


def set_to(server, name, value):
    told = f"SET {name} = '{value}'" if value is not None else f"RESET {name}"
    loaded = server.sql("SELECT pg_conf_load_time()")
    server.sql(f"ALTER SYSTEM {told}")
    server.sql("SELECT pg_reload_conf()")
    # Only asked for: the postmaster hands it to new sessions when it gets round to it.
    assert wait_until(
        lambda: server.sql("SELECT pg_conf_load_time()") != loaded, within_s=10, every_s=0.02
    )


def load_of(servers, folder, streams, **more):
    places = [getattr(s, "place", s) for s in servers]
    more.setdefault("nodes", places)
    return Load(folder, places, streams, user="postgres", **more)


def final(load, timeout_s=5):
    load.send({"do": "final", "timeout_s": timeout_s})
    return load.event("final")["places"]


def kept_by(load, place):
    return set(np.load(load.folder / "final" / f"{place}.npy")[:, 0].tolist())


def tokens(records, *outcomes):
    chosen = np.isin(records["outcome"], outcomes) & (records["op"] == Op.APPEND)
    return set(records[chosen]["token"].tolist())


def test_tokens_and_registers_are_written_and_read_back(fresh, tmp_path):
    with load_of([fresh], tmp_path, FOUR) as load:
        records = load.run(2.0)
        places = final(load)
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert (definite, ambiguous) == (0, 0)
    assert ok + late + not_sent == len(records)
    acked = tokens(records, Outcome.OK, Outcome.OK_LATE)
    everywhere = {"tokens": len(acked), "distinct": len(acked)}
    assert places == {"frontdoor": everywhere, "pg": everywhere}
    assert kept_by(load, "pg") == acked
    puts = records[(records["op"] == Op.PUT) & (records["sent_ns"] > 0)]
    versions = sorted(fresh.sql("SELECT version FROM chaoskit_register"))
    assert sum(versions) == len(puts)
    assert int(puts["seen"].max()) == versions[-1] > 1
    seen = set(records[records["op"] == Op.GET]["seen"].tolist()) - {0}
    assert seen
    assert seen <= set(puts["token"].tolist())
    new = np.isin(records["stream"], (2, 3)) & (records["sent_ns"] > 0)
    assert ((records["flags"][new] & Flag.NEW_CONNECTION) != 0).all()


def test_a_commit_that_hangs_ends_at_the_timeout_as_ambiguous_and_is_found_afterwards(
    fresh, tmp_path
):
    streams = [stream("write", 20, timeout_ms=300)]
    with load_of([fresh], tmp_path, streams, options={"put_share": 0}) as load:
        load.start()
        load.sleep_until(1.0)
        set_to(fresh, "synchronous_standby_names", "nobody")  # from now on commits wait for ever
        load.sleep_until(2.5)
        records = load.stop()
        # A wait that is over acknowledges to nobody: its client has gone.
        set_to(fresh, "synchronous_standby_names", None)
        until = time.monotonic() + 10
        while fresh.sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
            assert time.monotonic() < until
            time.sleep(0.05)
        places = final(load)
    hung = records[records["outcome"] == Outcome.AMBIGUOUS]
    assert len(hung) >= 15
    assert load.errors(hung) == {"timeout after send"}
    took = hung["done_ns"] - hung["sent_ns"]
    assert took.min() >= 300 * MS
    assert np.median(took) < 450 * MS
    assert tokens(records, Outcome.AMBIGUOUS) <= kept_by(load, "pg"), "they were committed"
    assert places["pg"]["tokens"] == places["pg"]["distinct"]


def test_a_cancelled_wait_for_a_standby_is_no_acknowledgement(fresh, tmp_path):
    """The server says INSERT 0 1, and a warning that nobody but itself has the row."""
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'chaoskit' AND wait_event = 'SyncRep'"
    )
    streams = [stream("write", 20, deadline_ms=1500, timeout_ms=2000)]
    with load_of([fresh], tmp_path, streams, options={"put_share": 0}) as load:
        load.start()
        load.sleep_until(0.5)
        set_to(fresh, "synchronous_standby_names", "nobody")
        cancelled = 0
        while cancelled < 5:
            cancelled += len(fresh.sql(cancel))
            time.sleep(0.05)
        set_to(fresh, "synchronous_standby_names", None)
        load.sleep_until(1.5)
        records = load.stop()
    told = records[records["outcome"] == Outcome.AMBIGUOUS]
    assert len(told) >= 5
    assert load.errors(told) == {"acknowledged without its synchronous standby"}


def test_a_server_that_turns_read_only_refuses_definitely(fresh, tmp_path):
    # "any": a front door that never asks, as a proxy's; else the client would not even try.
    options = {"session": "any", "put_share": 0}
    with load_of([fresh], tmp_path, [stream("write", 50, **SLOW)], options=options) as load:
        load.start()
        load.sleep_until(0.5)
        set_to(fresh, "default_transaction_read_only", "on")
        load.sleep_until(1.5)
        records = load.stop()
        final(load)
    refused = records[records["outcome"] == Outcome.FAIL_DEFINITE]
    assert len(refused) >= 20
    assert load.errors(refused) == {"SQLSTATE 25006"}
    assert not tokens(records, Outcome.FAIL_DEFINITE) & kept_by(load, "pg")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_when_the_server_ends_what_was_under_way_is_ambiguous_and_nothing_is_lost(
    fresh, tmp_path, how
):
    with load_of([fresh], tmp_path, FOUR) as load:
        load.start()
        load.sleep_until(1.0)
        fresh.stop(how)
        time.sleep(0.7)
        fresh.start()
        load.sleep_until(3.5)
        records = load.stop()
        final(load)
    refused = records[records["outcome"] == Outcome.FAIL_DEFINITE]
    assert "connection refused" in load.errors(refused)
    ambiguous = records[records["outcome"] == Outcome.AMBIGUOUS]
    assert load.errors(ambiguous) <= {
        "SQLSTATE FATAL 57P01",
        "SQLSTATE FATAL 57P02",
        "closed without an answer",
        "connection reset",
        "timeout after send",
    }
    kept = kept_by(load, "pg")
    assert tokens(records, Outcome.OK, Outcome.OK_LATE) <= kept
    assert not tokens(records, Outcome.FAIL_DEFINITE) & kept
    for index in range(4):
        good = records[(records["stream"] == index) & (records["outcome"] == Outcome.OK)]
        assert good["due_ns"].max() > load.at_ns + 2800 * MS, f"stream {index} did not come back"


# ---------------------------------------------------------------- a list of hosts


def test_clients_with_a_list_of_hosts_find_the_one_that_takes_writes_and_the_next(tmp_path):
    with Postgres(wal_level="replica", max_wal_senders=4) as primary:
        standby = Postgres()
        copy = ("pg_basebackup", "-R", "-c", "fast", "-X", "stream", "-U", "postgres")
        standby.run(
            programs() / copy[0], *copy[1:], "-h127.0.0.1", f"-p{primary.port}", "-D", standby.data
        )
        places = [
            {"node": "standby", "url": f"postgres://127.0.0.1:{standby.port}"},
            {"node": "primary", "url": f"postgres://127.0.0.1:{primary.port}"},
        ]
        try:
            standby.start()
            with load_of(places, tmp_path, FOUR) as load:
                load.start()
                load.sleep_until(1.5)
                primary.stop(signal.SIGQUIT)
                time.sleep(0.7)
                standby.sql("SELECT pg_promote()")
                load.sleep_until(4.5)
                records = load.stop()
                found = final(load)
        finally:
            standby.__exit__()
    servers = load.texts()["servers"]
    good = records[records["outcome"] == Outcome.OK]
    assert {servers[i] for i in np.unique(good["server"])} == {"standby", "primary"}
    first = good[good["due_ns"] < load.at_ns + 1000 * MS]
    assert {servers[i] for i in np.unique(first["server"])} == {"primary"}, "reads as well"
    refused = records[records["outcome"] == Outcome.FAIL_DEFINITE]
    assert load.errors(refused) & {"postgres: the session is read-only", "connection refused"}
    assert (refused["attempt"] == 2).any(), "both were asked"
    for index in range(4):
        mine = good[good["stream"] == index]
        last = mine[mine["due_ns"].argmax()]
        assert last["due_ns"] > load.at_ns + 3800 * MS
        assert servers[int(last["server"])] == "standby"
    assert "tokens" in found["frontdoor"]
    assert "could not be read back" in found["primary"]["error"]


# ---------------------------------------------------------------- hidden retries


class DroppingProxy:
    """Between client and server; hangs up on each tenth statement without an answer.

    Every second one of those reaches the server all the same: whoever sends it again then writes
    it twice.
    """

    SYNC = b"S\x00\x00\x00\x04"  # ends what a client sends for one statement

    def __init__(self, port):
        self.upstream, self.asked, self.dropped = port, 0, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.place = {
            "node": "pg",
            "url": f"postgres://127.0.0.1:{self.listener.getsockname()[1]}",
        }
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            for pump in (self.ask, self.answer):
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def ask(self, client, server):
        try:
            while data := client.recv(65536):
                number = 0
                if data.endswith(self.SYNC) and b"INSERT" in data:
                    with self.lock:
                        self.asked += 1
                        if self.asked % 10 == 0:
                            self.dropped += 1
                            number = self.dropped
                if number:
                    client.shutdown(socket.SHUT_RDWR)
                    if number % 2:
                        server.sendall(data)
                        time.sleep(0.05)
                    break
                server.sendall(data)
        except OSError:
            pass
        finally:
            for end in (client, server):
                end.close()

    def answer(self, client, server):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass


def test_every_statement_that_was_dropped_without_an_answer_is_recorded_as_failed(fresh, tmp_path):
    fresh.sql("CREATE TABLE chaoskit_log (token numeric(20) NOT NULL)")
    proxy = DroppingProxy(fresh.port)
    streams = [stream("write", 100, **SLOW), stream("write", 10, "new", **SLOW)]
    options = {"put_share": 0, "set_up": []}
    with load_of([proxy.place], tmp_path, streams, nodes=[fresh.place], options=options) as load:
        records = load.run(3.0)
        asked, dropped = proxy.asked, proxy.dropped
        final(load)
        proxy.listener.close()
    sent = records[records["outcome"] != Outcome.NOT_SENT]
    failed = sent[sent["outcome"] == Outcome.AMBIGUOUS]
    assert asked == len(sent)
    assert dropped > 20
    assert len(failed) == dropped
    assert load.errors(failed) <= {"closed without an answer", "connection reset"}
    assert (sent["attempt"] == 1).all(), "nothing was asked again behind the back"
    servers = load.texts()["servers"]
    answered = sent[sent["outcome"] == Outcome.OK]
    assert {servers[i] for i in np.unique(answered["server"])} == {"pg"}, (
        "the one behind the front door"
    )
    kept = np.load(tmp_path / "final" / "pg.npy")
    assert (kept[:, 1] == 1).all(), "nothing was written twice"
    reached = tokens(records, Outcome.AMBIGUOUS) & set(kept[:, 0].tolist())
    assert abs(len(reached) - dropped / 2) <= 1
