"""Thresholds: which end of an interval counts, and what statistics over trials need."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.bounds import Bound, Bounded, holds
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import expectation, judge_all, measure
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.reading import Reading
from chaoskit.measure.view import View

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
INF = math.inf


def reading(low, high, value=None, **more):
    return Reading(low, (low + high) / 2 if value is None else value, high, "s", **more)


@pytest.mark.parametrize(
    ("op", "low", "high", "verdict"),
    [
        ("<", 1.0, 1.9, P), ("<", 1.0, 2.0, U), ("<", 2.0, 2.1, F), ("<", 1.9, INF, U),
        ("<=", 1.0, 2.0, P), ("<=", 2.0, 2.1, U), ("<=", 2.1, 2.2, F), ("<=", 2.1, INF, F),
        (">", 2.1, 2.2, P), (">", 2.0, 2.2, U), (">", 1.9, 2.0, F), (">", 2.1, INF, P),
        (">=", 2.0, 2.2, P), (">=", 1.9, 2.0, U), (">=", 1.8, 1.9, F),
        ("==", 2.0, 2.0, P), ("==", 1.9, 2.1, U), ("==", 2.1, 2.2, F), ("==", 1.0, 1.0, F),
        ("!=", 2.1, 2.2, P), ("!=", 1.9, 2.1, U), ("!=", 2.0, 2.0, F),
    ],
)  # fmt: skip
def test_a_bound_holds_where_the_whole_interval_meets_it(op, low, high, verdict):
    assert holds(op, Bound.exact(2.0), reading(low, high, value=low)) is verdict


@given(
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(0, 10),
    st.floats(0, 10),
    st.floats(0, 5),
    st.floats(0, 1),
)
def test_a_narrower_bracket_never_turns_a_verdict_around(op, bound, low, width, share):
    wide = holds(op, Bound.exact(bound), reading(low, low + width))
    point = low + width * share
    sharp = holds(op, Bound.exact(bound), reading(point, point))
    assert sharp in (P, F)
    assert wide in (sharp, U)


def threshold(text, metric="failover_time", op="<", value=5.0, unit="s", **more):
    return Threshold(text, metric, op, value, unit, **more)


def trials(*ends, bound=5.0):
    return [
        Bounded(n, reading(low, high), Bound.exact(bound))
        for n, (low, high) in enumerate(ends, start=1)
    ]


EVERY = threshold("failover_time < 5s")


def test_every_trial_must_hold_and_the_worst_one_is_shown():
    found = judge_all(EVERY, trials((1, 1.1), (4, 4.2), (2, 2.1)))
    assert (found.verdict, found.trial) == (P, 2)
    assert found.observed == "4.10 s (4.00 s to 4.20 s), the worst of 3"
    assert found.margin == "0.80 s to spare"


def test_one_trial_outside_fails_and_one_that_straddles_is_undecided():
    assert judge_all(EVERY, trials((1, 1.1), (5.2, 5.4))).verdict is F
    undecided = judge_all(EVERY, trials((1, 1.1), (4.9, 5.1)))
    assert (undecided.verdict, undecided.trial) == (U, 2)
    assert "contains 5.00 s" in undecided.reason
    assert judge_all(EVERY, trials((4.9, 5.1), (5.2, 5.4))).verdict is F


def test_a_censored_trial_is_undecided_until_its_lower_end_decides():
    def censored(low):
        return [Bounded(1, reading(low, INF, value=low, censored=True), Bound.exact(5.0))]

    assert judge_all(EVERY, censored(4.0)).verdict is U
    assert "observe longer" in judge_all(EVERY, censored(4.0)).reason
    found = judge_all(EVERY, censored(6.0))
    assert found.verdict is F
    assert found.observed == "over 6.00 s, not over when observation ended"


def test_the_reason_given_with_a_threshold_is_shown_where_it_is_missed():
    why = threshold("failover_time < 5s", because="SLO-114")
    assert judge_all(why, trials((6, 7))).reason == "SLO-114"
    assert judge_all(why, trials((1, 2))).reason is None


def test_no_valid_trial_decides_nothing():
    assert judge_all(EVERY, []).verdict is U


@pytest.mark.parametrize(
    ("stat", "n", "verdict", "says"),
    [
        ("median", 5, U, "needs 6 trials"),
        ("p50", 5, U, "needs 6 trials"),
        ("median", 6, P, None),
        ("p95", 58, U, "needs 59 of them and there are 58"),
        ("p95", 59, P, None),
        ("p90", 28, U, "needs 29"),
        ("p90", 29, P, None),
        ("p99", 298, U, "needs 299"),
        ("max", 1, P, None),
        ("mean", 30, U, "no statistic"),
        ("min", 3, P, None),
        ("nonsense", 3, U, "no statistic"),
    ],
)
def test_statistics_over_trials_need_their_number_of_trials(stat, n, verdict, says):
    over = threshold(f"failover_time.{stat} < 5s", stat=stat)
    found = judge_all(over, trials(*[(1.0, 1.2)] * n))
    assert found.verdict is verdict
    assert says is None or says in found.reason


def test_one_slow_trial_does_not_move_the_median_but_the_largest():
    ends = [(1.0, 1.2)] * 9 + [(9.0, 9.1)]
    assert judge_all(threshold("m", stat="median"), trials(*ends)).verdict is P
    assert judge_all(threshold("m", stat="max"), trials(*ends)).verdict is F
    half = [(1.0, 1.2)] * 5 + [(9.0, 9.1)] * 5
    assert judge_all(threshold("m", stat="median"), trials(*half)).verdict is U


def test_an_exceedance_is_judged_by_its_bound_and_not_by_its_share():
    rare = threshold("P(failover_time > 5s) <= 10%", op=">", exceedance=0.1)
    clean = judge_all(rare, trials(*[(1, 1.1)] * 29))
    assert clean.verdict is P
    few = judge_all(rare, trials(*[(1, 1.1)] * 28))
    assert few.verdict is U
    assert few.reason.startswith("29 trials")
    one = judge_all(rare, trials(*[(1, 1.1)] * 28, (6, 7)))
    assert one.verdict is U
    assert one.reason.startswith("46 trials")
    many = judge_all(rare, trials(*[(1, 1.1)] * 5, *[(6, 7)] * 5))
    assert many.verdict is F


def test_a_trial_that_straddles_may_exceed():
    rare = threshold("P(failover_time > 5s) <= 10%", op=">", exceedance=0.1)
    found = judge_all(rare, trials(*[(1, 1.1)] * 28, (4.9, 5.1)))
    assert found.verdict is U
    assert found.observed.startswith("0 to 1 of 29")


# ---------------------------------------------------------------- from a history


@pytest.fixture(scope="module")
def seen():
    view = View(simulate(Scenario())[0])
    return view, measure_view(view)


def judged(seen, one):
    return expectation(one, measure(one, 1, *seen))


def test_a_bound_on_what_did_not_happen_is_invalid_and_says_why():
    view = View(simulate(Scenario(outage_s=0.0))[0])
    found = judged((view, measure_view(view)), EVERY)
    assert found.verdict is Verdict.INVALID
    assert "not applicable: nothing failed over" in found.observed


@pytest.mark.parametrize(
    ("metric", "op", "value", "unit", "verdict"),
    [
        ("dropped_requests", "<", 250, "count", P),
        ("dropped_requests", "<", 150, "count", F),
        ("dropped_requests", "<", 0.5, "ratio", F),
        ("availability", ">=", 0.999, "ratio", F),
        ("availability", ">=", 0.8, "ratio", P),
        ("lost_writes", "==", 0, "count", P),
        ("client_outage", "<", 1.0, "s", U),
        ("goodput_gap", "<", 2, "s", P),
        ("flaps", "<=", 1, "count", P),
    ],
)
def test_each_kind_of_metric_meets_its_bound(seen, metric, op, value, unit, verdict):
    assert judged(seen, threshold("t", metric, op, value, unit)).verdict is verdict


def test_too_few_answers_for_a_percentile_are_undecided(seen):
    fine = threshold("t", "latency", value=1.0, stat="p99.9", phase="recovered")
    found = judged(seen, fine)
    assert found.verdict is U
    assert "needs 1000" in found.reason


SHARE = {"metric": "error_rate", "unit": "ratio", "value": 0.01, "phase": "run"}


def shares(*values):
    return [
        Bounded(n, Reading(v, v, v, "ratio"), Bound.exact(0.01))
        for n, v in enumerate(values, start=1)
    ]


def test_a_percentile_of_a_share_is_one_over_the_trials():
    few = judge_all(threshold("error_rate.p95@run < 1%", stat="p95", **SHARE), shares(*[0.005] * 3))
    assert (few.verdict, "needs 59" in few.reason) == (U, True)
    half = threshold("error_rate.p50@run < 1%", stat="p50", **SHARE)
    assert judge_all(half, shares(*[0.005] * 9, 0.4)).verdict is P
    assert judge_all(half, shares(0.005, *[0.4] * 9)).verdict is F


def test_a_count_and_a_share_of_requests_are_of_every_trial():
    for stat in ("count", "rate"):
        one = threshold("d", "dropped_requests", value=0.01, unit="ratio", stat=stat)
        assert judge_all(one, shares(*[0.005] * 9, 0.4)).verdict is F


def test_a_median_is_shown_in_the_unit_of_its_metric():
    half = threshold("error_rate.p50@run < 1%", stat="p50", **SHARE)
    assert "(median 0.5 %," in judge_all(half, shares(*[0.005] * 6)).observed


def test_a_phase_that_never_was_is_no_proof_that_it_was_clean():
    history, _ = simulate(Scenario(outage_s=0.5))
    fault = replace(history.faults[0], heal_commanded_ns=None, healed_ns=None, felt_healed_ns=None)
    never = replace(history, faults=(fault,))
    for kind, bound in (("error_rate", "<"), ("availability", ">"), ("dropped_requests", "<")):
        one = threshold("x", kind, op=bound, value=0.5, unit="ratio", phase="recovered")
        found = judged((View(never), measure_view(View(never))), one)
        assert found.verdict is Verdict.INVALID, kind
        assert "no request was due" in found.observed
        assert judged((View(history), measure_view(View(history))), one).verdict is P
    none = threshold("x", "error_rate", value=0.5, unit="ratio", phase="outage")
    assert judged((View(never), measure_view(View(never))), none).verdict is not Verdict.INVALID
