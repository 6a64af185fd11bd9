"""Several looks, several bounds: wrong verdicts stay below what is stated, over all of them."""

import math
import random
from dataclasses import replace

import pytest
from scipy import stats

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.bounds import Bound, Bounded
from chaoskit.judge.result import Verdict
from chaoskit.judge.several import corrected, judge_looks, said
from chaoskit.judge.thresholds import judge_all
from chaoskit.judge.verdict import Case, TrialInput, enough, judge_run, judge_trial
from chaoskit.measure.holm import holm
from chaoskit.measure.looks import boundaries, looks_up_to, spending
from chaoskit.measure.reading import Reading

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
LOOKS = looks_up_to(59)
RUNS = 3000


def rare(allowed, metric="failover_time"):
    text = f"P({metric} > 5s) <= {allowed}"
    return Threshold(text, metric, ">", 5.0, "s", exceedance=allowed)


def bounded(exceeds, n=1):
    value = 6.0 if exceeds else 1.0
    return Bounded(n, Reading(value, value, value, "s"), Bound.exact(5.0))


def stopped(threshold, trials, looks=LOOKS, family=1):
    """The verdict of a run that looks as planned and stops as soon as it is decided."""
    for n in looks:
        found = judge_looks(threshold, trials[:n], looks, family)
        if found.verdict in (P, F):
            return found.verdict
    return U


def test_the_looks_are_the_ladder_of_the_profiles_up_to_the_cap():
    assert looks_up_to(59) == (3, 10, 30, 59)
    assert looks_up_to(20) == (3, 10, 20)
    assert looks_up_to(2) == (2,)
    assert looks_up_to(100) == (3, 10, 30, 59, 100)
    assert spending(LOOKS)[-1] == pytest.approx(0.05)
    assert list(spending(LOOKS)) == sorted(spending(LOOKS))


@pytest.mark.parametrize("allowed", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("error", [0.05, 0.0125])
def test_the_boundaries_spend_no_more_than_the_error_counted_by_scipy(allowed, error):
    """Every path of exceedances up to the last look, at the share where errors are likeliest."""
    for side, p in (("pass_at", allowed), ("fail_at", allowed)):
        alive, crossed, before = {0: 1.0}, 0.0, 0
        for look in boundaries(LOOKS, allowed, error):
            step, grown = look.n - before, {}
            before = look.n
            for k, chance in alive.items():
                for more in range(step + 1):
                    reached = k + more
                    grown[reached] = grown.get(reached, 0.0) + chance * stats.binom.pmf(
                        more, step, p
                    )
            over = {
                k for k in grown
                if (k <= look.pass_at if side == "pass_at" else k >= look.fail_at)
            }  # fmt: skip
            crossed += sum(grown.pop(k) for k in over)
            alive = grown
        assert crossed <= error + 1e-9


def test_59_clean_trials_are_a_certificate_under_the_plan_too():
    assert stopped(rare(0.05), [bounded(False)] * 59) is P
    assert stopped(rare(0.05), [bounded(False)] * 58) is U


@pytest.mark.parametrize("allowed", [0.05, 0.1, 0.3])
def test_wrong_verdicts_stay_below_five_percent_under_repeated_looks(allowed):
    """At the edge, where they are likeliest: the share is just what is, or is not, allowed."""
    rng, seen = random.Random(7), {P: 0, F: 0, U: 0}
    for _ in range(RUNS):
        seen[stopped(rare(allowed), [bounded(rng.random() < allowed) for _ in range(59)])] += 1
    slack = 4 * math.sqrt(0.05 * 0.95 / RUNS)
    assert seen[P] / RUNS <= 0.05 + slack
    assert seen[F] / RUNS <= 0.05 + slack


def test_looking_as_one_likes_would_be_found():
    """The planted violation: an uncorrected 95 % bound after every trial, stopped when it fails."""
    rng, wrong = random.Random(7), 0
    for _ in range(300):
        trials = [bounded(rng.random() < 0.3) for _ in range(59)]
        wrong += any(judge_all(rare(0.3), trials[:n]).verdict is F for n in range(3, 60))
    assert wrong / 300 > 0.08


@pytest.mark.parametrize("true", [4.0, 5.0])
def test_a_bound_on_the_median_is_not_decided_by_luck_either(true):
    threshold = Threshold(
        "failover_time.median < 5s", "failover_time", "<", 5.0, "s", stat="median"
    )
    rng, seen, runs = random.Random(3), {P: 0, F: 0, U: 0}, 1000
    for _ in range(runs):
        values = [rng.lognormvariate(math.log(true), 0.3) for _ in range(59)]
        trials = [Bounded(1, Reading(v, v, v, "s"), Bound.exact(5.0)) for v in values]
        seen[stopped(threshold, trials)] += 1
    assert seen[F] / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    if true == 5.0:
        assert seen[P] / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    else:
        assert seen[P] / runs > 0.8


def test_what_a_look_decided_stands_when_the_run_goes_on():
    trials = [bounded(True)] * 10 + [bounded(False)] * 49
    assert judge_looks(rare(0.1), trials, LOOKS, 1).verdict is F
    assert "look 10" in judge_looks(rare(0.1), trials, LOOKS, 1).observed


# ---------------------------------------------------------------- several bounds


def test_holm_is_that_of_its_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.05]) == (0.05,)
    assert holm([]) == ()


def test_two_bounds_need_more_than_each_alone():
    two = [rare(0.05), rare(0.05, "client_outage")]
    clean = [bounded(False)] * 59
    alone = [judge_all(t, clean) for t in two]
    assert [e.verdict for e in alone] == [P, P]
    both = corrected(two, [clean, clean], alone)
    assert [e.verdict for e in both] == [U, U]
    assert "Holm" in both[0].reason
    more = [bounded(False)] * 73  # 0.95 ** 73 < 0.025
    found = corrected(two, [more, more], [judge_all(t, more) for t in two])
    assert [e.verdict for e in found] == [P, P]
    assert corrected(two[:1], [clean], alone[:1]) == alone[:1]
    assert any("Holm" in line for line in said(two, ()))


def test_any_wrong_verdict_among_several_bounds_stays_below_five_percent():
    rng, wrong, alone, runs = random.Random(5), 0, 0, 1000
    family = [rare(0.3, name) for name in ("a", "b", "c", "d")]
    for _ in range(runs):
        seen = [[bounded(rng.random() < 0.3) for _ in range(30)] for _ in family]
        each = [judge_all(t, s) for t, s in zip(family, seen, strict=True)]
        alone += any(e.verdict is P for e in each)
        wrong += any(e.verdict is P for e in corrected(family, seen, each))
    assert wrong / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    assert alone / runs > 0.05


# ---------------------------------------------------------------- a whole run


def judged(case, count, **scenario):
    trials = []
    for n in range(1, count + 1):
        history, _ = simulate(Scenario(seed=n, outage_s=0.5, **scenario))
        trials.append(judge_trial(case, TrialInput(n, history)))
    return trials


def test_a_run_stops_at_the_first_look_that_decides_and_is_judged_the_same_later():
    plain = Threshold("failover_time < 5s", "failover_time", "<", 5.0, "s")
    case = Case("kill", (plain,), 59, looks=LOOKS)
    trials = judged(case, 3)
    assert [enough(case, trials[:n]) for n in (1, 2, 3)] == [False, False, True]
    result = judge_run(case, trials)
    assert result.verdict is P
    assert any("Planned before the run" in line for line in result.claims)
    assert judge_run(case, trials[:2]).verdict is Verdict.INVALID


def test_a_bound_that_needs_more_trials_goes_on_and_at_the_cap_asks_for_more():
    case = Case("kill", (rare(0.05),), 5, looks=looks_up_to(5))
    trials = judged(case, 5)
    assert not any(enough(case, trials[:n]) for n in range(1, 6))
    result = judge_run(case, trials)
    assert result.verdict is U
    assert "more trials" in result.expectations[0].reason


def test_a_missed_bound_stops_it_at_the_next_look():
    plain = Threshold("failover_time < 100ms", "failover_time", "<", 0.1, "s")
    case = Case("kill", (plain,), 59, looks=LOOKS)
    trials = judged(case, 3)
    assert enough(case, trials)
    assert judge_run(case, trials).verdict is F


def test_a_proven_loss_stops_it_at_once():
    lost = Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count")
    case = Case("kill", (lost, rare(0.05)), 59, looks=LOOKS)
    history, _ = simulate(Scenario(seed=1, outage_s=0.5))
    short = {
        k: replace(f, tokens=f.tokens[1:], counts=f.counts[1:]) for k, f in history.finals.items()
    }
    losing = judge_trial(case, TrialInput(1, replace(history, finals=short)))
    assert enough(case, [losing])
    assert judge_run(case, [losing]).verdict is F
    assert not enough(case, judged(case, 1)), "the clean twin goes on"
