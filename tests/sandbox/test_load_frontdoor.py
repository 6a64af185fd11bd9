"""Which endpoint is asked, over which connection, and what is never asked twice."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "load"))

from load_rig import MS, Load, Stub, by_outcome, stream

from chaoskit.history.records import Flag, Outcome

pytestmark = pytest.mark.loopback


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
        Load(tmp_path, [a, b], [stream("write", 50, timeout_ms=200)]) as load,
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
