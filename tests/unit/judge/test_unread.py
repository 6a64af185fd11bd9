"""A data node that is asked in the end and does not answer: a finding, and what it leaves open."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import FRONTDOOR, FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.findings import READABLE, findings
from chaoskit.judge.result import Verdict
from chaoskit.judge.validity import Gates, reasons
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

WHY = "node-a could not be read back within 5 s: connection refused"
FAIL, OPEN, PASS, INVALID = Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.INVALID


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario())[0]


def gone(history, *places, **fact):
    """Nothing came of ``places``, which were asked unless ``fact`` says otherwise."""
    finals = {place: held for place, held in history.finals.items() if place not in places}
    facts = {place: {"tokens": held.tokens.size} for place, held in finals.items()}
    facts |= {place: {"error": WHY, **fact} for place in places}
    return replace(history, finals=finals, notes={**history.notes, "final_reads": facts})


def without(history, count):
    """The first acknowledged writes are in no final read."""
    ok = history.requests["outcome"] == Outcome.OK
    tokens = np.sort(history.requests["token"][ok])[:count]
    finals = {}
    for place, held in history.finals.items():
        keep = ~np.isin(held.tokens, tokens)
        finals[place] = FinalRead(place, held.tokens[keep], held.counts[keep])
    return replace(history, finals=finals)


def twice(history, place):
    held = history.finals[place]
    counts = held.counts.copy()
    counts[5] = 2
    return replace(history, finals={**history.finals, place: replace(held, counts=counts)})


def judged(history, *thresholds):
    case = Case("kill", tuple(parse_threshold(t) for t in thresholds), 1)
    return judge_histories(case, [TrialInput(1, history)])


def verdict_on(history, threshold):
    return judged(history, threshold).trials[0].expectations[0].verdict


def test_a_node_that_was_asked_and_did_not_answer_is_a_finding_and_no_reason(clean):
    view = View(gone(clean, "node-a"))
    assert reasons(view, Gates()) == ()
    assert findings(view) == ((READABLE, WHY),)
    found = judged(view.history, "failover_time < 5s", "lost_writes == 0")
    assert (found.verdict, found.trials[0].verdict) == (FAIL, FAIL)
    assert [e.verdict for e in found.expectations] == [PASS, PASS, FAIL]
    assert WHY in found.sentence


@pytest.mark.parametrize(
    "history",
    [
        lambda h: replace(gone(h, "node-a"), notes={}),
        lambda h: replace(gone(h, "node-a"), notes={"final_reads": {"node-a": None}}),
        lambda h: replace(gone(h, "node-a"), notes={"final_reads": "damaged"}),
        lambda h: gone(h, "node-a", asked=False),
    ],
    ids=["nobody asked", "no word of it", "damaged", "the load could not read"],
)
def test_a_node_that_nobody_asked_is_a_reason_and_no_finding(clean, history):
    view = View(history(clean))
    assert "final reads are missing from node-a" in reasons(view, Gates())[0]
    assert findings(view) == ()
    assert judged(view.history, "lost_writes == 0").verdict is INVALID


def test_a_node_that_is_missing_erases_no_other_failure(clean):
    missed = judged(gone(clean, "node-a"), "failover_time < 10ms")
    assert [e.verdict for e in missed.expectations] == [FAIL, FAIL]
    blind = replace(gone(clean, "node-a"), faults=(replace(clean.faults[0], verified_ns=None),))
    assert judged(blind, "failover_time < 10ms").verdict is INVALID  # the harness's own fault


def test_a_write_that_no_read_has_may_be_on_the_node_that_was_not_read(clean):
    lost = without(clean, 7)
    sure, open_ = measure_trial(lost).lost_writes, measure_trial(gone(lost, "node-a")).lost_writes
    assert (sure.count, sure.unknown) == (7, 0)
    assert (open_.count, open_.unknown, open_.checked) == (0, 7, True)
    assert "7 acknowledged writes are in no final read, and node-a could not" in open_.note
    assert verdict_on(lost, "lost_writes == 0") is FAIL
    found = judged(gone(lost, "node-a"), "lost_writes == 0")
    assert found.expectations[0].verdict is OPEN
    assert found.verdict is FAIL  # the node itself
    assert "node-a could not be read" in found.expectations[0].reason
    assert "up to 7 acknowledged writes may be lost" in found.sentence
    assert not any("with no lost writes" in claim for claim in found.claims)
    assert any("did not answer in the end" in text for text in found.not_checked)


@pytest.mark.parametrize(("bound", "verdict"), [("<= 7", PASS), ("<= 6", OPEN), ("> 7", FAIL)])
def test_a_bound_that_holds_wherever_they_are_is_decided(clean, bound, verdict):
    assert verdict_on(gone(without(clean, 7), "node-a"), f"lost_writes {bound}") is verdict


def test_how_far_back_what_may_be_lost_reaches_is_open_too(clean):
    sure = measure_trial(without(clean, 7)).rpo_time
    open_ = measure_trial(gone(without(clean, 7), "node-a")).rpo_time
    assert (open_.value_s, open_.low_s, open_.high_s) == (0.0, 0.0, sure.high_s)
    assert sure.low_s > 0
    nothing = measure_trial(gone(clean, "node-a")).rpo_time
    assert (nothing.low_s, nothing.high_s) == (0.0, 0.0)


def test_losses_by_when_they_were_acknowledged_are_as_open(clean):
    late = np.sort(clean.requests["token"][clean.requests["outcome"] == Outcome.OK])[-3:]
    finals = {
        place: replace(held, tokens=held.tokens[keep], counts=held.counts[keep])
        for place, held in clean.finals.items()
        for keep in [~np.isin(held.tokens, late)]
    }
    lost = replace(clean, finals=finals)
    for history, count, unknown in ((lost, 3, 0), (gone(lost, "node-a"), 0, 3)):
        found = measure_trial(history)
        both = (found.split_brain_loss, found.post_heal_loss)
        assert sum(s.count for s in both) == count
        assert sum(s.unknown for s in both) == unknown


@pytest.mark.parametrize("name", ["duplicate_writes", "unexpected_writes", "resurrected_writes"])
def test_what_the_unread_node_may_hold_more_of_is_not_clean(clean, name):
    assert verdict_on(clean, f"{name} == 0") is PASS
    found = judged(gone(clean, "node-a"), f"{name} == 0")
    assert found.expectations[0].verdict is OPEN
    assert found.expectations[0].observed == "0 or more"
    assert "node-a could not be read" in found.expectations[0].reason


def test_what_was_found_on_the_nodes_that_were_read_is_proven_all_the_same(clean):
    history = gone(twice(clean, "node-b"), "node-a")
    assert verdict_on(history, "duplicate_writes == 0") is FAIL
    assert verdict_on(history, "duplicate_writes <= 3") is OPEN
    assert verdict_on(twice(clean, "node-b"), "duplicate_writes <= 3") is PASS


def test_nodes_that_agree_without_the_one_that_is_missing_are_undecided(clean):
    assert verdict_on(clean, "divergent_writes == 0") is PASS
    assert verdict_on(gone(clean, "node-a"), "divergent_writes == 0") is OPEN


def test_where_nothing_at_all_answers_every_acknowledged_write_is_in_doubt(clean):
    found = judged(gone(clean, FRONTDOOR, *clean.nodes), "lost_writes == 0")
    assert found.verdict is FAIL
    lost = found.trials[0].metrics.lost_writes
    assert lost.count == 0
    assert lost.unknown > 1000


def test_a_front_door_that_alone_is_shut_is_no_node(clean):
    shut = gone(clean, FRONTDOOR)
    assert findings(View(shut)) == ()
    assert judged(shut, "lost_writes == 0", "duplicate_writes == 0").verdict is PASS
