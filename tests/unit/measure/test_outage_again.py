"""Out, back, and out again when observation ends: the one that had not ended is the longest."""

import math
from dataclasses import replace

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import measure
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial, measure_view
from chaoskit.measure.view import View
from tests.unit.measure.clients_script import MS, S, script

AGAIN = ((0.0, 3.0), (4.0, math.inf))  # and observation ends 6 s after the fault
BACK = ((0.0, 3.0), (4.0, 5.0))


def history(spans, *, style="refuse"):
    return script([list(spans)], style=style)[0]


def twice(one, after_s):
    """The same with a second fault, so long after the first."""
    first = one.faults[0]
    by = int(after_s * S)
    second = replace(
        first,
        step=1,
        fault="partition",
        nodes=("node-b",),
        commanded_ns=first.commanded_ns + by,
        acknowledged_ns=first.acknowledged_ns + by,
        verified_ns=first.verified_ns + by,
    )
    return replace(one, faults=(first, second))


@pytest.mark.parametrize("style", ["refuse", "drop"])
def test_a_shorter_second_outage_that_never_ends_is_not_an_ended_one(style):
    found = measure_trial(history(AGAIN, style=style))
    outage = found.client_outage
    assert outage.censored
    assert outage.high_s is None
    assert outage.value_s == pytest.approx(3.0, abs=0.01), "it is at least as long as the first"
    assert outage.low_s >= 2.5, "and that is proven of the first"
    assert found.failover_time.censored
    assert found.recovery == "failed"
    assert "had not come back" in outage.note
    assert "one before it took 3.00 s" in outage.note


def test_the_same_that_does_end_is_the_shorter_of_two():
    found = measure_trial(history(BACK))
    assert not found.client_outage.censored
    assert found.client_outage.value_s == pytest.approx(3.0, abs=0.01)
    assert found.client_outage.high_s < 3.1
    assert found.client_outage.note == "the longest of 2"
    assert found.failover_time.value_s == pytest.approx(3.0, abs=0.01)
    assert found.recovery != "failed"


def test_a_second_outage_that_is_the_longer_one_keeps_its_own_length():
    found = measure_trial(history([(0.0, 1.0), (2.0, math.inf)])).client_outage
    assert found.censored
    assert found.value_s == pytest.approx(4.0, abs=0.01)
    assert "one before it" not in found.note


def test_bad_requests_that_begin_too_late_to_tell_stay_left_out():
    found = measure_trial(history([(0.0, 3.0), (5.9, math.inf)]))
    assert not found.client_outage.censored
    assert found.client_outage.value_s == pytest.approx(3.0, abs=0.01)
    assert "left out" in found.client_outage.note
    assert found.failover_time.value_s == pytest.approx(3.0, abs=0.01)


def test_every_vantage_ranks_it_so():
    found = measure_trial(script([list(AGAIN), list(BACK)])[0])
    assert found.clients.worst.censored
    assert found.clients.worst_client == "c0"
    assert found.clients.worst.value_s == pytest.approx(3.0, abs=0.02)
    assert found.clients.by_client["c1"].high_s is not None


def test_a_threshold_meets_no_upper_end():
    view = View(history(AGAIN))
    threshold = parse_threshold("client_outage < 3.5s")
    assert measure(threshold, 1, view, measure_view(view)).reading.high == math.inf
    shorter = View(history(BACK))
    assert measure(threshold, 1, shorter, measure_view(shorter)).reading.high < 3.5


@pytest.mark.parametrize(
    ("bound", "back", "again"),
    [
        ("client_outage < 3.5s", Verdict.PASS, Verdict.INCONCLUSIVE),
        ("client_outage.p50 < 3.5s", Verdict.PASS, Verdict.INCONCLUSIVE),
        ("P(client_outage > 3.5s) <= 90%", Verdict.PASS, Verdict.INCONCLUSIVE),
    ],
)
def test_and_so_do_statistics_over_trials(bound, back, again):
    def verdict(spans):
        trials = [TrialInput(n, history(spans)) for n in range(1, 11)]
        result = judge_histories(Case("x", (parse_threshold(bound),), 10), trials)
        (one,) = [e for e in result.expectations if e.expression.startswith(bound[:4])]
        return one.verdict

    assert verdict(BACK) is back
    assert verdict(AGAIN) is again


def test_of_two_faults_it_counts_from_the_one_that_the_unended_outage_followed():
    found = measure_trial(twice(history(AGAIN), 4.0)).failover_time
    assert found.censored
    assert found.value_s == pytest.approx(2.0, abs=0.01)
    assert "partition of node-b" in found.note
    ended = measure_trial(twice(history(BACK), 4.0)).failover_time
    assert ended.value_s == pytest.approx(3.0, abs=0.01)
    assert "partition" not in ended.note


def test_the_phases_end_with_the_observation():
    view = View(history(AGAIN))
    assert view.outage.start_ns == pytest.approx(view.origin_ns + 4 * S, abs=10 * MS)
    assert view.spans["outage"][1] == view.observed[1]
