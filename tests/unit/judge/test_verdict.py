"""From trials to the verdict of a run, its exit code and its sentences."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.matrix import judge_cell
from chaoskit.judge.result import RunResult, Verdict
from chaoskit.judge.sentences import sentence
from chaoskit.judge.verdict import (
    Band,
    Case,
    Ending,
    TrialInput,
    judge_histories,
    judge_run,
    judge_trial,
)
from chaoskit.judging import trial_line
from chaoskit.measure.model import Safety

FAILOVER = Threshold("failover_time < 5s", "failover_time", "<", 5.0, "s", line=12)
TIGHT = Threshold("failover_time < 500ms", "failover_time", "<", 0.5, "s", because="SLO-7")
OUTAGE = Threshold("client_outage < 2s", "client_outage", "<", 2.0, "s")
LOST = Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count")


def trial(n=1, **scenario):
    return TrialInput(n, simulate(Scenario(seed=n, **scenario))[0])


def losing(one, count=1):
    """The same trial in which acknowledged writes are nowhere."""
    history = one.history
    ok = history.requests["outcome"] == Outcome.OK
    tokens = np.sort(history.requests["token"][ok])[:count]
    finals = {}
    for place, held in history.finals.items():
        keep = ~np.isin(held.tokens, tokens)
        finals[place] = FinalRead(place, held.tokens[keep], held.counts[keep])
    return replace(one, history=replace(history, finals=finals))


def blind(one):
    """The same trial in which the fault was not verified."""
    history = one.history
    fault = replace(history.faults[0], verified_ns=None)
    return replace(one, history=replace(history, faults=(fault,)))


def run(*trials, thresholds=(FAILOVER, LOST), wanted=None, **more):
    case = Case("kill", thresholds, wanted or len(trials), lab="sandbox", seed=7, **more)
    return judge_histories(case, trials)


def test_three_clean_trials_pass():
    found = run(trial(1), trial(2), trial(3))
    assert (found.verdict, found.exit_code) == (Verdict.PASS, 0)
    assert [t.verdict for t in found.trials] == [Verdict.PASS] * 3
    assert [e.expression for e in found.expectations] == ["failover_time < 5s", "lost_writes == 0"]
    assert found.expectations[0].line == 12
    assert found.sentence.startswith("In 3 trials")
    assert "no acknowledged write lost" in found.sentence
    assert "requests were dropped" in found.sentence


def test_a_missed_threshold_fails_and_the_sentence_names_it():
    found = run(trial(1), trial(2), thresholds=(TIGHT, LOST))
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 1)
    assert "Missed in trial" in found.sentence
    assert "failover_time < 500ms" in found.sentence
    assert found.expectations[0].reason == "SLO-7"


def test_one_bad_trial_fails_the_run():
    found = run(trial(1), trial(2, outage_s=2.5), trial(3), thresholds=(OUTAGE,))
    assert found.verdict is Verdict.FAIL
    assert found.expectations[0].trial == 2
    assert [t.verdict for t in found.trials] == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]


def test_an_interval_that_straddles_the_bound_is_inconclusive():
    edge = Threshold("client_outage < 1s", "client_outage", "<", 1.0, "s")
    found = run(trial(1), thresholds=(edge,))
    assert (found.verdict, found.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert "Undecided in trial 1" in found.sentence


def test_the_sentence_does_not_deny_a_loss_that_an_invalid_trial_proves():
    found = run(trial(1), trial(2), blind(losing(trial(3), 3)))
    assert found.verdict is Verdict.FAIL
    assert "no acknowledged write lost" not in found.sentence
    assert "3 acknowledged writes lost" in found.sentence
    assert "Missed in trial 3, which is invalid otherwise: lost_writes == 0" in found.sentence
    assert judge_cell(1, {}, {}, "cells/01", found).lost_writes == 3
    assert "no acknowledged write lost" in run(trial(1), trial(2), blind(trial(3))).sentence


def test_a_bound_on_time_is_neither_missed_nor_held_in_an_invalid_trial():
    for threshold in (TIGHT, FAILOVER):
        found = run(blind(trial(1)), thresholds=(threshold,))
        assert (found.verdict, found.exit_code) == (Verdict.INVALID, 3)
        assert found.trials[0].expectations[0].verdict is Verdict.INVALID
        assert found.expectations[0].verdict is Verdict.INVALID
        assert "not verified" in found.sentence


def test_a_proven_loss_fails_even_an_otherwise_invalid_trial():
    found = run(blind(losing(trial(1))))
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 1)
    assert found.trials[0].verdict is Verdict.FAIL
    assert found.trials[0].invalid_because
    by_name = {e.expression: e.verdict for e in found.expectations}
    assert by_name == {"failover_time < 5s": Verdict.INVALID, "lost_writes == 0": Verdict.FAIL}
    assert "otherwise invalid" in found.sentence


def test_a_loss_that_the_experiment_accepts_is_no_failure_and_is_told():
    some = Threshold("lost_writes <= 5", "lost_writes", "<=", 5.0, "count")
    assert run(losing(trial(1), 3), thresholds=(some,)).verdict is Verdict.PASS
    assert run(losing(trial(1), 6), thresholds=(some,)).verdict is Verdict.FAIL
    silent = run(losing(trial(1), 3), thresholds=(FAILOVER,))
    assert silent.verdict is Verdict.PASS
    assert "3 acknowledged writes lost" in silent.sentence
    told = "acknowledged writes were lost, and no threshold on lost_writes"
    assert any(told in text for text in silent.not_checked)


def test_what_was_lost_of_a_register_is_told_beside_the_appends():
    found = run(trial(1))
    clean = found.trials[0].metrics
    harm = {
        name: Safety(count=count)
        for name, count in (("stale_reads", 2), ("linearizability_violations", 1))
    }
    said = sentence(1, found.trials, [clean.model_copy(update=harm)], Verdict.PASS, [])
    assert "no acknowledged write lost, but 2 stale reads and 1 linearizability violation" in said
    assert "stale" not in found.sentence


def test_a_failover_that_an_operator_rejected_is_told_as_such():
    found = run(trial(1))
    clean = found.trials[0].metrics
    refused = clean.model_copy(update={"recovery": "rejected"})
    said = sentence(1, found.trials, [refused], Verdict.PASS, [])
    assert ", an operator rejected the failover, " in said
    said = sentence(2, found.trials, [clean, refused], Verdict.PASS, [])
    assert ", an operator rejected the failover in 1 of 2, " in said
    assert "operator" not in found.sentence


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1), "1 request was dropped each,"),
        ((1,), "1 request was dropped,"),
        ((0, 1), "0 to 1 requests were dropped each,"),
        ((1200, 1200), "1,200 requests were dropped each,"),
    ],
)
def test_dropped_requests_are_told_in_words_that_fit_their_number(counts, said):
    found = run(trial(1))
    clean = found.trials[0].metrics
    dropped = clean.dropped_requests
    measured = [
        clean.model_copy(update={"dropped_requests": dropped.model_copy(update={"count": n})})
        for n in counts
    ]
    assert said in sentence(len(counts), found.trials, measured, Verdict.PASS, [])


def test_a_node_that_came_back_by_itself_is_not_told_as_a_failover():
    back, over = trial(1, fails_over=False), trial(2)
    said = run(back).sentence
    assert ", the first good write came " in said
    assert ", no other node took over, " in said
    assert ", no other node took over in 1 of 2, " in run(back, over).sentence
    assert "took over" not in run(over).sentence
    alone, both = run(back).trials[0], run(over).trials[0]
    assert ", no failover, writes again after " in trial_line(alone)
    assert ", failover " in trial_line(both)
    assert "no failover" not in trial_line(both)


def test_invalid_trials_do_not_fail_a_run_that_has_enough_valid_ones():
    found = run(trial(1), blind(trial(2)), trial(3), wanted=2)
    assert found.verdict is Verdict.PASS
    assert found.trials[1].verdict is Verdict.INVALID


def test_fewer_valid_trials_than_asked_is_invalid_and_says_why():
    found = run(trial(1), blind(trial(2)), wanted=2)
    assert (found.verdict, found.exit_code) == (Verdict.INVALID, 3)
    assert "Only 1 of 2 trials asked for were valid" in found.sentence
    assert "not verified" in found.sentence


def test_a_failure_in_a_valid_trial_outweighs_missing_trials():
    assert run(trial(1), blind(trial(2)), wanted=2, thresholds=(TIGHT,)).verdict is Verdict.FAIL


def test_a_service_that_never_comes_back_fails_without_any_threshold():
    found = run(trial(1, outage_s=math.inf), thresholds=())
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 1)
    assert found.trials[0].metrics.client_outage.censored
    assert found.expectations[0].expression == "service comes back while it is observed"
    assert "still out" in found.sentence


def test_a_service_that_never_comes_back_fails_though_the_bound_was_never_reached():
    far = Threshold("failover_time < 60s", "failover_time", "<", 60.0, "s")
    found = run(trial(1, outage_s=math.inf), thresholds=(far,))
    assert found.verdict is Verdict.FAIL
    assert found.expectations[0].verdict is Verdict.INCONCLUSIVE


def test_a_noop_passes_on_its_own_thresholds():
    quiet = Threshold("client_outage == 0", "client_outage", "==", 0.0, "s")
    found = run(trial(1, outage_s=0.0, bites=False), thresholds=(quiet, LOST))
    assert (found.verdict, found.exit_code) == (Verdict.PASS, 0)
    assert "clients felt no outage, no request was dropped" in found.sentence


@pytest.mark.parametrize(
    "threshold",
    [
        FAILOVER,
        Threshold("failover_time.max < 5s", "failover_time", "<", 5.0, "s", "max"),
        Threshold("P(failover_time > 5s) <= 10%", "failover_time", ">", 5.0, "s", exceedance=0.1),
    ],
)
def test_a_noop_with_a_threshold_on_failover_is_invalid_and_never_a_pass_by_luck(threshold):
    found = run(trial(1, outage_s=0.0, bites=False), thresholds=(threshold, LOST))
    assert (found.verdict, found.exit_code) == (Verdict.INVALID, 3)
    assert "not applicable" in found.trials[0].invalid_because[0]


def test_a_run_whose_load_died_is_invalid():
    one = trial(1)
    found = run(replace(one, history=replace(one.history, alive_at_end=False)))
    assert found.verdict is Verdict.INVALID
    assert "the load died" in found.sentence


def test_no_trial_at_all_is_invalid():
    found = run(wanted=3)
    assert (found.verdict, found.exit_code) == (Verdict.INVALID, 3)
    assert found.sentence == "No trial was finished."


def test_a_statistic_over_too_few_trials_is_inconclusive():
    p95 = Threshold("failover_time.p95 < 5s", "failover_time", "<", 5.0, "s", "p95")
    found = run(trial(1), trial(2), thresholds=(p95,))
    assert (found.verdict, found.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert [t.verdict for t in found.trials] == [Verdict.PASS] * 2


def test_an_interrupted_run_keeps_what_it_measured():
    case = Case("kill", (FAILOVER,), 3)
    ending = Ending(Verdict.INTERRUPTED, 130, "Interrupted by SIGINT after 1 of 3 trials.")
    found = judge_run(case, [judge_trial(case, trial(1))], ending)
    assert (found.verdict, found.exit_code) == (Verdict.INTERRUPTED, 130)
    assert found.sentence.startswith("Interrupted by SIGINT")
    assert found.trials[0].verdict is Verdict.PASS


# ---------------------------------------------------------------- band, claims, summary


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.5, 1.5, "inside"),
        (1.5, 2.5, "faster than possible"),
        (0.2, 0.5, "slower than declared"),
        (1.0, 1.004, "inside"),  # the interval reaches into it
    ],
)
def test_the_declared_band_is_compared_with_what_was_measured(low, high, verdict):
    found = run(trial(1), band=Band(low, high, "(misses - 1) x interval"))
    assert found.band["verdict"] == verdict
    assert found.verdict is Verdict.PASS, "a band informs, it does not judge"
    assert (found.band["sentence"] in found.sentence) == (verdict != "inside")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.5, 1.5, "inside the"), (1.5, 2.5, "faster than the"), (0.2, 0.5, "slower than the")],
)
def test_where_nobody_took_over_the_band_is_not_that_of_a_failover(low, high, said):
    found = run(trial(1, fails_over=False), band=Band(low, high, "(misses - 1) x interval"))
    start = f"Nobody took over: service came back in place, {said} "
    assert found.band["sentence"].startswith(start)
    both = run(trial(1, fails_over=False), trial(2), band=Band(0.2, 0.5, "misses x interval"))
    assert both.band["sentence"].startswith("Of 2 failovers, 2 slower")
    gone = run(trial(1, fails_over=False, outage_s=math.inf), band=Band(low, high, "-"))
    assert "came back" not in gone.band["sentence"]


def test_claims_say_what_so_many_trials_can_prove():
    found = run(trial(1), trial(2), trial(3))
    assert any("3 trials, 0 over 5.00 s" in text and "63 %" in text for text in found.claims)
    assert any("3 trials with no lost writes" in text for text in found.claims)
    missed = run(trial(1), trial(2), thresholds=(TIGHT,))
    assert "2 over 0.50 s" in missed.claims[0]


def test_the_summary_has_the_median_between_the_extremes_of_all_brackets():
    found = run(trial(1, outage_s=0.5), trial(2, outage_s=1.0), trial(3, outage_s=1.5))
    outage = found.summary["client_outage"]
    assert outage.value_s == found.trials[1].metrics.client_outage.value_s
    assert outage.low_s == found.trials[0].metrics.client_outage.low_s
    assert outage.high_s == found.trials[2].metrics.client_outage.high_s
    assert "phases.mask" in found.summary


def test_a_summary_with_a_censored_trial_has_no_upper_end():
    found = run(trial(1), trial(2, outage_s=math.inf), trial(3, outage_s=0.5), thresholds=())
    outage = found.summary["client_outage"]
    assert outage.censored
    assert outage.high_s is None
    assert outage.value_s == pytest.approx(1.0, abs=0.01)


def test_what_was_not_checked_is_said():
    found = run(trial(1))
    assert any("linearizability" in text for text in found.not_checked)
    assert any("nothing was judged" in t for t in run(trial(1), thresholds=()).not_checked)


def test_a_result_survives_json_and_judging_is_repeatable():
    first, second = (run(trial(1), blind(trial(2)), wanted=2) for _ in range(2))
    assert first == second
    text = first.model_dump_json()
    assert RunResult.model_validate_json(text) == first
    assert "Infinity" not in text
    assert "NaN" not in text
    assert json.loads(text)["schema_version"] == 1


def test_each_trial_says_under_what_load_it_was_measured():
    notes = run(trial(1)).trials[0].notes
    assert any("200/s, deadline 0.10 s, timeout 0.20 s" in note for note in notes)


def test_the_engines_account_of_its_time_is_passed_on():
    one = trial(1)
    history = replace(one.history, notes={"overhead_s": {"lab up": 1.5}})
    found = run(replace(one, history=history)).trials[0]
    assert found.overhead_s == {"lab up": 1.5}
