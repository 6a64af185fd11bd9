"""Takeovers without cause: found where they are, and nowhere else."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from chaoskit.clock import NS
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.soaking import soaked
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.model import FalseFailovers
from chaoskit.measure.statistics import rate_lower, rate_upper
from chaoskit.measure.takeovers import false_failovers, promotions, takeovers
from chaoskit.measure.view import View

NEVER = parse_threshold("false_failovers == 0")
DOC = (Path(__file__).parents[3] / "docs" / "reading-a-report.md").read_text("utf-8")


@pytest.fixture(scope="module")
def soak():
    """Seven seconds of service in which nothing breaks."""
    return simulate(Scenario(outage_s=0.0, bites=False))[0]


def moved(history, from_s, to_s=math.inf, values=("backup", "primary")):
    """What node-a and node-b say from one moment to another, from the start of observation."""
    zero = history.window.baseline_start_ns
    says = dict(zip(("node-a", "node-b"), values, strict=True))
    return replace(
        history,
        observations=tuple(
            replace(o, value=says[o.node]) if from_s <= (o.sent_ns - zero) / NS < to_s else o
            for o in history.observations
        ),
    )


def test_nothing_is_found_in_a_soak_in_which_nothing_happens(soak):
    found = false_failovers(View(soak))
    start, end = View(soak).observed
    assert (found.count, found.soak) == (0, True)
    assert found.watched_s == pytest.approx((end - start) / NS, abs=0.2)


def test_one_unprovoked_failover_is_one(soak):
    (one,) = takeovers(View(moved(soak, 2.0)))
    assert (one.node, one.before) == ("node-b", "node-a")
    assert false_failovers(View(moved(soak, 2.0))).count == 1


def test_there_and_back_are_two(soak):
    assert false_failovers(View(moved(soak, 2.0, 3.0))).count == 2


@pytest.mark.parametrize("word", [None, "joining", "paused"])
def test_a_primary_that_was_silent_for_a_while_took_nothing_over(soak, word):
    assert false_failovers(View(moved(soak, 2.0, 3.0, (word, "backup")))).count == 0


def test_the_first_primary_of_all_took_over_from_nobody(soak):
    late = moved(soak, -math.inf, 2.0, ("joining", "backup"))
    assert [t.before for t in takeovers(View(late))] == [""]
    found = false_failovers(View(late))
    assert found.count == 0
    assert found.watched_s == pytest.approx(false_failovers(View(soak)).watched_s - 2.0, abs=0.2)


def test_a_failover_under_a_fault_has_a_cause_and_one_before_it_has_none():
    history = simulate(Scenario())[0]
    clean = false_failovers(View(history))
    assert (clean.count, clean.soak) == (0, False)
    assert clean.watched_s == pytest.approx(3.5, abs=0.2)
    assert promotions(View(history)).count == 1
    assert false_failovers(View(moved(history, 1.0, 1.3))).count == 2


def test_where_all_nodes_serve_or_nobody_was_seen_nothing_is_counted(soak):
    everywhere = replace(soak, notes={**soak.notes, "sharing": {"spread": True}})
    assert false_failovers(View(everywhere)).count is None
    assert false_failovers(View(replace(soak, observations=()))).count is None


# ---------------------------------------------------------------- judged


def judged(*histories):
    case = Case("soak", (NEVER,), len(histories))
    return judge_histories(case, [TrialInput(n, h) for n, h in enumerate(histories, 1)])


def test_a_soak_with_one_fails_and_its_clean_twin_says_what_it_proves(soak):
    clean = judged(soak, soak, soak)
    watched = 3 * false_failovers(View(soak)).watched_s
    most = math.ceil(-math.log(0.05) / (watched / 3600))
    assert clean.verdict is Verdict.PASS
    assert clean.claims[0] == (
        f"0 false failovers in {watched:.2f} s without a fault: we can only claim that there are "
        f"at most {most} an hour (95 %)"
    )
    bad = judged(soak, moved(soak, 2.0), soak)
    assert bad.verdict is Verdict.FAIL
    assert bad.claims[0].startswith("1 false failover in ")
    assert "between " in bad.claims[0]


def test_nothing_is_claimed_where_it_was_not_the_question():
    found = measure_trial(simulate(Scenario())[0])
    assert soaked((), (found,)) == ()
    assert len(soaked((NEVER,), (found,))) == 1


def test_the_document_says_what_the_report_would(soak):
    def of(k):
        one = FalseFailovers(count=k, watched_s=9000.0, soak=True)
        return soaked((), (measure_trial(soak).model_copy(update={"false_failovers": one}),))[0]

    assert of(0).endswith("at most 1.2 an hour (95 %)")
    assert "0 in 2.5 h of soak prove at most 1.2 an hour" in DOC
    assert "between 0.0969 and 2.89 an hour" in of(2)
    assert "2 in 2.5 h lie between 0.0969 and 2.89 an hour" in DOC


# ---------------------------------------------------------------- the rate


@pytest.mark.parametrize("k", [0, 1, 2, 10, 300])
@pytest.mark.parametrize("confidence", [0.95, 0.975])
def test_rates_are_the_exact_ones_of_poisson(k, confidence):
    upper = stats.chi2.ppf(confidence, 2 * k + 2) / 2 / 4.0
    lower = stats.chi2.ppf(1 - confidence, 2 * k) / 2 / 4.0 if k else 0.0
    assert rate_upper(k, 4.0, confidence) == pytest.approx(upper, rel=1e-9)
    assert rate_lower(k, 4.0, confidence) == pytest.approx(lower, rel=1e-9)


def test_without_an_event_it_is_the_rule_of_three():
    assert 2.99 < rate_upper(0, 1.0) < 3.0


@pytest.mark.parametrize("ask", [rate_upper, rate_lower])
@pytest.mark.parametrize(("k", "watched"), [(0, 0.0), (-1, 1.0), (0, math.nan)])
def test_what_is_no_rate_is_refused(ask, k, watched):
    with pytest.raises(ValueError, match="are no rate"):
        ask(k, watched)
