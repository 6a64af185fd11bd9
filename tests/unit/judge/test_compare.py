"""Non-inferiority of one run against another: verdicts, margins, sentences."""

import json
import random
from pathlib import Path

import pytest

from chaoskit.experiment.margin import Margin, parse_margin
from chaoskit.judge.compare import (
    Allowed,
    Compared,
    Measured,
    allowance,
    compare_all,
    compare_one,
)
from chaoskit.judge.compare_safety import SafetySeen
from chaoskit.judge.compare_table import table
from chaoskit.judge.result import Verdict
from chaoskit.measure.shift import Observed

USUAL = Margin("failover_time", "failover_time")
CLEAN = SafetySeen(0, 0, 10)
CAMPAIGNS = 300


def observed(*values):
    return tuple(Observed(value) for value in values)


def judged(base, new, margin=USUAL, unit="s", rate=200.0):
    measured = Measured("failover_time", unit, tuple(base), tuple(new))
    return compare_one(measured, allowance(margin, unit, measured.base, rate))


def times(rng, n, median, cv=0.12):
    return observed(*(max(0.1, rng.gauss(median, cv * median)) for _ in range(n)))


def verdicts(n, slower):
    rng = random.Random(f"{n}/{slower}")
    found = [
        judged(times(rng, n, 10.0), times(rng, n, 10.0 * (1 + slower))).verdict
        for _ in range(CAMPAIGNS)
    ]
    return {verdict: found.count(verdict) / CAMPAIGNS for verdict in Verdict}


# ---------------------------------------------------------------- margins


def test_a_tenth_of_the_median_is_allowed_and_never_less_than_two_slots():
    assert allowance(USUAL, "s", observed(1, 2, 3), 200.0).value == pytest.approx(0.2)
    assert allowance(USUAL, "s", observed(0.01, 0.02), 200.0) == Allowed(
        0.01, "two slots of the load"
    )
    dropped = Margin("dropped_requests", "dropped_requests")
    assert allowance(dropped, "count", observed(4, 5, 6), 200.0) == Allowed(2.0, "two requests")


def test_two_more_of_what_is_no_request_are_two_too_many():
    """The planted violation: metastable in every trial, of which two would have been allowed."""
    margin = Margin("metastable", "metastable")
    never, always = observed(*[0] * 10), observed(*[1] * 10)
    assert judged(never, always, margin, "count").verdict is Verdict.FAIL
    assert judged(never, never, margin, "count").verdict is Verdict.PASS
    assert judged(always, always, margin, "count").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("text", "value"), [("+10%", 0.2), ("+150%", 3.0), ("+50ms", 0.05), ("+0%", 0.0)]
)
def test_what_is_asked_for_is_taken_as_it_is(text, value):
    margin = parse_margin(f"failover_time {text}")
    assert allowance(margin, "s", observed(1, 2, 3), 200.0).value == pytest.approx(value)


def test_a_share_of_a_median_without_end_is_no_margin():
    base = [*observed(1.0, 1.1), *[Observed(6.0, ended=False)] * 3]
    found = judged(base, observed(1.0, 1.0, 1.0, 1.0, 1.1))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "half of BASE's trials never ended" in found.sentence
    asked = judged(base, observed(1.0, 1.0, 1.0, 1.0, 1.1), parse_margin("failover_time +500ms"))
    assert asked.verdict is Verdict.PASS  # an amount of its own needs no median


# ---------------------------------------------------------------- a share of nothing

ZEROS = observed(*[0.0] * 10)
TENTH = parse_margin("failover_time +10%")


@pytest.mark.parametrize("text", ["+10%", "+0%", "+0ms"])
@pytest.mark.parametrize("n", [4, 10])
def test_nothing_against_nothing_passes_where_nothing_is_allowed(n, text):
    found = judged(ZEROS[:n], ZEROS[:n], parse_margin(f"failover_time {text}"))
    assert found.verdict is Verdict.PASS
    assert found.sentence == "failover_time is not worse (95 %), and nothing is allowed"


def test_one_slot_where_there_was_nothing_fails():
    found = judged(ZEROS, observed(*[0.005] * 10), TENTH)
    assert found.verdict is Verdict.FAIL
    assert "more than the 0 s allowed (10 % of BASE's median)" in found.sentence


def test_a_few_above_all_of_base_are_named_where_the_middle_hides_them():
    found = judged(ZEROS, observed(*[0.0] * 9, 5.0), TENTH)
    assert found.verdict is Verdict.PASS
    assert found.sentence.endswith("; 1 of 10 trials of NEW above all of BASE")


def test_where_a_share_of_nothing_cannot_tell_an_amount_is_asked_for():
    found = judged(ZEROS, observed(*[0.0] * 6, *[0.005] * 4), TENTH)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "a share of nothing allows nothing; give the margin as an amount" in found.sentence


def test_nothing_against_nothing_passes_as_one_of_several_gates():
    both = [judged(ZEROS, ZEROS, TENTH), judged(ZEROS, ZEROS, TENTH, "count")]
    assert whole(*both).verdict is Verdict.PASS
    late = judged(ZEROS, observed(*[0.005] * 10), TENTH)
    assert whole(both[0], late).verdict is Verdict.FAIL, "its clean twin passes"


def test_where_something_is_allowed_the_end_of_the_interval_stays_below_it():
    steady = observed(*[1.0] * 10)
    late, margin = observed(*[1.5] * 10), parse_margin("failover_time +500ms")
    assert judged(steady, late, margin).verdict is Verdict.INCONCLUSIVE
    assert judged(steady, late, parse_margin("failover_time +501ms")).verdict is Verdict.PASS


# ---------------------------------------------------------------- verdicts


def test_the_whole_interval_below_the_margin_passes():
    base = observed(1.00, 1.01, 1.02, 1.03, 1.04)
    found = judged(base, observed(1.01, 1.02, 1.03, 1.04, 1.05))
    assert found.verdict is Verdict.PASS
    assert found.shift == pytest.approx(0.01)
    assert found.shift_high < found.allowed
    assert "worse by at most" in found.sentence


def test_a_faster_run_passes_and_says_by_how_much():
    found = judged(observed(2.0, 2.1, 2.2, 2.3), observed(1.0, 1.1, 1.2, 1.3))
    assert (found.verdict, found.cliffs_delta) == (Verdict.PASS, -1.0)
    assert found.sentence == "failover_time is better by at least 0.700 s (95 %)"


def test_surely_slower_and_likely_beyond_the_margin_fails():
    found = judged(observed(1.0, 1.1, 1.2, 1.3), observed(2.0, 2.1, 2.2, 2.3))
    assert (found.verdict, found.cliffs_delta) == (Verdict.FAIL, 1.0)
    assert "worse by +1.000 s (+0.700 s to +1.300 s; 95 %), more than the 0.115 s allowed" in (
        found.sentence
    )


def test_surely_slower_by_less_than_the_margin_is_no_failure():
    base = observed(*(1 + i / 1000 for i in range(8)))
    found = judged(base, observed(*(o.value + 0.05 for o in base)))
    assert found.shift_low > 0
    assert found.verdict is Verdict.PASS


def test_three_against_three_says_plainly_that_it_shows_nothing():
    found = judged(observed(1.0, 1.1, 1.2), observed(9.0, 9.1, 9.2))
    assert (found.verdict, found.coverage) == (Verdict.INCONCLUSIVE, None)
    assert "3 against 3 trials can show nothing at 95 %; 4 of each is the least" in found.sentence


def test_what_straddles_the_margin_asks_for_more_trials():
    rng = random.Random(3)
    found = judged(times(rng, 5, 1.0), times(rng, 5, 1.0))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.trials_needed > 5
    assert f"{found.trials_needed} trials of each would likely decide" in found.sentence


def test_trials_without_end_in_new_can_fail_it_and_open_the_upper_end():
    base = observed(1.0, 1.1, 1.2, 1.3, 1.4)
    gone = Observed(6.0, ended=False)
    all_gone = judged(base, [gone] * 5)
    assert (all_gone.verdict, all_gone.shift_high) == (Verdict.FAIL, None)
    assert "worse by at least 4.600 s (95 %)" in all_gone.sentence
    one = judged(base, [*base[:4], gone])
    assert (one.verdict, one.shift_high) == (Verdict.INCONCLUSIVE, None)
    assert "leave the shift unbounded" in one.sentence


def test_one_trial_without_end_among_many_that_pass_is_never_passed_over_in_silence():
    base = observed(*(1 + i / 1000 for i in range(20)))
    found = whole(judged(base, [*base[:19], Observed(6.0, ended=False)]))
    assert found.verdict is Verdict.PASS
    assert "1 of 20 trials of NEW without an end, 0 of 20 of BASE" in found.notes[0]
    assert whole(judged(base, base)).notes == ()


def test_a_metric_that_one_side_has_not_is_inconclusive():
    found = judged(observed(1.0, 1.1), ())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no valid trial of NEW" in found.sentence


# ---------------------------------------------------------------- simulated campaigns


def test_a_fifth_slower_is_found_in_most_campaigns_of_ten():
    assert verdicts(10, 0.20)[Verdict.FAIL] > 0.7


def test_half_slower_is_found_with_five():
    assert verdicts(5, 0.50)[Verdict.FAIL] > 0.95


@pytest.mark.parametrize("n", [4, 6, 10, 20])
def test_the_same_system_twice_hardly_ever_fails(n):
    assert verdicts(n, 0.0)[Verdict.FAIL] < 0.05


def test_the_same_system_twice_passes_if_there_are_enough_trials():
    assert verdicts(30, 0.0)[Verdict.PASS] > 0.8


def test_a_fifth_slower_hardly_ever_passes():
    assert verdicts(20, 0.20)[Verdict.PASS] < 0.025


# ---------------------------------------------------------------- the whole


def whole(*metrics, safety=None, notes=()):
    return compare_all(("a", "b"), metrics, safety or {"lost_writes": (CLEAN, CLEAN)}, notes)


PASSING = judged(observed(1.00, 1.01, 1.02, 1.03), observed(1.00, 1.01, 1.02, 1.03))
FAILING = judged(
    observed(1.0, 1.1, 1.2, 1.3, 1.4, 1.5), observed(2.0, 2.1, 2.2, 2.3, 2.4, 2.5)
)  # clear enough to be one of three gates
OPEN = judged(observed(1.0, 1.1, 1.2), observed(1.0, 1.1, 1.2))


@pytest.mark.parametrize(
    ("metrics", "verdict", "code"),
    [
        ((PASSING,), Verdict.PASS, 0),
        ((PASSING, OPEN), Verdict.INCONCLUSIVE, 3),
        ((PASSING, OPEN, FAILING), Verdict.FAIL, 1),
        ((), Verdict.INCONCLUSIVE, 3),
    ],
)
def test_the_worst_metric_decides(metrics, verdict, code):
    found = whole(*metrics)
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert table(found).splitlines()[-1] == f"{verdict}: {found.sentence}"


def test_a_loss_that_the_baseline_did_not_have_fails_without_statistics():
    found = whole(PASSING, safety={"lost_writes": (CLEAN, SafetySeen(3, 1, 10))})
    assert found.verdict is Verdict.FAIL
    assert found.sentence == ("3 lost writes in 1 of 10 trials of NEW, none in 10 trials of BASE.")


def test_the_table_prints_unbounded_ends_as_such():
    gone = Observed(6.0, ended=False)
    text = table(whole(judged(observed(1.0, 1.1, 1.2, 1.3, 1.4, 1.5), [gone] * 6)))
    assert "no end (6.000 s to no end) [n=6, 6 without end]" in text
    assert "unbounded (+4.500 s to unbounded)" in text


def test_the_documentation_shows_what_would_be_printed():
    rng = random.Random(3)
    base = observed(*(rng.gauss(0.41, 0.03) for _ in range(10)))
    found = whole(judged(base, observed(*(rng.gauss(0.50, 0.03) for _ in range(10)))))
    page = Path(__file__).parents[3] / "docs" / "reading-a-report.md"
    assert "\n".join(table(found).splitlines()[2:]) in page.read_text(encoding="utf-8")


def test_json_holds_no_infinity():
    gone = Observed(6.0, ended=False)
    found = whole(judged(observed(1.0, 1.1, 1.2, 1.3), [gone] * 4))
    stored = json.loads(found.model_dump_json())
    assert stored["metrics"][0]["shift_high"] is None
    assert found.metrics[0].model_validate(stored["metrics"][0]) == found.metrics[0]


def gate(name, verdict, p):
    side = compare_one(Measured(name, "s", (), ()), Allowed(0.1, "as asked")).base
    return Compared(
        metric=name, unit="s", verdict=verdict, sentence=f"{name} as such", base=side, new=side,
        cliffs_delta=0.5, p=p, gate_p=p,
    )  # fmt: skip


def test_several_gates_are_corrected_by_holm_and_one_alone_is_not():
    one = compare_all(("a", "b"), [gate("failover_time", Verdict.FAIL, 0.04)], {})
    assert one.verdict is Verdict.FAIL
    assert not any("Holm" in note for note in one.notes)
    two = [gate("failover_time", Verdict.FAIL, 0.04), gate("client_outage", Verdict.PASS, 0.03)]
    both = compare_all(("a", "b"), two, {})
    assert both.verdict is Verdict.INCONCLUSIVE
    assert any("2 gates: verdicts corrected by Holm" in note for note in both.notes)
    assert "Holm" in both.sentence
    clear = [gate("failover_time", Verdict.FAIL, 0.001), gate("client_outage", Verdict.PASS, 0.03)]
    found = compare_all(("a", "b"), clear, {})
    assert [m.verdict for m in found.metrics] == [Verdict.FAIL, Verdict.PASS]


def test_the_p_of_a_gate_is_on_the_side_that_its_interval_says():
    base = tuple(Observed(1 + n / 100) for n in range(10))
    same = compare_one(Measured("m", "s", base, base), Allowed(0.5, "as asked"))
    assert same.verdict is Verdict.PASS
    assert same.gate_p < 0.05 < same.p
    worse = tuple(Observed(o.value + 1) for o in base)
    found = compare_one(Measured("m", "s", base, worse), Allowed(0.5, "as asked"))
    assert found.verdict is Verdict.FAIL
    assert found.gate_p == found.p < 0.05
