"""Clients that slept through an outage: what is said of all of them holds the truth all the same."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import Stream
from chaoskit.history.records import Outcome, empty
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import expectation, measure
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.track import Track
from chaoskit.measure.unanswered import Answers, longest_unanswered
from chaoskit.measure.vantage import client_outages, common
from chaoskit.measure.view import View

sys.path.insert(0, str(Path(__file__).parent))
from clients_script import MS, S, script

SEEN = ("refuse", "drop")  # what is held for less than the deadline is served, and no outage


def clients_of(history):
    view = View(history)
    return client_outages(view, view.headline)


def length(stretches):
    return sum(end - start for start, end in stretches) / S


def assert_inside(found, truth):
    assert found.low_s <= found.value_s <= found.high_s
    assert found.low_s <= truth <= found.high_s, (found, truth)


def verdict(history, threshold):
    view, asked = View(history), parse_threshold(threshold)
    return expectation(asked, measure(asked, 1, view, measure_view(view))).verdict


def together(seconds, clients=8, *, at=0.4, **more):
    return script([[(at, at + seconds)]] * clients, rate=200.0, **more)


# ---------------------------------------------------------------- the planted violation, its twin


def test_an_outage_of_all_that_some_clients_slept_through_is_not_proven_to_be_none():
    """Each of eight clients asks every 40 ms, and all were out for 30 ms."""
    history, _ = together(0.030)
    found = clients_of(history)
    met = [one for one in found.by_client.values() if one.value_s]
    assert 0 < len(met) < 8
    assert_inside(found.intersection, 0.030)
    assert "between two requests of a client that met none" in found.intersection.note
    assert verdict(history, "client_outage_intersection < 20ms") is Verdict.INCONCLUSIVE
    assert verdict(history, "client_outage_intersection < 50ms") is Verdict.PASS


def test_an_outage_that_most_clients_slept_through_may_be_that_of_the_one_in_the_middle():
    history, _ = together(0.015)
    found = clients_of(history)
    assert sum(one.value_s > 0 for one in found.by_client.values()) < 4
    assert (found.median.low_s, found.median.value_s) == (0, 0)
    assert_inside(found.median, 0.015)
    assert found.median.note.endswith("would not be seen")
    assert verdict(history, "client_outage_median < 10ms") is Verdict.INCONCLUSIVE
    assert verdict(history, "client_outage_median < 60ms") is Verdict.PASS


def test_where_no_client_met_anything_there_is_nothing_but_the_grain():
    found = clients_of(script([[]] * 8, rate=200.0)[0])
    for name in ("median", "union", "intersection"):
        one = getattr(found, name)
        assert (one.low_s, one.value_s, one.high_s) == (0, 0, 0), name
        assert one.note.startswith("an outage shorter than "), name
    slow, fast = (
        float(one.note.split()[4]) for one in (found.median, found.intersection)
    )  # of a client, and of all of them
    assert (slow, fast) == (pytest.approx(40, rel=0.05), pytest.approx(5, rel=0.05))


# ---------------------------------------------------------------- over phases and lengths


@pytest.mark.parametrize("style", SEEN)
@pytest.mark.parametrize("kind", ["all", "some", "one for longer", "all, and once more"])
def test_the_truth_lies_inside_whoever_asked_during_the_outage(style, kind):
    rng = np.random.default_rng(len(kind) + len(style))
    judged = 0
    for seed in range(50):
        number, at = int(rng.choice([2, 3, 4, 8, 12])), 0.4 + float(rng.uniform(0, 0.1))
        span = (at, at + float(rng.uniform(0.001, 0.15)))
        outages = [[span] for _ in range(number)]
        if kind == "some":
            outages = [[span] if rng.random() < 0.6 else [] for _ in range(number)]
        elif kind == "one for longer":
            outages[0] = [(at - 0.1, at + 1.0)]
        elif kind == "all, and once more":
            outages = [[span, (1.5, 2.2)] for _ in range(number)]
        history, truth = script(outages, style=style, rate=200.0, seed=seed)
        found = clients_of(history)
        if not any(one.value_s for one in found.by_client.values()):
            continue
        judged += 1
        longest = [max((length([o]) for o in spans), default=0.0) for spans in truth]
        assert_inside(found.median, float(np.median(longest)))
        assert_inside(found.intersection, length(common(truth)))
    assert judged > 35


def test_what_is_told_of_all_is_as_narrow_as_what_is_told_of_the_stream():
    for seed in range(20):
        for seconds in (0.02, 0.03, 0.05, 0.4):
            history, _ = together(seconds, seed=seed)
            view = View(history)
            all_out = client_outages(view, view.headline).intersection
            assert all_out.high_s <= view.outage.high_ns / S + 1e-9
            assert all_out.high_s <= seconds + 0.013  # two intervals of the stream, and an answer


def test_one_that_stays_stuck_says_little_of_all():
    """Whoever asks in the other's outage is answered: no more than two slots can hide one."""
    history, _ = script([[(0.1, 3.1)], *([[]] * 7)], rate=200.0)
    found = clients_of(history)
    assert found.intersection.value_s == 0
    assert found.intersection.high_s < 0.015
    assert found.median.high_s < 0.045


def test_a_client_is_out_where_one_shard_is_and_answers_of_another_prove_nothing():
    history, _ = script([[], []], registers=2, streams=(("read", "read", "kept"),), rate=200.0)
    records = history.requests.copy()
    records["key"][np.argsort(records["due_ns"])] = np.arange(records.size) // 2 % 2 + 1
    zero = history.faults[0].acknowledged_ns
    sent = records["sent_ns"]
    for milliseconds in (8, 12, 16):
        broken = records.copy()
        out = (sent >= zero + S) & (sent < zero + S + milliseconds * MS) & (records["key"] == 2)
        broken["outcome"][out] = Outcome.FAIL_DEFINITE
        assert out.any()
        changed = replace(history, requests=broken, notes={"sharing": {"shards": 2}})
        assert_inside(clients_of(changed).intersection, milliseconds / 1000)


# ---------------------------------------------------------------- the rule


def track(requests):
    records = empty(len(requests))
    records["outcome"] = Outcome.OK
    for row, (sent, took) in zip(records, requests, strict=True):
        row["due_ns"] = row["sent_ns"] = sent
        row["done_ns"] = sent + took
    return Track(Stream("w", "write", 100.0, "kept", 10, 20), records)


parts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8)


@given(st.lists(st.lists(parts, min_size=1, max_size=2), min_size=1, max_size=3), st.data())
def test_it_is_the_longest_stretch_that_holds_no_answered_request(clients, data):
    low = data.draw(st.integers(0, 20))
    high = low + data.draw(st.integers(1, 20))

    def away(part, start, end):  # nothing was sent after the start and answered before the end
        return not any(sent > start and sent + took < end for sent, took in part)

    best = max(
        end - start
        for start in range(low, high)
        for end in range(start, high + 1)
        if all(any(away(part, start, end) for part in each) for each in clients)
    )
    answers = [[Answers.of(track(part)) for part in each] for each in clients]
    assert longest_unanswered(answers, [(low, high)]) == [best]
