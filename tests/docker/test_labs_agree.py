"""Both labs measure the same failover, and the comparison notices when they do not."""

import pytest
from support import benchmark

from chaoskit.measure.shift import Observed, shift

agreement = benchmark("labs_agree")
TRIES = 2  # a busy machine may leave too few valid trials, or such as scatter too much to tell


@pytest.mark.docker
@pytest.mark.sandbox
@pytest.mark.timeout(900)
def test_the_pair_fails_over_as_fast_in_docker_as_in_the_sandbox(experiment):
    file = experiment(run_for="6s", thresholds="[client_outage < 3s, lost_writes == 0]")
    for seed in range(TRIES):
        found = agreement.agree(file, 10, seed)
        if found.verdicts == ("PASS", "PASS") and (found.good or found.differs):
            break  # told, either way
    assert found.verdicts == ("PASS", "PASS")
    assert min(map(len, found.values)) >= 10
    assert found.good, found.row()


def of(base, new, verdicts=("PASS", "PASS")):
    moved = shift([Observed(v) for v in base], [Observed(v) for v in new])
    return agreement.Agreement("x", verdicts, (base, new), moved, 0.1)


SANDBOX = [0.24 + 0.01 * n for n in range(10)]


def test_equal_times_agree():
    assert of(SANDBOX, [v + 0.01 for v in SANDBOX]).good


def test_a_lab_that_is_slower_by_more_than_a_period_is_found():
    assert not of(SANDBOX, [v + 0.15 for v in SANDBOX]).good
    assert not of(SANDBOX, [v - 0.15 for v in SANDBOX]).good


def test_times_that_scatter_more_than_a_period_are_not_told_apart_unless_they_are_shifted():
    wide = [0.5 + 0.25 * n for n in range(10)]
    same, other = of(wide, [v + 0.05 for v in wide]), of(wide, [v + 5.0 for v in wide])
    assert not same.good
    assert not same.differs
    assert "not told apart" in same.row()
    assert other.differs
    assert "**no**" in other.row()
    assert of(wide, wide, ("PASS", "FAIL")).differs
    assert of(wide[:3], wide[:3]).differs, "too few to say so"


def test_too_few_trials_are_no_agreement():
    assert not of(SANDBOX[:3], SANDBOX[:3]).good


@pytest.mark.parametrize("verdict", ["INVALID", "INCONCLUSIVE"])
def test_two_labs_that_could_not_tell_do_not_agree(verdict):
    found = agreement.Agreement("x", (verdict, verdict), ([], []), None, 0.1)
    assert not found.good
    assert "could not be told" in found.row()


def test_where_nothing_fails_over_the_same_verdict_is_agreement():
    found = agreement.Agreement("x", ("PASS", "PASS"), ([], []), None, 0.1)
    assert found.good
    assert "not applicable" in found.row()


def test_another_verdict_is_found():
    found = of(SANDBOX, SANDBOX, ("PASS", "FAIL"))
    assert not found.good
    assert "**no**" in found.row()


# ---------------------------------------------------------------- trials that came back in place


def told(*trials, verdict="PASS"):
    """A run's result, of (kind of recovery, failover_time) each."""
    each = [
        {
            "invalid_because": [],
            "metrics": {"recovery": kind, "failover_time": {"value_s": value, "censored": False}},
        }
        for kind, value in trials
    ]
    return {"verdict": verdict, "trials": each}


def both(base, new):
    return agreement.compared("x", told(*base), told(*new), 0.1)


MOVED = [("failover", v) for v in SANDBOX]


def in_place(first):
    return [("in-place restart", first + 0.01 * n) for n in range(10)]


def test_what_a_lab_needs_to_start_a_service_again_is_shown_and_not_compared():
    found = both(in_place(2.0), in_place(2.4))
    assert found.good
    assert found.shift is None
    says = "2.045 s in place (n = 10) | 2.445 s in place (n = 10) | not compared | - | the verdict"
    assert says in found.row()


def test_only_trials_that_failed_over_are_compared():
    slower = [(kind, v + 0.15) for kind, v in MOVED]
    mixed = in_place(2.0)[:3]
    assert both(MOVED + mixed, MOVED + in_place(2.9)[:3]).good
    assert both(MOVED + mixed, slower + mixed).differs
    assert "0.285 s (n = 10), 2.010 s in place (n = 3)" in both(MOVED + mixed, MOVED + mixed).row()


def test_failovers_in_one_lab_alone_are_found():
    some = MOVED[:6] + in_place(0.3)[:4]
    for base, new in ((MOVED, in_place(0.3)), (in_place(0.3), MOVED), (in_place(0.3), some)):
        found = both(base, new)
        assert not found.good
        assert found.differs
        assert "**no**" in found.row()


def test_a_single_failover_among_those_in_place_is_chance():
    found = both(in_place(2.0), in_place(2.0)[:9] + MOVED[:1])
    assert found.good
    assert (
        "| 0.240 s (n = 1), 2.040 s in place (n = 9) | not compared | - | the verdict"
        in found.row()
    )


@pytest.mark.parametrize(
    "seen", [(10, 0, 0, 10), (6, 0, 4, 10), (5, 1, 5, 9), (3, 2, 0, 0), (0, 0, 0, 0)]
)
def test_the_chance_is_that_of_the_exact_test(seen):
    stats = pytest.importorskip("scipy.stats")
    moved, others, stayed, others_stayed = seen
    expected = stats.fisher_exact([[moved, stayed], [others, others_stayed]]).pvalue
    assert agreement.fisher(*seen) == pytest.approx(expected)


def test_a_trial_of_which_nobody_says_who_served_is_not_taken_for_a_failover():
    unknown = [("unknown", value) for _, value in MOVED]
    assert both(unknown, unknown).shift is None


def test_another_verdict_of_what_came_back_in_place_is_found():
    found = agreement.compared("x", told(*in_place(2.0)), told(*in_place(2.0), verdict="FAIL"), 0.1)
    assert found.differs
