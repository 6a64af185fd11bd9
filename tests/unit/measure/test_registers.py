"""Stale reads and sessions: found where they are, and never where operations only overlap."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.history.history import History, Stream, Window
from chaoskit.history.records import Op, Outcome, empty
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.registers import session_violations, stale_reads
from chaoskit.measure.view import View

MS = 1_000_000
ACKED = (Outcome.OK, Outcome.OK_LATE)
ALL_STREAMS = (
    ("write", "write", "kept"),
    ("read", "read", "kept"),
    ("write/new", "write", "new"),
    ("read/new", "read", "new"),
)


def history_of(*operations):
    """Each: PUT or GET, key, token put or read, sent and done in ms, and other columns."""
    records = empty(len(operations))
    for row, (op, key, token, sent, done, more) in zip(records, operations, strict=True):
        row["op"], row["key"], row["client"], row["server"] = op, key, 1, 1
        row["token" if op == Op.PUT else "seen"] = token
        row["due_ns"] = row["sent_ns"] = (100 + sent) * MS
        row["done_ns"] = (100 + done) * MS
        row["outcome"] = more.get("outcome", Outcome.OK)
        row["stream"], row["client"] = more.get("stream", op == Op.GET), more.get("client", 1)
    streams = tuple(Stream(n, n, 100.0, "kept", MS, 2 * MS) for n in ("write", "read", "more"))
    window = Window(100 * MS, 100 * MS, 10_000 * MS)
    return History(
        records, streams, ("",), ("", "node-a"), ("", "one", "two"), (), (), window, {}, ()
    )


def put(token, sent, done, key=1, **more):
    return (Op.PUT, key, token, sent, done, more)


def get(token, sent, done, key=1, **more):
    return (Op.GET, key, token, sent, done, more)


def counts(*operations):
    view = View(history_of(*operations))
    return stale_reads(view).count, session_violations(view).count


FIRST, SECOND = put(7, 0, 10), put(8, 20, 30)


def test_a_read_of_a_replaced_value_is_stale_and_shown_with_its_age():
    found = stale_reads(View(history_of(FIRST, SECOND, get(7, 31, 33), get(8, 40, 41))))
    assert found.count == 1
    assert found.note == "up to 0.001 s old"
    (example,) = found.examples
    assert (example.token, example.server) == (7, "node-a")
    assert (example.sent_ns, example.acknowledged_ns) == (131 * MS, 133 * MS)
    assert "register 1: another value had been acknowledged 0.001 s before" in example.detail


def test_the_oldest_values_are_shown_first_however_late_they_were_read():
    early = [get(7, 31 + n, 32 + n) for n in range(15)]  # 1 to 15 ms old
    late = [get(7, 2030, 2031), get(7, 1030, 1031)]
    found = stale_reads(View(history_of(FIRST, SECOND, *early, *late)))
    assert found.count == 17
    ages = [float(e.detail.split(" acknowledged ")[1].split()[0]) for e in found.examples]
    assert len(ages) == 10
    assert ages[:3] == [2.0, 1.0, 0.015]
    assert ages == sorted(ages, reverse=True)
    # Sessions have no age: those are shown in order of time.
    broken = session_violations(View(history_of(FIRST, SECOND, *early, *late))).examples
    assert [e.sent_ns for e in broken] == sorted(e.sent_ns for e in broken)


def test_the_age_counts_from_the_first_value_that_replaced_it():
    operations = (FIRST, SECOND, put(9, 40, 50), get(7, 1030, 1031))
    assert stale_reads(View(history_of(*operations))).note == "up to 1.000 s old"


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(get(8, 31, 33), id="the newest"),
        pytest.param(get(7, 11, 33), id="sent before the newer was sent"),
        pytest.param(get(7, 29, 33), id="sent before the newer was acknowledged"),
        pytest.param(get(7, 30, 33), id="sent in the same instant"),
        pytest.param(get(8, 21, 25), id="of a value not yet acknowledged"),
        pytest.param(get(0, 5, 6), id="of nothing before anything was acknowledged"),
        pytest.param(get(7, 31, 33, outcome=Outcome.AMBIGUOUS), id="not answered"),
    ],
)
def test_a_read_that_may_be_right_is_not_accused(read):
    assert counts(FIRST, get(7, 12, 14), SECOND, read) == (0, 0)


def test_two_writes_that_overlap_have_no_order():
    assert counts(put(7, 0, 30), put(8, 20, 40), get(7, 50, 51), get(7, 60, 61)) == (0, 0)
    assert counts(put(7, 0, 30), put(8, 20, 40), get(8, 50, 51), get(8, 60, 61)) == (0, 0)


def test_a_write_of_unknown_outcome_may_take_effect_at_any_later_time():
    unknown = put(7, 0, 10, outcome=Outcome.AMBIGUOUS)
    assert counts(unknown, SECOND, get(7, 500, 501)) == (0, 0)


def test_a_value_that_was_read_had_taken_effect_by_then_whatever_its_outcome():
    unknown = put(7, 0, 10, outcome=Outcome.AMBIGUOUS)
    assert counts(unknown, get(7, 12, 15), SECOND, get(7, 500, 501)) == (1, 1)
    long = put(7, 0, 100)
    assert counts(long, get(7, 12, 15), SECOND, get(7, 500, 501)) == (1, 1)
    assert counts(long, SECOND, get(7, 500, 501)) == (0, 0)


def test_nothing_where_something_was_acknowledged_is_stale():
    found = stale_reads(View(history_of(FIRST, get(7, 11, 12), get(0, 20, 21))))
    assert found.count == 1
    assert found.examples[0].detail.endswith("nothing was there")


def test_registers_are_told_apart():
    assert counts(FIRST, put(8, 20, 30, key=2), get(7, 40, 41), get(8, 40, 41, key=2)) == (0, 0)


def test_a_value_under_another_register_or_from_elsewhere_is_left_out_and_said():
    found = stale_reads(
        View(history_of(FIRST, get(7, 40, 41), get(7, 40, 41, key=2), get(99, 50, 51)))
    )
    assert (found.count, found.examples) == (0, ())
    assert "2 reads of values that nobody is known to have put there" in found.note


def test_a_session_goes_back_before_the_newer_write_was_acknowledged():
    newer = put(8, 20, 90, client=2)
    operations = (put(7, 0, 10, client=2), newer, get(8, 30, 31), get(7, 40, 41))
    assert counts(*operations) == (0, 1)  # not stale yet: the newer write was still under way
    (example,) = session_violations(View(history_of(*operations))).examples
    assert "older than what this client had read" in example.detail


def test_what_another_stream_read_or_another_client_wrote_is_no_part_of_a_session():
    newer, older = put(8, 20, 90, client=2), put(7, 0, 10, client=2)
    assert counts(older, newer, get(8, 30, 31, stream=2), get(7, 40, 41)) == (0, 0)
    assert counts(older, put(8, 20, 30, client=2), get(7, 40, 41)) == (1, 0)


def test_a_client_that_does_not_read_its_own_write_is_found():
    operations = (put(7, 0, 10, client=2), put(8, 20, 30, client=1), get(7, 40, 41))
    assert counts(*operations) == (1, 1)
    found = session_violations(View(history_of(*operations)))
    assert "older than what this client had written" in found.examples[0].detail
    assert found.note == "1 against own writes, 0 against earlier reads"


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        ((get(7, 0, 1),), "no write to a register was acknowledged"),
        ((FIRST,), "no read of a register was answered"),
        ((FIRST, get(0, 20, 21)), "no answer told the value that was read"),
        ((FIRST, get(99, 20, 21)), "no value that was read is one that this trial had put there"),
        ((FIRST, FIRST, get(7, 20, 21)), "values that were written are not unique"),
    ],
)
def test_what_cannot_be_checked_is_not_called_clean(operations, why):
    for check in (stale_reads, session_violations):
        found = check(View(history_of(*operations)))
        assert (found.count, found.checked, found.note) == (None, False, why)


# ---------------------------------------------------------------- properties


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        Scenario,
        style=st.sampled_from(["refuse", "503", "stall", "drop"]),
        outage_s=st.floats(0.05, 1.0),
        rate=st.sampled_from([50.0, 100.0]),
        latency_s=st.sampled_from([0.002, 0.05, 0.3]),  # the last two: many at once
        deadline_s=st.just(0.2),
        timeout_s=st.just(0.4),
        lag_s=st.sampled_from([0.0, 0.01]),
        registers=st.sampled_from([1, 3, 8]),
        streams=st.just(ALL_STREAMS),
        baseline_s=st.just(0.5),
        after_s=st.just(1.0),
        seed=st.integers(0, 10**6),
    )
)
def test_a_linearizable_system_is_never_accused(scenario):
    view = View(simulate(scenario)[0])
    for found in (stale_reads(view), session_violations(view)):
        assert (found.checked, found.count) == (True, 0)


operation = st.builds(
    lambda is_put, value, sent, length, more: (put if is_put else get)(
        value, sent, sent + length, **more
    ),
    st.booleans(),
    st.integers(0, 6),
    st.integers(0, 60),
    st.integers(0, 20),
    st.fixed_dictionaries(
        {
            "key": st.integers(1, 2),
            "client": st.integers(1, 2),
            "stream": st.integers(0, 2),
            "outcome": st.sampled_from([*ACKED, Outcome.OK, Outcome.AMBIGUOUS]),
        }
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(operation, min_size=2, max_size=14), st.integers(0, 10**6))
def test_the_rule_is_that_of_its_definition_written_out(operations, seed):
    unique = {}
    for one in operations:
        unique.setdefault((one[2] if one[0] == Op.PUT and one[2] else object()), one)
    history = history_of(*unique.values())
    found = stale_reads(View(history)), session_violations(View(history))
    if found[0].checked:
        assert (found[0].count, found[1].count) == by_hand(history.requests)
    shuffled = np.random.default_rng(seed).permutation(history.requests)
    view = View(replace(history, requests=shuffled))
    assert (stale_reads(view).count, session_violations(view).count) == (
        found[0].count,
        found[1].count,
    )


def by_hand(records):
    """Both counts, every read against every other operation."""
    puts = [r for r in records if r["op"] == Op.PUT and r["token"]]
    acked = [r for r in puts if r["outcome"] in ACKED]
    gets = [r for r in records if r["op"] == Op.GET and r["outcome"] in ACKED]

    def written(read):
        same = [w for w in puts if w["token"] == read["seen"] and w["key"] == read["key"]]
        return same[0] if same else None

    def begun(read):
        return -(1 << 62) if not read["seen"] else written(read)["sent_ns"]

    def ended(read):
        if not read["seen"]:
            return -(1 << 62)
        write = written(read)
        times = [
            r["done_ns"] for r in gets if r["seen"] == read["seen"] and r["key"] == read["key"]
        ]
        return min([*times, *([write["done_ns"]] if write["outcome"] in ACKED else [])])

    judged = [r for r in gets if not r["seen"] or written(r) is not None]
    stale = violations = 0
    for read in judged:
        newer = [
            w
            for w in acked
            if w["key"] == read["key"]
            and w["sent_ns"] > ended(read)
            and w["done_ns"] < read["sent_ns"]
        ]
        stale += bool(newer)
        own = any(w["client"] == read["client"] for w in newer)
        back = any(
            r["key"] == read["key"]
            and (r["client"], r["stream"]) == (read["client"], read["stream"])
            and r["done_ns"] < read["sent_ns"]
            and begun(r) > ended(read)
            for r in judged
        )
        violations += own or back
    return stale, violations
