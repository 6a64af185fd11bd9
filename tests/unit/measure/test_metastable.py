"""Degraded after heal: suspected, confirmed by shedding the load, or nothing of the kind."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_trial
from chaoskit.measure.coherence import missing_slots
from chaoskit.measure.metastable import Terms, metastability, retry_amplification, terms_of
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

S = 1_000_000_000
NOTED = {"grace_s": 1.0, "below": 0.1, "after_s": 4.0}
CASE = Case("metastable", (parse_threshold("metastable == 0"),), 1)


@pytest.fixture(scope="module")
def calm():
    """Healed one second after recovery; then 18 s in which all is well."""
    history = simulate(Scenario(outage_s=1.0, after_s=20.0, rate=100.0, baseline_s=4.0))[0]
    return replace(history, notes={"metastability": NOTED})


def zero(history):
    """Healed, and the grace over: the moment from which it counts."""
    return history.faults[0].healed_ns + S


def degraded(history, start_s, end_s, share=1.0):
    """From so long after heal and grace so many requests get an error."""
    requests = history.requests.copy()
    at = (requests["due_ns"] - zero(history)) / S
    hit = (at >= start_s) & (at < end_s)
    hit &= (requests["token"] % 100) < round(share * 100)
    requests["outcome"][hit] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


def shed(history, start_s, end_s, share=0.5):
    """The load dropped; every other slot has no record."""
    low, high = (zero(history) + int(s * S) for s in (start_s, end_s))
    requests = history.requests
    inside = (requests["due_ns"] >= low) & (requests["due_ns"] < high)
    number = requests["token"].astype(np.int64) & 0xFFFFFFFF
    left = ((number + 1) * share).astype(int) > (number * share).astype(int)
    noted = {"from_ns": low, "until_ns": high, "share": share}
    return replace(
        history, requests=requests[~inside | left], notes={**history.notes, "shed": noted}
    )


def verdict(history):
    return metastability(View(history)).verdict


PLANTED = {
    "nothing": (lambda h: h, "none"),
    "degraded in the grace only": (lambda h: degraded(h, -1, 0), "none"),
    "for less than it takes": (lambda h: degraded(h, 0, 3), "none"),
    "for as long as it takes, and gone": (lambda h: degraded(h, 0, 4), "suspected"),
    "to the end": (lambda h: degraded(h, 0, 99), "suspected"),
    "a little, to the end": (lambda h: degraded(h, 0, 99, 0.05), "none"),
    "a fifth, to the end": (lambda h: degraded(h, 0, 99, 0.2), "suspected"),
    "begins too late to tell": (lambda h: degraded(h, 15, 99), "unknown"),
    "ended by the shed": (lambda h: shed(degraded(h, 0, 7), 5, 8), "confirmed"),
    "ended before the shed": (lambda h: shed(degraded(h, 0, 4), 5, 8), "suspected"),
    "not ended by the shed": (lambda h: shed(degraded(h, 0, 99), 5, 8), "suspected"),
    "back after the shed": (
        lambda h: shed(degraded(degraded(h, 0, 7), 12, 99), 5, 8), "suspected",
    ),
    "shed too late to see what follows": (
        lambda h: shed(degraded(h, 0, 15), 14, 17), "suspected",
    ),
    "all is well and the load was shed": (lambda h: shed(h, 5, 8), "none"),
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED)
def test_each_planted_history_gets_its_verdict(calm, plant):
    change, expected = PLANTED[plant]
    assert verdict(change(calm)) == expected


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        ("nothing", Verdict.PASS),
        ("to the end", Verdict.INCONCLUSIVE),
        ("begins too late to tell", Verdict.INCONCLUSIVE),
        ("ended by the shed", Verdict.FAIL),
    ],
)
def test_as_a_threshold_suspected_is_no_pass_and_no_failure(calm, plant, expected):
    history = PLANTED[plant][0](calm)
    judged = judge_trial(CASE, TrialInput(1, history)).result
    (found,) = [e for e in judged.expectations if e.expression == "metastable == 0"]
    assert found.verdict is expected
    if expected is Verdict.INCONCLUSIVE:
        assert "metastability" in found.reason or "degraded for" in found.reason
        assert any(note.startswith("metastable: ") for note in judged.notes)


def test_how_long_it_was_degraded_is_said(calm):
    found = metastability(View(degraded(calm, 0, 7)))
    assert found.degraded_s == 7.0
    assert "by itself" in found.note


def test_without_a_fault_that_bites_there_is_nothing_to_say():
    quiet = simulate(Scenario(outage_s=0.0, bites=False, baseline_s=4.0, after_s=8.0))[0]
    assert metastability(View(quiet)) is None
    assert judge_trial(CASE, TrialInput(1, quiet)).result.verdict is Verdict.INVALID


def test_a_fault_that_was_never_healed_leaves_it_open(calm):
    fault = replace(calm.faults[0], healed_ns=None)
    assert verdict(replace(calm, faults=(fault,))) == "unknown"


def test_the_usual_terms_want_a_minute(calm):
    usual = replace(calm, notes={})
    assert terms_of(View(usual)) == Terms(5.0, 0.1, 60.0)
    assert verdict(degraded(usual, 0, 99)) == "unknown"
    assert verdict(usual) == "none"


@pytest.mark.parametrize(
    "noted", ["x", {"grace_s": 1}, {**NOTED, "below": 2.0}, {**NOTED, "after_s": "soon"}]
)
def test_damaged_terms_are_the_usual_ones(calm, noted):
    assert terms_of(View(replace(calm, notes={"metastability": noted}))) == Terms()


# ---------------------------------------------------------------- a load that was shed on purpose


def test_a_shed_load_leaves_other_figures_as_they_are(calm):
    before, after = measure_trial(calm), measure_trial(shed(calm, 5, 8))
    assert after.client_outage == before.client_outage
    assert after.time_to_steady == before.time_to_steady
    during = shed(calm, -0.5, 4.0)
    assert measure_trial(during).time_to_steady == before.time_to_steady


def test_slots_that_were_shed_are_not_missing_and_others_are(calm):
    history = shed(calm, 5, 8, 0.4)
    view = View(history)
    assert missing_slots(view.headline, view.shed)[0] == 0
    assert missing_slots(view.headline)[0] > 100
    due = (history.requests["due_ns"] - zero(history)) / S
    holes = replace(history, requests=history.requests[(due < 6) | (due > 7)])
    view = View(holes)
    assert missing_slots(view.headline, view.shed)[0] > 30
    assert not judge_trial(CASE, TrialInput(1, history)).result.invalid_because
    assert judge_trial(CASE, TrialInput(1, holes)).result.invalid_because


def test_retries_are_counted_by_operation(calm):
    view = View(calm)
    assert retry_amplification(view, view.spans["run"]) == 1.0
    requests = calm.requests.copy()
    low, high = view.spans["recovered"]
    hit = (requests["due_ns"] >= low) & (requests["due_ns"] < high)
    requests["attempt"][hit] = 3
    view = View(replace(calm, requests=requests))
    assert retry_amplification(view, view.spans["recovered"]) == 3.0
    assert retry_amplification(view, view.spans["baseline"]) == 1.0
    assert retry_amplification(view, (0, 0)) is None
    assert measure_trial(view.history).values["retry_amplification@recovered"] == 3.0
