"""``N x baseline``: the baseline is a sample, so such a bound is an interval."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.clock import NS
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import expectation, judge_all, measure
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.view import View

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
TWICE = "latency.p99@fault < 2 x baseline"


@pytest.fixture(scope="module")
def calm():
    """A fault that bites, and that no client feels; 4 s at 300/s before it."""
    return simulate(Scenario(outage_s=0.0, rate=300.0, baseline_s=4.0, after_s=6.0))[0]


def slower(history, factor):
    """Latencies with a tail, ``factor`` times as long since the fault."""
    requests = np.sort(history.requests, order="due_ns")
    since = requests["due_ns"] >= history.faults[0].commanded_ns
    took = 0.001 * np.random.default_rng(7).lognormal(0.0, 0.4, requests.size)
    took[since] *= factor
    requests["done_ns"] = requests["due_ns"] + (took * NS).astype(np.int64)
    return replace(history, requests=requests)


def bad(history, every_before, every_after):
    requests = np.sort(history.requests, order="due_ns")
    since = requests["due_ns"] >= history.faults[0].commanded_ns
    for chosen, every in ((~since, every_before), (since, every_after)):
        where = np.flatnonzero(chosen)[5::every] if every else []
        requests["outcome"][where] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


def judged(history, text):
    view = View(history)
    threshold = parse_threshold(text)
    return expectation(threshold, measure(threshold, 1, view, measure_view(view)))


@pytest.mark.parametrize(("factor", "verdict"), [(1.3, PASS), (2.1, OPEN), (4.0, FAIL)])
def test_a_percentile_misses_a_multiple_of_the_baseline_only_surely(calm, factor, verdict):
    found = judged(slower(calm, factor), TWICE)
    assert found.verdict is verdict
    assert "; 2 x baseline is" in found.observed
    if verdict is OPEN:
        assert "a longer baseline" in found.reason
    else:
        assert found.reason is None


def test_requests_that_the_fault_holds_up_together_are_no_chance(calm):
    """Every fiftieth of the phase was held up, all at once: that is what the fault does."""
    requests = np.sort(slower(calm, 1.0).requests, order="due_ns")
    at = int(np.searchsorted(requests["due_ns"], calm.faults[0].commanded_ns)) + 30
    requests["done_ns"][at : at + 9] += 60_000_000
    held = replace(calm, requests=requests)
    assert judged(held, TWICE).verdict is FAIL
    assert judged(slower(calm, 1.0), TWICE).verdict is PASS
    requests["done_ns"][at : at + 9] += 300_000_000
    assert judged(held, "latency.mean@fault < 2 x baseline").verdict is FAIL


def test_a_longer_baseline_tells_what_a_short_one_does_not():
    def after(baseline_s):
        scenario = Scenario(outage_s=0.0, rate=300.0, baseline_s=baseline_s, after_s=6.0)
        return judged(slower(simulate(scenario)[0], 1.6), TWICE).verdict

    assert after(1.5) is OPEN
    assert after(30.0) is PASS


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_it_is_hardly_ever_missed_by_a_system_that_meets_it(calm, factor):
    verdicts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        requests = np.sort(calm.requests, order="due_ns")
        since = requests["due_ns"] >= calm.faults[0].commanded_ns
        took = rng.lognormal(0.0, 0.6, requests.size) * np.where(since, factor, 1.0)
        requests["done_ns"] = requests["due_ns"] + (0.001 * took * NS).astype(np.int64)
        verdicts.append(judged(replace(calm, requests=requests), TWICE).verdict)
    assert FAIL not in verdicts


def test_the_mean_and_the_largest_can_be_compared_as_well(calm):
    for text in ("latency.mean@fault < 2 x baseline", "latency.p50@fault < 2 x baseline"):
        assert judged(slower(calm, 1.5), text).verdict is PASS
        assert judged(slower(calm, 3.0), text).verdict is FAIL
    assert judged(slower(calm, 0.2), "latency.max@fault < 1 x baseline").verdict is PASS
    assert judged(slower(calm, 9.0), "latency.max@fault < 1 x baseline").verdict is FAIL
    assert judged(slower(calm, 9.0), "latency.p50@fault > 2 x baseline").verdict is PASS
    assert judged(slower(calm, 1.0), "latency.p50@fault > 2 x baseline").verdict is FAIL


@pytest.mark.parametrize(
    ("before", "after", "text", "verdict"),
    [
        (50, 50, "dropped_requests@fault < 2 x baseline", PASS),
        (50, 25, "dropped_requests@fault < 2 x baseline", OPEN),
        (50, 5, "dropped_requests@fault < 2 x baseline", FAIL),
        (10, 50, "dropped_requests@fault < 2 x baseline", PASS),
        (50, 5, "dropped_requests.rate@fault < 2 x baseline", FAIL),
        (50, 5, "error_rate@fault <= 3 x baseline", FAIL),
        (0, 0, "error_rate@fault <= 3 x baseline", PASS),
        (0, 400, "error_rate@fault <= 3 x baseline", OPEN),  # none of 1,200 rules that out
        (0, 10, "error_rate@fault <= 3 x baseline", FAIL),
        (0, 0, "availability@fault >= 0.9 x baseline", PASS),
        (0, 100, "availability@fault >= 0.999 x baseline", OPEN),
        (0, 10, "availability@fault >= 0.999 x baseline", FAIL),
        (50, 50, "availability@fault >= 1 x baseline", OPEN),
    ],
)
def test_shares_are_compared_as_shares(calm, before, after, text, verdict):
    found = judged(bad(calm, before, after), text)
    assert found.verdict is verdict
    assert "%" in found.observed


def test_without_an_answer_before_the_fault_there_is_nothing_to_compare_with(calm):
    requests = calm.requests.copy()
    before = requests["due_ns"] < calm.faults[0].commanded_ns
    requests["outcome"][before] = Outcome.FAIL_DEFINITE
    found = judged(replace(calm, requests=requests), TWICE)
    assert found.verdict is OPEN
    assert found.reason == "there is nothing to compare with in the baseline"
    assert "baseline is" not in found.observed


def test_the_worst_of_several_trials_is_told_with_its_own_baseline(calm):
    threshold, seen = parse_threshold(TWICE), []
    for n, factor in enumerate((1.0, 1.4, 1.2), start=1):
        view = View(slower(calm, factor))
        seen.append(measure(threshold, n, view, measure_view(view)))
    found = judge_all(threshold, seen)
    assert found.verdict is PASS
    assert found.trial == 2
    assert found.observed.endswith(", the worst of 3")
