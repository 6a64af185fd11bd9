"""Two primaries: proven where two acknowledge at once, silent where one follows another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.history.history import FaultRecord, History, Stream, Window
from chaoskit.history.records import Flag, Op, Outcome, empty
from chaoskit.measure.overlap import dual_primary, fencing_latency
from chaoskit.measure.view import View

MS = 1_000_000
A, B, C = 1, 2, 3
FAULT_MS = 100


def history_of(*writes, pinned=True):
    """Each: server, sent and done in ms, and other columns."""
    records = empty(len(writes))
    for row, (server, sent, done, more) in zip(records, writes, strict=True):
        row["op"], row["server"], row["client"] = Op.APPEND, server, 1
        row["due_ns"] = row["sent_ns"] = sent * MS
        row["done_ns"], row["outcome"] = done * MS, more.get("outcome", Outcome.OK)
        row["epoch"], row["stream"] = more.get("epoch", 0), more.get("stream", 0)
        row["flags"] = more.get("flags", 0)
    records["token"] = np.arange(1, len(writes) + 1)
    streams = [Stream("write", "write", 100.0, "kept", MS, 2 * MS)]
    if pinned:
        streams += [
            Stream(f"pinned:{n}", "write", 50.0, "kept", MS, 2 * MS, pinned=n)
            for n in ("node-a", "node-b")
        ]
    at = FAULT_MS * MS
    fault = FaultRecord(0, "kill", "primary", ("node-a",), at, at, at, at, None, None, None)
    servers = ("", "node-a", "node-b", "node-c")
    return History(
        records, tuple(streams), ("",), servers, ("", "client"), (), (fault,),
        Window(0, 0, 10_000 * MS), {}, (),
    )  # fmt: skip


def ack(server, sent, done, **more):
    return (server, sent, done, more)


def no(server, sent, done, **more):
    return (server, sent, done, {"outcome": Outcome.FAIL_DEFINITE, **more})


def both(*writes):
    view = View(history_of(*writes))
    return dual_primary(view), fencing_latency(view)


BEFORE = (ack(A, 10, 12), ack(A, 50, 52))


def test_the_bracket_is_the_two_writer_argument():
    dual, fenced = both(
        *BEFORE, ack(A, 200, 204), ack(B, 150, 153), ack(A, 300, 306), ack(B, 320, 322)
    )
    assert (dual.low_s, dual.high_s) == (pytest.approx(0.147), pytest.approx(0.156))
    assert dual.low_s == pytest.approx((300 - 153) / 1000)
    assert dual.high_s == pytest.approx((306 - 150) / 1000)
    assert "acknowledged by one while another was in office" in dual.note
    assert "first by node-a 0.10 s after the fault" in dual.note or "node-b" in dual.note
    assert (fenced.low_s, fenced.value_s) == (pytest.approx(0.2), pytest.approx(0.206))
    assert fenced.high_s == pytest.approx(0.226)  # its pinned writer asks every 20 ms
    assert fenced.note == "node-a was deposed"


def test_one_after_the_other_is_no_overlap_and_the_old_one_stopped_at_once():
    dual, fenced = both(*BEFORE, ack(B, 150, 153), ack(B, 250, 253))
    assert (dual.value_s, dual.low_s, dual.high_s) == (0.0, 0.0, 0.0)
    assert fenced.value_s == 0.0


def test_writes_that_overlap_in_time_prove_nothing_but_are_possible():
    dual, _ = both(*BEFORE, ack(A, 149, 160), ack(B, 150, 161), ack(B, 200, 201))
    assert dual.low_s == 0.0
    assert dual.high_s == pytest.approx(0.010)


def test_a_single_write_amid_the_reign_of_another_is_a_proof():
    dual, _ = both(*BEFORE, ack(A, 140, 141), ack(B, 150, 153), ack(A, 200, 201))
    assert 0 < dual.low_s < 1e-6
    assert dual.note.startswith("1 writes")


@pytest.mark.parametrize(
    "end_of_reign",
    [
        pytest.param({"between": (no(A, 160, 161, stream=1),)}, id="it refused in between"),
        pytest.param({"epoch": 3}, id="it came back with a new epoch"),
    ],
)
def test_a_return_to_the_first_is_no_overlap(end_of_reign):
    epochs = {A: 1, B: 2} if "epoch" in end_of_reign else {A: 0, B: 0}
    writes = [
        *(ack(A, s, d, epoch=epochs[A]) for _, s, d, _ in BEFORE),
        ack(B, 150, 153, epoch=epochs[B]),
        ack(B, 250, 253, epoch=epochs[B]),
        ack(A, 300, 303, epoch=end_of_reign.get("epoch", 0)),
        ack(A, 400, 403, epoch=end_of_reign.get("epoch", 0)),
        *end_of_reign.get("between", ()),
    ]
    dual, fenced = both(*writes)
    assert (dual.low_s, dual.high_s) == (0.0, 0.0)
    assert fenced.value_s == 0.0


def test_a_timeout_or_a_refused_connection_ends_no_reign():
    lost = (
        no(0, 155, 156, stream=1),
        no(A, 160, 161, stream=1, flags=int(Flag.TIMED_OUT)),
        (A, 165, 166, {"outcome": Outcome.AMBIGUOUS, "stream": 1}),
    )
    dual, _ = both(*BEFORE, *lost, ack(B, 150, 153), ack(B, 190, 193), ack(A, 200, 203))
    assert dual.low_s == pytest.approx(0.037)


def test_of_three_any_two_count_once():
    dual, _ = both(
        *(ack(s, t, t + 1) for s in (A, B, C) for t in range(200, 300, 10)),
        *BEFORE,
    )
    assert dual.low_s == pytest.approx(0.089)


def test_nobody_took_over_or_nobody_is_named():
    dual, fenced = both(*BEFORE, ack(A, 200, 201))
    assert dual.value_s == 0.0
    assert not fenced.applicable
    assert both(*(no(A, 1, 2),)) == (None, None)


def test_without_pinned_writers_it_says_what_it_saw():
    view = View(history_of(*BEFORE, ack(B, 150, 153), pinned=False))
    assert "only through the front door" in dual_primary(view).note


times = st.integers(0, 400)
write = st.tuples(st.sampled_from((A, B, C)), times, st.integers(1, 30)).map(
    lambda w: ack(w[0], w[1], w[1] + w[2])
)


@given(st.lists(write, min_size=1, max_size=12), st.integers(0, 10**6))
def test_the_bracket_is_ordered_and_shifting_changes_nothing(writes, shift):
    history = history_of(*writes)
    found = dual_primary(View(history))
    assert 0 <= found.low_s <= found.high_s
    moved = history.requests.copy()
    for column in ("due_ns", "sent_ns", "done_ns"):
        moved[column] += shift * MS
    fault = replace(
        history.faults[0],
        commanded_ns=history.faults[0].commanded_ns + shift * MS,
        acknowledged_ns=history.faults[0].acknowledged_ns + shift * MS,
    )
    later = replace(history, requests=moved, faults=(fault,))
    assert dual_primary(View(later)) == found


@given(st.lists(write, min_size=2, max_size=8))
def test_a_proof_is_a_proof(writes):
    """Whenever a bracket's low end is above 0, two writes of different servers say so in words."""
    found = dual_primary(View(history_of(*writes)))
    by = {s: [(w[1], w[2]) for w in writes if w[0] == s] for s in (A, B, C)}
    sandwiched = any(
        min(d for _, d in by[x]) < s and d < max(e for e, _ in by[x])
        for x in by
        for y in by
        if x != y and by[x]
        for s, d in by[y]
    )
    if sandwiched:
        assert found.low_s > 0
    if found.low_s > 1e-9:
        latest = [(min(d for _, d in w), max(s for s, _ in w)) for w in by.values() if w]
        assert any(
            min(p[1], q[1]) > max(p[0], q[0]) for i, p in enumerate(latest) for q in latest[i + 1 :]
        )
