"""Two primaries: proven where two acknowledge at once, silent where one follows another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.history.history import FaultRecord, History, Stream, Window
from chaoskit.history.records import Flag, Op, Outcome, empty
from chaoskit.judge.bounds import Bound, holds
from chaoskit.judge.result import Verdict
from chaoskit.measure.fencing import fencing_latency
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.overlap import dual_primary
from chaoskit.measure.reading import read
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
        row["flags"], row["error"] = more.get("flags", 0), more.get("error", 0)
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
        records, tuple(streams), ("", "connection refused"), servers, ("", "client"), (), (fault,),
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
    first = ack(A, 200, 204, epoch=1), ack(A, 300, 306, epoch=1)
    second = ack(B, 150, 153, epoch=2), ack(B, 320, 322, epoch=2)
    dual, fenced = both(*EPOCH_1, *first, *second, no(A, 340, 341, stream=1))
    assert (dual.low_s, dual.high_s) == (pytest.approx(0.147), pytest.approx(0.156))
    assert dual.low_s == pytest.approx((300 - 153) / 1000)
    assert dual.high_s == pytest.approx((306 - 150) / 1000)
    assert "acknowledged by one while another was in office" in dual.note
    assert "first by node-a 0.10 s after the fault" in dual.note or "node-b" in dual.note
    assert (fenced.low_s, fenced.value_s) == (pytest.approx(0.2), pytest.approx(0.206))
    assert fenced.high_s == pytest.approx(0.241)  # when it first refused
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
    story = (ack(A, 141, 143), *lost, ack(B, 150, 153), ack(B, 190, 193))
    dual, _ = both(*BEFORE, *story, ack(A, 200, 203))
    assert dual.low_s == pytest.approx(0.037)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_return_without_a_word_of_how_it_came_about_proves_nothing(pinned):
    """Nobody says in which office he acknowledges: after a silence it may have come back to him."""
    served = [ack(B, t, t + 3) for t in range(150, 300, 10)]
    again = [ack(A, t, t + 3) for t in range(310, 400, 10)]
    view = View(history_of(*BEFORE, *served, *again, pinned=pinned))
    dual, late = dual_primary(view), fencing_latency(view)
    assert (dual.low_s, dual.writes) == (0.0, 0 if pinned else None)
    assert dual.high_s == pytest.approx((293 - 150) / 1000), "it may never have left office"
    if pinned:
        assert (late.value_s, late.high_s, late.censored) == (0.0, None, True)
    else:
        assert not late.applicable
    writes = (*BEFORE, *served, *again)
    told = [(s, sent, done, {**more, "epoch": s}) for s, sent, done, more in writes]
    known = dual_primary(View(history_of(*told, pinned=pinned)))
    assert known.low_s == pytest.approx((290 - 153) / 1000), "in one epoch it never did"


def test_what_it_acknowledges_in_the_midst_of_another_after_a_silence_is_a_proof():
    """It comes back from behind a partition and goes on, while the new one does as well."""
    served = [ack(B, t, t + 3) for t in range(150, 400, 10)]
    again = [ack(A, t, t + 3) for t in range(300, 360, 10)]
    dual, late = both(*BEFORE, *TIMEOUTS, *served, *again, no(A, 365, 366, stream=1))
    assert dual.low_s == pytest.approx((350 - 303) / 1000)
    assert dual.high_s == pytest.approx((353 - 150) / 1000)
    assert (late.low_s, late.value_s) == (pytest.approx(0.25), pytest.approx(0.253))
    assert late.high_s == pytest.approx(0.266)


def test_one_after_the_other_in_turns_is_a_proof_without_epochs():
    """A front door that asks both in turns: neither is silent for long."""
    turns = [ack((A, B)[n % 2], 100 + 10 * n, 103 + 10 * n) for n in range(20)]
    dual = dual_primary(View(history_of(*BEFORE, *turns, pinned=False)))
    assert dual.low_s > 0.15


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


# ---------------------------------------------------------------- how long it went on


TAKEN_OVER = (ack(B, 150, 153, epoch=2), ack(B, 900, 903, epoch=2))
EPOCH_1 = tuple(ack(A, s, d, epoch=1) for _, s, d, _ in BEFORE)
TIMEOUTS = tuple(
    (0, t, t + 90, {"outcome": Outcome.AMBIGUOUS, "stream": 1, "flags": int(Flag.TIMED_OUT)})
    for t in (110, 210, 310)
)


def fenced(*writes, **changes):
    history = replace(history_of(*writes), **changes)
    return fencing_latency(View(history))


def test_a_node_that_refuses_now_and_then_in_one_epoch_is_not_fenced_by_that():
    """max c(acks_old) - t0: the last acknowledgement of the epoch counts, not the first 503."""
    story = [no(A, t, t + 1, stream=1, epoch=1) for t in (120, 140, 160)]
    story += [ack(A, t, t + 2, stream=1, epoch=1) for t in range(180, 800, 20)]
    found = fenced(*EPOCH_1, *story, no(A, 800, 801, stream=1, epoch=1), *TAKEN_OVER)
    assert (found.low_s, found.value_s) == (pytest.approx(0.68), pytest.approx(0.682))
    assert found.high_s == pytest.approx(0.701)
    dual = dual_primary(View(history_of(*EPOCH_1, *story, *TAKEN_OVER)))
    assert dual.low_s == pytest.approx((780 - 153) / 1000)


def test_an_epoch_that_several_acknowledge_in_tells_no_two_offices_apart():
    """A failback in a system whose epoch stays as it is: the refusals between end the first."""
    served = (ack(B, 150, 153, epoch=1), ack(B, 300, 303, epoch=1))
    again = (no(A, 120, 121, stream=1, epoch=1), ack(A, 500, 503, epoch=1))
    found = fenced(*EPOCH_1, *served, *again)
    assert (found.value_s, found.high_s) == (0.0, pytest.approx(0.021))


def test_what_the_heal_stopped_is_bracketed_up_to_its_first_refusal():
    found = fenced(*BEFORE, *TIMEOUTS, no(A, 700, 701, stream=1), *TAKEN_OVER)
    assert (found.low_s, found.value_s, found.censored) == (0.0, 0.0, False)
    assert found.high_s == pytest.approx(0.601)


@pytest.mark.parametrize(
    ("since", "says"),
    [
        pytest.param(TIMEOUTS, "answered none of 3 writes", id="only timeouts"),
        pytest.param((), "nothing was sent to it", id="never asked"),
    ],
)
def test_a_node_that_was_never_seen_to_stop_is_censored(since, says):
    found = fenced(*BEFORE, *since, *TAKEN_OVER)
    assert (found.value_s, found.high_s, found.censored) == (0.0, None, True)
    assert says in found.note


def test_a_node_that_acknowledges_until_observation_ends_is_censored_and_so_are_both():
    window = Window(0, 0, 1000 * MS)
    alone = [ack(A, t, t + 2, stream=1) for t in range(110, 1000, 20)]
    writes = (*BEFORE, *alone, *(ack(B, t, t + 2, stream=2) for t in range(500, 1000, 20)))
    found = fenced(*writes, window=window)
    assert (found.high_s, found.censored) == (None, True)
    assert found.value_s == pytest.approx(0.892)
    dual = dual_primary(View(replace(history_of(*writes), window=window)))
    assert (dual.high_s, dual.censored) == (None, True)
    assert dual.low_s == pytest.approx((980 - 502) / 1000)
    assert "two still acknowledged when observation ended" in dual.note
    stopped = dual_primary(View(replace(history_of(*writes, no(A, 996, 997)), window=window)))
    assert not stopped.censored
    assert stopped.high_s == pytest.approx((982 - 500) / 1000)


def test_one_that_takes_over_in_the_last_moments_is_not_two_going_on():
    window = Window(0, 0, 200 * MS)
    writes = (*BEFORE, *(ack(A, t, t + 2) for t in (100, 150)), ack(B, 170, 172), ack(B, 190, 192))
    dual = dual_primary(View(replace(history_of(*writes), window=window)))
    assert (dual.low_s, dual.high_s, dual.censored) == (0.0, 0.0, False)


def test_of_a_node_without_a_pinned_writer_only_what_clients_saw_is_said():
    unseen = fencing_latency(View(history_of(*BEFORE, *TAKEN_OVER, pinned=False)))
    assert not unseen.applicable
    assert "node-a was deposed and has no pinned writer" in unseen.note
    late = (*EPOCH_1, ack(A, 400, 403, epoch=1), *TAKEN_OVER)
    seen = fencing_latency(View(history_of(*late, pinned=False)))
    assert (seen.low_s, seen.value_s) == (pytest.approx(0.3), pytest.approx(0.303))
    assert (seen.high_s, seen.censored) == (None, True)


@pytest.mark.parametrize(
    ("action", "stream", "high"),
    [
        pytest.param("drop", 1, 0.021, id="nobody listens there"),
        pytest.param("reject", 1, None, id="a fault answers for it"),
        pytest.param("drop", 0, None, id="behind the front door it may have been anybody"),
    ],
)
def test_a_refused_connection_is_the_word_of_its_host_alone(action, stream, high):
    gone = no(0, 120, 121, stream=stream, error=1)
    (fault,) = history_of(*BEFORE).faults
    faults = (replace(fault, params={"action": action}),)
    found = fenced(*BEFORE, gone, *TAKEN_OVER, faults=faults)
    assert found.high_s == (high if high is None else pytest.approx(high))


def test_a_refusal_that_was_under_way_when_it_last_acknowledged_ends_nothing():
    crossing = no(A, 300, 312, stream=1, epoch=1)
    story = (ack(A, 300, 310, epoch=1), crossing)
    assert fenced(*EPOCH_1, *story, *TAKEN_OVER).high_s is None


def test_of_several_faults_it_counts_from_the_one_that_the_outage_followed():
    first = replace(history_of(*BEFORE).faults[0], fault="cpu", commanded_ns=20 * MS)
    second = history_of(*BEFORE).faults[0]
    at = 400 * MS
    second = replace(second, step=1, commanded_ns=at, acknowledged_ns=at, verified_ns=at)
    steady = [ack(A, t, t + 2, due=t) for t in range(50, 400, 10)]
    out = [no(0, t, t + 1) for t in range(400, 500, 10)]
    back = [ack(B, t, t + 2) for t in range(500, 700, 10)]
    story = (*steady, *out, *back, no(A, 420, 421, stream=1))
    found = fenced(*story, faults=(first, second))
    assert found.value_s == 0.0
    assert found.high_s == pytest.approx(0.021)


@pytest.mark.parametrize(
    ("last", "first", "verdict"),
    [
        pytest.param(
            (200, 203), (199, 203), Verdict.PASS, id="two usual writes, under way at once"
        ),
        pytest.param((200, 204), (199, 204), Verdict.INCONCLUSIVE, id="longer than two usual ones"),
        pytest.param((204, 206), (199, 203), Verdict.FAIL, id="one after the other: proof"),
        pytest.param((200, 203), (210, 212), Verdict.PASS, id="apart"),
    ],
)
def test_what_two_usual_writes_explain_is_a_handover_and_no_more(last, first, verdict):
    """Usual are 2 ms here, as those before the fault took."""
    second = (ack(B, *first, epoch=2), ack(B, 900, 902, epoch=2))
    view = View(history_of(*EPOCH_1, ack(A, *last, epoch=1), *second))
    dual = dual_primary(view)
    metrics = measure_view(view)
    found = read(view, metrics, "dual_primary", stat=None, phase=None, unit="s")
    assert holds("==", Bound.exact(0.0), found) is verdict
    possible = max(0, last[1] - first[0])
    assert dual.high_s == pytest.approx(possible / 1000), "the bracket stays what it is"
    assert dual.handover is (verdict is Verdict.PASS and possible > 0)
    assert ("when the office changed hands" in (dual.note or "")) is dual.handover


def test_without_a_write_before_the_fault_nothing_is_usual():
    dual = dual_primary(View(history_of(ack(A, 200, 203), ack(B, 202, 204), ack(B, 900, 902))))
    assert (dual.low_s, dual.high_s, dual.handover) == (0.0, pytest.approx(0.001), False)


def test_each_of_several_handovers_is_looked_at_alone():
    first = (*BEFORE, ack(A, 200, 203), ack(B, 200, 203, epoch=2))
    for done, possible, usual in ((303, 0.005, True), (306, 0.008, False)):
        second = (ack(C, 300, done, epoch=3), ack(B, 301, 309, epoch=4))
        found = dual_primary(View(history_of(*first, *second)))
        assert (found.low_s, found.high_s) == (0.0, pytest.approx(possible))
        assert found.handover is usual


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
    window = Window(0, 0, history.window.observe_end_ns + shift * MS)
    later = replace(history, requests=moved, faults=(fault,), window=window)
    again = dual_primary(View(later))
    for was, now in zip(found.examples, again.examples, strict=True):
        assert now.sent_ns - was.sent_ns == shift * MS
    assert again.model_copy(update={"examples": found.examples}) == found


@given(st.lists(write, min_size=2, max_size=8))
def test_a_proof_is_a_proof(writes):
    """Whenever a bracket's low end is above 0, two writes of different servers say so in words."""
    found = dual_primary(View(history_of(*(ack(s, a, z, epoch=s) for s, a, z, _ in writes))))
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
