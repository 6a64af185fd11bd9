"""What became of every request, against servers that misbehave: exact, and nothing hidden."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, Stub, blocking, by_outcome, stream

from chaoskit.history.records import Flag, Op, Outcome

pytestmark = pytest.mark.loopback


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
    brief = {"timeout_ms": 200} if behaviour == "drop" else {}
    streams = [stream("write", 50, **brief), stream("read", 50, "new", **brief)]
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


NAMED = {"X-Chaoskit-Node": "a"}
WRITE = {"method": "POST", "path": "/log", "body": "{token}"}


@pytest.mark.parametrize(
    ("op", "headers", "write", "outcome"),
    [
        ("write", {}, None, Outcome.AMBIGUOUS),  # a proxy, and what became of it nobody knows
        ("write", NAMED, None, Outcome.FAIL_DEFINITE),  # a node itself
        ("write", {}, {**WRITE, "definite": [503]}, Outcome.FAIL_DEFINITE),  # declared
        ("write", NAMED, {**WRITE, "definite": [421]}, Outcome.AMBIGUOUS),  # declared otherwise
        ("read", {}, None, Outcome.FAIL_DEFINITE),  # nothing could have been executed
    ],
)
def test_a_503_is_definite_where_a_node_says_it_of_itself_or_the_load_does(
    tmp_path, op, headers, write, outcome
):
    options = {"write": write} if write else {}
    with (
        Stub(lambda *_: (503, headers), anonymous=True) as stub,
        Load(tmp_path, [stub], [stream(op, 50)], options=options) as load,
    ):
        records = load.run(0.6)
    sent = records[records["outcome"] != Outcome.NOT_SENT]
    assert set(sent["outcome"].tolist()) == {outcome}
    assert load.errors(sent) == {"HTTP 503"}
    assert sum(by_outcome(records)) == len(records)


@pytest.mark.parametrize("anonymous", [True, False])
def test_after_a_503_of_nobody_a_write_is_not_sent_elsewhere_but_later_ones_are(
    tmp_path, anonymous
):
    with (
        Stub(lambda *_: (503, {}), name="a", anonymous=anonymous) as a,
        Stub(name="b") as b,
        Load(tmp_path, [a, b], [stream("write", 50)]) as load,
    ):
        records = load.run(0.6)
    sent = np.sort(records[records["sent_ns"] > 0], order="due_ns")
    first, rest = sent[0], sent[sent["due_ns"] > sent[0]["done_ns"]]
    assert first["attempt"] == (1 if anonymous else 2)
    assert first["outcome"] == (Outcome.AMBIGUOUS if anonymous else Outcome.OK)
    assert set(rest["outcome"].tolist()) <= {Outcome.OK, Outcome.OK_LATE}
    assert len(b.tokens) > 20


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
    streams = [stream("write", 20, deadline_ms=100)]
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

    streams = [stream("write", 100, timeout_ms=200), stream("write", 20, "new", timeout_ms=200)]
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


def test_a_stall_of_everything_does_not_let_the_table_of_descriptors_grow(tmp_path):
    """Its growth stops the whole generator for 5 to 22 ms, in the middle of the stall."""

    def slots():
        status = Path(f"/proc/{load.process.pid}/status").read_text()
        return int(status.partition("FDSize:")[2].split()[0])

    streams = [stream("write", 200), stream("read", 200)]
    with Stub(lambda *_: "drop") as stub, Load(tmp_path, [stub], streams) as load:
        load.event("ready")
        before = slots()
        load.at_ns = time.monotonic_ns() + 100 * MS
        load.send({"do": "start", "at_ns": load.at_ns})
        load.sleep_until(2.0)
        held = len(list(Path(f"/proc/{load.process.pid}/fd").iterdir()))
        assert held > 600  # more than any table that nobody made larger has to begin with
        assert slots() == before >= held
        load.process.kill()
