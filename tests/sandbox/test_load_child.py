"""The load as a process against servers that misbehave: every count is exact, nothing is hidden."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, Stub, by_outcome, read, stream

from chaoskit.history.records import Flag, Op, Outcome

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


def assert_every_slot_has_one_record(load, records, streams):
    """due = ok + ok_late + fail_definite + ambiguous + not_sent, and none of the slots is moved."""
    shortest = 1e9 / max(s["rate"] for s in streams)
    for index, one in enumerate(streams):
        due = np.sort(records["due_ns"][records["stream"] == index])
        first = load.at_ns + int(shortest * index / len(streams))
        expected = first + (np.arange(len(due)) * (1e9 / one["rate"])).astype(np.int64)
        assert np.array_equal(due, expected)
        assert sum(by_outcome(records[records["stream"] == index])) == len(due)


def test_a_healthy_server_is_asked_by_four_combs_and_every_answer_is_recorded(tmp_path):
    streams = [
        stream("write", 100),
        stream("read", 100),
        stream("write", 10, "new"),
        stream("read", 10, "new"),
    ]
    with Stub() as stub, Load(tmp_path, [stub], streams, nodes=[stub]) as load:
        records = load.run(2.0)
        load.send({"do": "final", "timeout_s": 5})
        places = load.event("final")["places"]
    assert_every_slot_has_one_record(load, records, streams)
    sent = records[records["outcome"] != Outcome.NOT_SENT]
    assert set(np.unique(sent["outcome"]).tolist()) <= {Outcome.OK, Outcome.OK_LATE}
    assert len(sent) == len(stub.seen) - 2  # two final reads
    assert (sent["sent_ns"] >= sent["due_ns"]).all()
    assert (sent["done_ns"] > sent["sent_ns"]).all()
    assert (sent["epoch"] == 7).all()
    assert (sent["attempt"] == 1).all()
    assert load.texts()["servers"][int(sent["server"][0])] == "a"
    new = np.isin(sent["stream"], (2, 3))
    assert ((sent["flags"][new] & Flag.NEW_CONNECTION) != 0).all()
    assert ((sent["flags"][~new] & Flag.NEW_CONNECTION) != 0).sum() < 20
    gets = sent[sent["op"] == Op.GET]
    assert (gets["seen"] == 12345678901234567890).all()
    assert set(gets["key"].tolist()) == set(range(1, 9))
    appends = sent[sent["op"] == Op.APPEND]
    puts = sent[sent["op"] == Op.PUT]
    assert abs(len(puts) / (len(puts) + len(appends)) - 0.2) < 0.05
    tokens = np.concatenate([appends["token"], puts["token"]]).tolist()
    assert len(set(tokens)) == len(tokens)
    assert {token >> 48 for token in tokens} == {3}
    assert sorted(stub.tokens) == sorted(appends["token"].tolist())
    assert places == {
        "frontdoor": {"tokens": len(appends), "distinct": len(appends)},
        "a": {"tokens": len(appends), "distinct": len(appends)},
    }
    table = np.load(tmp_path / "final" / "a.npy")
    assert table.dtype == np.uint64
    assert table[:, 0].tolist() == sorted(stub.tokens)
    assert (table[:, 1] == 1).all()


@pytest.mark.parametrize("connections", ["kept", "new"])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("op", ["read", "write"])
def test_every_tenth_request_closed_without_an_answer_is_recorded_as_bad(
    tmp_path, connections, how, op
):
    with (
        Stub(lambda n, *_: how if n % 10 == 9 else "ok") as stub,
        Load(tmp_path, [stub], [stream(op, 200, connections)]) as load,
    ):
        records = load.run(1.5)
    _, _, definite, ambiguous, not_sent = by_outcome(records)
    assert ambiguous == stub.done[how] >= 20
    assert definite == 0
    assert len(stub.seen) == len(records) - not_sent  # each was sent once and once only
    bad = records[records["outcome"] == Outcome.AMBIGUOUS]
    assert load.errors(bad) <= {"closed without an answer", "connection reset"}
    assert ((bad["flags"] & Flag.TIMED_OUT) == 0).all()


@pytest.mark.parametrize(
    ("behaviour", "outcome", "error"),
    [
        ((503, {}), Outcome.FAIL_DEFINITE, "HTTP 503"),
        ((421, {}), Outcome.FAIL_DEFINITE, "HTTP 421"),
        ((504, {}), Outcome.AMBIGUOUS, "HTTP 504"),
        ((500, {}), Outcome.AMBIGUOUS, "HTTP 500"),
        ("drop", Outcome.AMBIGUOUS, "timeout after send"),
    ],
)
def test_an_answer_or_its_absence_is_classified_by_what_it_proves(
    tmp_path, behaviour, outcome, error
):
    streams = [stream("write", 50), stream("read", 50, "new")]
    with Stub(lambda *_: behaviour) as stub, Load(tmp_path, [stub], streams) as load:
        records = load.run(1.0)
    assert_every_slot_has_one_record(load, records, streams)
    sent = records[records["outcome"] != Outcome.NOT_SENT]
    assert set(sent["outcome"].tolist()) == {outcome}
    assert load.errors(sent) == {error}
    if behaviour == "drop":
        took = sent["done_ns"] - sent["sent_ns"]
        assert (took >= 190 * MS).all()
        assert ((sent["flags"] & Flag.TIMED_OUT) != 0).all()


def test_where_nobody_listens_every_request_is_definitely_refused(tmp_path):
    with Stub() as stub:
        place = stub.place
    streams = [stream("write", 100), stream("write", 50, "new")]
    with Load(tmp_path, [place], streams) as load:
        records = load.run(1.0)
    sent = records[records["outcome"] != Outcome.NOT_SENT]
    assert set(sent["outcome"].tolist()) == {Outcome.FAIL_DEFINITE}
    assert load.errors(sent) == {"connection refused"}
    assert (sent["attempt"] == 1).all()


def test_deadline_and_timeout_are_different_knobs(tmp_path):
    streams = [stream("write", 20, deadline_ms=100, timeout_ms=1000)]
    with (
        Stub(lambda n, *_: 0.3 if n % 2 else "ok") as stub,
        Load(tmp_path, [stub], streams) as load,
    ):
        records = load.run(2.0)
    ok, late, definite, ambiguous, _ = by_outcome(records)
    assert late >= 15
    assert ok >= 10
    assert definite == ambiguous == 0
    took = records["done_ns"] - records["due_ns"]
    assert (took[records["outcome"] == Outcome.OK] <= 100 * MS).all()
    assert (took[records["outcome"] == Outcome.OK_LATE] > 100 * MS).all()


def test_requests_due_during_a_stall_are_really_sent_and_not_at_its_end(tmp_path):
    stall_until = [0]

    def behave(_n, *_):
        return max(0.0, stall_until[0] - time.monotonic())

    streams = [stream("write", 100), stream("write", 20, "new")]
    with Stub(behave) as stub, Load(tmp_path, [stub], streams) as load:
        start_ns = load.start()
        load.sleep_until(1.0)
        stall_until[0] = time.monotonic() + 2.0
        begin_ns = time.monotonic_ns()
        load.sleep_until(4.0)
        records = load.stop()
    assert_every_slot_has_one_record(load, records, streams)
    end_ns = begin_ns + 2000 * MS
    window = records[(records["due_ns"] > begin_ns) & (records["due_ns"] < end_ns)]
    assert len(window) >= 230
    assert (window["sent_ns"] > 0).sum() >= 0.99 * len(window)
    arrived = np.array([t for t, *_ in stub.seen])
    during = ((arrived > begin_ns) & (arrived < end_ns)).sum()
    assert during >= 0.95 * len(window)
    assert start_ns == load.at_ns
    # What was due before the stall is good, what was due in its middle timed out.
    middle = window[(window["due_ns"] < end_ns - 300 * MS)]
    middle = middle[middle["sent_ns"] > 0]
    assert set(middle["outcome"].tolist()) == {Outcome.AMBIGUOUS}


def test_slots_missed_by_a_stalled_generator_are_not_sent_and_never_made_up_for(tmp_path):
    streams = [stream("write", 200)]
    options = blocking(tmp_path, slot=100, seconds=0.6)
    with Stub() as stub, Load(tmp_path, [stub], streams, options=options, user="Sleepy") as load:
        records = load.run(2.5)
    assert_every_slot_has_one_record(load, records, streams)
    missed = records[records["outcome"] == Outcome.NOT_SENT]
    # 0.6 s at 200/s are 120 slots, of which those of the last 50 ms may still go out.
    assert len(missed) >= 100
    assert (missed["sent_ns"] == 0).all()
    assert (missed["done_ns"] == 0).all()
    assert (missed["attempt"] == 0).all()
    assert load.errors(missed) == {"not sent: the load itself was late"}
    sent = records[records["sent_ns"] > 0]
    late = sent["sent_ns"] - sent["due_ns"]
    assert late.max() <= 75 * MS  # the bound, and what it takes to start those that are left
    # No 20 ms of sending hold more than the slots that were due in the bound before them.
    starts = np.sort(sent["sent_ns"])
    most = max(np.searchsorted(starts, starts + 20 * MS) - np.arange(len(starts)))
    assert most <= (50 + 20) * 200 / 1000 + 3


def test_a_refusal_with_a_hint_is_followed_at_once_and_remembered(tmp_path):
    with (
        Stub(lambda *_: (421, {"X-Chaoskit-Primary": "b"}), name="a") as a,
        Stub(name="x") as x,
        Stub(name="b") as b,
        Load(tmp_path, [a, x, b], [stream("write", 50)]) as load,
    ):
        records = load.run(1.0)
    ok, late, *rest = by_outcome(records)
    assert ok + late + rest[-1] == len(records)
    assert len(a.seen) <= 2
    assert x.seen == []
    first = records[records["due_ns"].argmin()]
    assert first["attempt"] == 2
    assert first["flags"] & Flag.REDIRECTED
    rest = records[records["due_ns"] > first["done_ns"]]
    assert (rest[rest["sent_ns"] > 0]["attempt"] == 1).all()
    assert load.texts()["servers"][int(first["server"])] == "b"


def test_after_a_refused_connection_the_same_request_goes_to_the_next_endpoint(tmp_path):
    with Stub(name="a") as gone:
        place = gone.place
    with Stub(name="b") as b, Load(tmp_path, [place, b], [stream("write", 50)]) as load:
        records = load.run(1.0)
    sent = records[records["sent_ns"] > 0]
    assert set(sent["outcome"].tolist()) <= {Outcome.OK, Outcome.OK_LATE}
    assert int(sent[sent["due_ns"].argmin()]["attempt"]) == 2
    assert (sent["attempt"] == 2).sum() <= 2


@pytest.mark.parametrize("how", ["drop", "close"])
def test_an_ambiguous_write_is_never_sent_elsewhere_but_later_ones_start_there(tmp_path, how):
    with (
        Stub(lambda *_: how, name="a") as a,
        Stub(name="b") as b,
        Load(tmp_path, [a, b], [stream("write", 50)]) as load,
    ):
        records = load.run(1.5)
    assert not set(a.tokens) & set(b.tokens)
    unknown = records[records["outcome"] == Outcome.AMBIGUOUS]
    assert len(unknown) == len(a.seen) >= 1
    assert (unknown["attempt"] == 1).all()
    assert ((unknown["flags"] & Flag.REDIRECTED) == 0).all()
    assert by_outcome(records)[0] > 20
    last_start = unknown["sent_ns"].max()
    assert last_start < load.at_ns + 600 * MS  # one timeout after the first, nobody asks a


def test_two_backups_that_point_at_each_other_are_asked_a_bounded_number_of_times(tmp_path):
    with (
        Stub(lambda *_: (421, {"X-Chaoskit-Primary": "b"}), name="a") as a,
        Stub(lambda *_: (421, {"X-Chaoskit-Primary": "a"}), name="b") as b,
        Load(tmp_path, [a, b], [stream("write", 20)]) as load,
    ):
        records = load.run(1.0)
    sent = records[records["sent_ns"] > 0]
    assert set(sent["outcome"].tolist()) == {Outcome.FAIL_DEFINITE}
    assert sent["attempt"].max() == 3
    assert len(a.seen) + len(b.seen) == sent["attempt"].sum()


def test_a_kept_connection_that_the_server_closed_while_idle_is_replaced_before_sending(tmp_path):
    with (
        Stub(lambda *_: "hang_up") as stub,
        Load(tmp_path, [stub], [stream("write", 20)]) as load,
    ):
        records = load.run(1.5)
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert (definite, ambiguous) == (0, 0)
    assert ok + late == stub.accepted == len(stub.seen)
    assert ok + late + not_sent == len(records)


def test_the_first_transport_error_flushes_every_kept_connection_of_that_endpoint(tmp_path):
    slow = [True]
    with (
        Stub(lambda n, *_: "reset" if n == 60 else 0.1 if slow[0] else "ok") as stub,
        Load(tmp_path, [stub], [stream("write", 50, timeout_ms=1000)]) as load,
    ):
        load.start()
        load.sleep_until(1.0)
        pooled = stub.accepted  # about rate x 100 ms of them are kept
        load.sleep_until(2.0)
        load.stop()
    assert pooled >= 3
    assert stub.accepted >= pooled + 3  # they were not used again


def test_records_survive_a_killed_load_up_to_the_last_flush(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream("write", 200)]) as load:
        load.start()
        load.sleep_until(1.5)
        killed_ns = time.monotonic_ns()
        load.process.send_signal(signal.SIGKILL)
        load.process.wait(5)
    records = read(tmp_path / "requests.raw")
    assert (tmp_path / "requests.raw").stat().st_size % 64 == 0
    assert len(records) >= 200
    assert killed_ns - records["done_ns"].max() <= 400 * MS  # 100 ms, and a busy machine
    texts = load.texts()
    assert records["server"].max() < len(texts["servers"])
    assert texts["streams"][0]["name"] == "write"


@pytest.mark.parametrize("blocked", [False, True])
def test_the_load_dies_at_once_when_its_standard_input_closes(tmp_path, blocked):
    options = blocking(tmp_path, slot=50, seconds=20) if blocked else None
    user = "Sleepy" if blocked else "http-kv"
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream("write", 100)], options=options, user=user) as load,
    ):
        load.start()
        load.sleep_until(1.0)
        begin = time.monotonic()
        load.process.stdin.close()
        load.process.wait(10)
        assert time.monotonic() - begin < 0.5 * 3  # half a second, thrice on a busy machine
        arrived = len(stub.seen)
        time.sleep(0.3)
        assert len(stub.seen) == arrived


def test_the_load_dies_when_its_parent_dies_even_if_its_input_stays_open(tmp_path):
    middle = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'chaoskit.load.child'])\n"
        "print(p.pid, file=sys.stderr, flush=True)\n"
        "p.wait()\n"
    )
    with Stub() as stub:
        config = {
            "user": "http-kv",
            "endpoints": [stub.place],
            "streams": [stream()],
            "requests": str(tmp_path / "r"),
            "strings": str(tmp_path / "s"),
            "final": str(tmp_path / "f"),
        }
        with subprocess.Popen(
            [sys.executable, "-c", middle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            pid = int(process.stderr.readline())
            process.stdin.write(json.dumps(config).encode() + b"\n")
            assert json.loads(process.stdout.readline()) == {"event": "ready"}
            process.kill()
            until = time.monotonic() + 0.5 * 4
            while running(pid) and time.monotonic() < until:
                time.sleep(0.02)
            assert not running(pid)
            assert not process.stdin.closed


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"user": "no-such"}, "no load is called 'no-such'"),
        ({"options": {"regsters": 3}}, "regsters is not known"),
        ({"options": {"registers": -1}}, "registers is -1"),
        ({"options": {"write": {"path": "log"}}}, "cannot ask for POST 'log'"),
        ({"endpoints": []}, "no endpoints"),
        ({"endpoints": [{"node": "a", "url": "redis://127.0.0.1"}]}, "not http://"),
        ({"streams": []}, "no streams"),
        ({"streams": [stream(op="scan")]}, "op is 'scan'"),
        ({"options": {"locustfile": "/nowhere.py"}}, "locustfile /nowhere.py"),
    ],
)
def test_a_bad_configuration_is_one_sentence_and_exit_status_3(tmp_path, change, words):
    config = {
        "user": "http-kv",
        "endpoints": [{"node": "a", "url": "http://127.0.0.1:1"}],
        "streams": [stream()],
        "requests": str(tmp_path / "r"),
        "strings": str(tmp_path / "s"),
        "final": str(tmp_path / "f"),
    } | change
    done = subprocess.run(
        [sys.executable, "-m", "chaoskit.load.child"],
        input=json.dumps(config).encode() + b"\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode in (0, 3)  # 0: its input was closed before it came to the mistake
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 3:
        assert [line["event"] for line in lines] == ["error"]
        assert words in lines[0]["message"]
        assert "\n" not in lines[0]["message"]
    assert b"Traceback" not in done.stderr


def test_a_parent_that_does_not_read_cannot_stop_the_load(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream("write", 50)]) as load:
        load.small_pipe()
        load.start()
        load.sleep_until(6.0)
        records = read(tmp_path / "requests.raw")
        assert records["due_ns"].max() > load.at_ns + 5000 * MS
        assert (records["outcome"] == Outcome.NOT_SENT).sum() < 5
        load.stop()


def test_ticks_count_up_and_agree_with_the_records(tmp_path):
    with (
        Stub(lambda n, *_: (503, {}) if n % 5 == 4 else "ok") as stub,
        Load(tmp_path, [stub], [stream("write", 100)]) as load,
    ):
        load.start()
        first = load.event("tick")
        second = load.event("tick")
        load.sleep_until(1.0)
        load.send({"do": "stop"})
        ticks = []
        while True:
            try:
                ticks.append(load.event("tick", within_s=1.0))
            except AssertionError:
                break
        last = ticks[-1]
        records = load.records()
    assert first["due"] < second["due"] <= last["due"] == len(records)
    ok, late, definite, ambiguous, not_sent = by_outcome(records)
    assert last["ok"] == ok
    assert last["bad"] == late + definite + ambiguous
    assert last["not_sent"] == not_sent
    assert last["streams"]["write"]["due"] == len(records)
    good = np.isin(records["outcome"], (Outcome.OK, Outcome.OK_LATE))
    assert last["last_write_ok_ns"] == records["done_ns"][good].max()
    assert first["lag_max_ms"] >= first["lag_p99_ms"] >= 0


def test_final_reads_are_bounded_and_what_cannot_be_read_is_a_sentence(tmp_path):
    with Stub() as gone:
        place = gone.place | {"node": "dead"}
    with (
        Stub() as stub,
        Stub(lambda _n, method, _p: "drop" if method == "GET" else "ok", name="mute") as mute,
        Load(tmp_path, [stub], [stream("write", 50)], nodes=[stub, place, mute]) as load,
    ):
        load.run(0.5)
        begin = time.monotonic()
        load.send({"do": "final", "timeout_s": 2})
        places = load.event("final")["places"]
        took = time.monotonic() - begin
    assert took < 2 + 3
    assert places["a"]["tokens"] == places["frontdoor"]["tokens"] == len(stub.tokens) > 0
    assert "could not be read back" in places["dead"]["error"]
    assert "connection refused" in places["dead"]["error"]
    assert "could not be read back within" in places["mute"]["error"]
    assert {p.name for p in (tmp_path / "final").iterdir()} == {"frontdoor.npy", "a.npy"}


def test_another_http_service_is_described_by_options_alone(tmp_path):
    options = {
        "write": {"method": "put", "path": "/things/{token}", "body": "x={token}", "ok": [200]},
        "read": {"path": "/things"},
        "headers": {"Authorization": "Bearer t"},
    }
    streams = [stream("write", 50), stream("read", 50)]
    with Stub() as stub, Load(tmp_path, [stub], streams, nodes=[stub], options=options) as load:
        records = load.run(0.6)
        load.send({"do": "final", "timeout_s": 2})
        places = load.event("final")["places"]
    assert by_outcome(records)[2:4] == (0, 0)
    paths = {(method, path.split("/")[1]) for _, method, path, _ in stub.seen}
    assert paths == {("PUT", "things"), ("GET", "things")}
    writes = [(path, body) for _, method, path, body in stub.seen if method == "PUT"]
    assert all(body.decode() == f"x={path.split('/')[2]}" for path, body in writes)
    assert "read_back" in places["a"]["error"]


def test_locust_really_carries_the_load_and_its_listeners_hear_every_request(tmp_path):
    heard = tmp_path / "heard"
    path = tmp_path / "plugged.py"
    path.write_text(
        "import locust\n"
        "from chaoskit.load.users.http_kv import HttpKv\n"
        f"file = open({str(heard)!r}, 'a', buffering=1)\n"
        "@locust.events.request.add_listener\n"
        "def on_request(request_type, name, response_time, exception, **rest):\n"
        "    print(request_type, name, exception or '-', file=file)\n"
        "@locust.events.test_start.add_listener\n"
        "def on_test_start(environment, **rest):\n"
        "    print('start', type(environment.runner).__name__, file=file)\n"
        "class Mine(HttpKv):\n"
        "    pass\n"
    )
    options = {"locustfile": str(path)}
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream("read", 50)], options=options, user="Mine") as load,
    ):
        records = load.run(0.6)
    lines = heard.read_text().splitlines()
    assert lines[0] == "start LocalRunner"
    assert lines.count("GET read -") == (records["sent_ns"] > 0).sum()


def test_a_defect_in_a_client_ends_the_load_with_a_sentence_instead_of_a_wrong_record(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(
        "from chaoskit.load.users.http_kv import HttpKv\n"
        "class Broken(HttpKv):\n"
        "    def perform(self, operation):\n"
        "        if operation.slot == 20:\n"
        "            raise KeyError('planted')\n"
        "        return super().perform(operation)\n"
    )
    options = {"locustfile": str(path)}
    with (
        Stub() as stub,
        Load(tmp_path, [stub], [stream()], options=options, user="Broken") as load,
    ):
        load.start()
        with pytest.raises(
            AssertionError, match=r"the load broke: KeyError: 'planted' in broken\.py:5"
        ):
            load.event("stopped")
        assert load.process.wait(5) == 4


def test_the_load_ignores_an_interrupt_because_the_harness_decides_what_it_means(tmp_path):
    with Stub() as stub, Load(tmp_path, [stub], [stream()]) as load:
        load.start()
        load.sleep_until(0.3)
        os.kill(load.process.pid, signal.SIGINT)
        load.sleep_until(0.8)
        records = load.stop()
    assert records["due_ns"].max() > load.at_ns + 700 * MS
