"""Percentiles over trials under a plan of looks: as many trials as a fixed run, no more errors."""

import math
import random

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.judge.bounds import Bound, Bounded
from chaoskit.judge.claims import claims
from chaoskit.judge.result import Verdict
from chaoskit.judge.several import judge_looks
from chaoskit.judge.thresholds import judge_all
from chaoskit.measure.looks import looks_up_to
from chaoskit.measure.reading import Reading

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
P95 = parse_threshold("failover_time.p95 < 5s")
RUNS = 2000
SLACK = 4 * math.sqrt(0.05 * 0.95 / RUNS)


def seen(*values, bound=5.0, unit="s"):
    return [Bounded(1, Reading(v, v, v, unit), Bound.exact(bound)) for v in values]


def judged(threshold, trials, cap=59, family=0):
    return judge_looks(threshold, trials, looks_up_to(cap), family)


@pytest.mark.parametrize("cap", [59, 60, 65, 70, 75, 93])
def test_clean_trials_up_to_the_cap_pass_as_they_do_in_a_fixed_run(cap):
    clean = seen(*[1.0] * cap)
    assert judge_all(P95, clean).verdict is P
    found = judged(P95, clean, cap)
    assert found.verdict is P
    assert found.observed.startswith("0 of ")
    assert "beyond the bound, decided at look" in found.observed


def test_58_trials_are_too_few_in_both():
    clean = seen(*[1.0] * 58)
    assert (judge_all(P95, clean).verdict, judged(P95, clean, 58).verdict) == (U, U)
    assert judged(P95, seen(*[1.0] * 58, 6.0)).verdict is U, "one miss in 59 shows nothing"


def test_a_trial_that_never_ended_or_straddles_the_bound_is_no_clean_one():
    clean = seen(*[1.0] * 58)
    for low, high in ((1.0, math.inf), (4.9, 5.1)):
        open_end = Bounded(59, Reading(low, low, high, "s"), Bound.exact(5.0))
        assert judged(P95, [*clean, open_end]).verdict is U


def test_a_percentile_missed_by_far_fails_early():
    found = judged(P95, seen(*[6.0] * 10))
    assert (found.verdict, found.observed) == (
        F,
        "10 of 10 beyond the bound, decided at look 10 of the plan",
    )


def test_other_bounds_of_the_run_take_nothing_from_it():
    clean = seen(*[1.0] * 59)
    assert judged(P95, clean, family=3).verdict is P


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("failover_time.p5 > 5s", [6.0] * 59, P),
        ("failover_time.p5 > 5s", [6.0] * 49 + [4.0] * 10, F),
        ("failover_time.p5 >= 5s", [5.0] * 59, P),
        ("failover_time.p95 <= 5s", [5.0] * 59, P),
        ("failover_time.p95 < 5s", [5.0] * 59, F),
        ("failover_time.p95 > 5s", [6.0] * 59, P),
    ],
)
def test_either_direction_counts_what_is_beyond_its_bound(text, values, verdict):
    assert judged(parse_threshold(text), seen(*values)).verdict is verdict


@pytest.mark.parametrize(
    ("op", "values", "verdict"),
    [
        ("==", [0.0] * 59, P),
        ("==", [1.0] * 59, F),
        ("==", [0.0] * 57 + [1.0] * 2, U),
        ("!=", [0.0] * 59, F),
        ("!=", [1.0] * 59, P),
        ("!=", [0.0] * 57 + [1.0] * 2, U),
    ],
)
def test_a_percentile_that_is_to_equal_a_value_lies_on_neither_side(op, values, verdict):
    threshold = parse_threshold(f"dropped_requests.p95 {op} 0")
    trials = seen(*values, bound=0.0, unit="count")
    assert judge_all(threshold, trials).verdict is verdict
    assert judged(threshold, trials).verdict is verdict


def campaign(rng, beyond):
    """59 trials of which each is beyond the bound with that probability."""
    (good,), (bad,) = seen(1.0), seen(6.0)
    return [bad if rng.random() < beyond else good for _ in range(59)]


@pytest.mark.parametrize("percent", [95, 80, 20])
def test_on_the_boundary_wrong_verdicts_stay_below_five_percent(percent):
    """The share beyond the bound is just what a percentile leaves: where errors are likeliest."""
    threshold = parse_threshold(f"failover_time.p{percent} < 5s")
    rng, found = random.Random(percent), {P: 0, F: 0, U: 0}
    for _ in range(RUNS):  # all looks: what one decided stands
        found[judged(threshold, campaign(rng, 1 - percent / 100)).verdict] += 1
    assert 0.01 < found[P] / RUNS <= 0.05 + SLACK
    assert found[F] / RUNS <= 0.05 + SLACK


def test_the_bound_of_a_fixed_run_at_every_look_would_be_found():
    """The planted violation: no plan at all, the run stops at the first look that suits."""
    threshold, rng, wrong, runs = (
        parse_threshold("failover_time.p80 < 5s"),
        random.Random(1),
        0,
        300,
    )
    for _ in range(runs):
        trials = campaign(rng, 0.2)
        wrong += any(judge_all(threshold, trials[:n]).verdict is F for n in range(4, 60, 5))
    assert wrong / runs > 0.08


def test_the_claim_of_one_look_does_not_contradict_it():
    """59 clean trials pass a p95 by the plan; 5.2 % beside it would say that they do not."""
    trials = [(one,) for one in seen(*[1.0] * 59)]
    assert claims([P95], trials, looks_up_to(59)) == ()
    assert "at most 5 %" in claims([P95], trials, ())[0]
