"""An outage that the baseline's bad requests explain fails no bound; one that they do not does."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


@pytest.fixture(scope="module")
def calm():
    """A fault that bites, and that no client feels."""
    return simulate(Scenario(outage_s=0.0))[0]


def bad(history, run, at=900):
    """``run`` requests in a row are refused after the fault."""
    requests = history.requests.copy()
    order = np.argsort(requests["due_ns"])
    requests["outcome"][order[at : at + run]] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


def soak(history):
    return replace(history, faults=tuple(replace(f, must_bite=False) for f in history.faults))


def judged(history, threshold):
    return judge_histories(Case("x", (parse_threshold(threshold),), 1), [TrialInput(1, history)])


@pytest.fixture(scope="module")
def dirty(calm):
    """Five requests of the baseline were bad: few enough for a valid trial."""
    found = calm
    for at in (100, 200, 300, 400, 500):
        found = bad(found, 1, at)
    return found


@pytest.mark.parametrize(
    ("threshold", "by_chance", "proven"),
    [
        ("client_outage == 0", OPEN, FAIL),
        ("client_outage < 1ms", OPEN, FAIL),
        ("client_outage > 1ms", OPEN, PASS),  # nor does it prove that there was one
        ("client_outage < 50ms", PASS, PASS),  # it holds, chance or not
        ("P(client_outage > 1ms) <= 50%", OPEN, OPEN),
    ],
)
def test_what_the_baseline_explains_misses_no_bound(calm, dirty, threshold, by_chance, proven):
    few, enough = judged(bad(dirty, 2), threshold), judged(bad(calm, 2), threshold)
    assert few.verdict is by_chance
    assert enough.verdict is proven
    if by_chance is OPEN and "P(" not in threshold:
        assert "so few bad requests may be chance" in few.expectations[0].reason
    assert few.trials[0].metrics.client_outage.chance > 0.01
    assert enough.trials[0].metrics.client_outage.chance is None


def test_a_longer_stretch_is_proven_though_the_baseline_was_dirty(dirty):
    assert judged(bad(dirty, 6), "client_outage == 0").verdict is FAIL
    assert judged(dirty, "client_outage == 0").verdict is PASS


def test_in_a_soak_every_bad_request_is_what_was_asked_about(calm, dirty):
    found = judged(soak(bad(dirty, 2)), "client_outage == 0")
    assert found.expectations[0].verdict is FAIL
    assert found.trials[0].metrics.client_outage.chance is None
    assert judged(soak(bad(dirty, 2)), "client_outage < 50ms").expectations[0].verdict is PASS
    assert judged(soak(bad(dirty, 12)), "client_outage < 50ms").expectations[0].verdict is FAIL
    assert judged(soak(calm), "client_outage == 0").expectations[0].verdict is PASS


def test_an_outage_that_had_not_ended_is_no_chance():
    gone = simulate(Scenario(outage_s=float("inf")))[0]
    found = judged(gone, "client_outage < 5s")
    assert found.trials[0].metrics.client_outage.chance is None
    assert found.verdict is FAIL
