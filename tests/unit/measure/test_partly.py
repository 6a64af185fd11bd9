"""Service that is partly out: the bracket holds it, or it is said that the outage does not."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial

SPEAKS = ["bad_time < 1s", "dropped_requests < 90%", "error_rate@fault < 90%", "availability > 1%"]


def calm(seed=1):
    return simulate(Scenario(outage_s=0.0, after_s=12.0, seed=seed))[0]


def hit(history, spans, every, *, of=0):
    """Every so-manyth request due in the stretches is refused, seconds since the fault."""
    requests = np.sort(history.requests, order="due_ns")
    since = (requests["due_ns"] - history.faults[0].acknowledged_ns) / 1e9
    chosen = np.zeros(requests.size, dtype=bool)
    for from_s, to_s in spans:
        chosen |= (since >= from_s) & (since < to_s)
    chosen &= np.arange(requests.size) % every == of
    requests["outcome"][chosen] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


def drawn(history, share, from_s, to_s):
    """So many of the requests due in a stretch are refused, by chance."""
    requests = np.sort(history.requests, order="due_ns")
    since = (requests["due_ns"] - history.faults[0].acknowledged_ns) / 1e9
    chosen = (since >= from_s) & (since < to_s)
    chosen &= np.random.default_rng(3).random(requests.size) < share
    requests["outcome"][chosen] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


@pytest.mark.parametrize("every", [2, 3])
def test_of_every_second_or_third_request_the_bracket_holds_the_whole_stretch(every):
    for of in range(every):
        found = measure_trial(hit(calm(of), [(0.0, 10.0)], every, of=of))
        assert found.client_outage.low_s <= 10.0 <= found.client_outage.high_s
        assert found.client_outage.high_s < 10.05, "and is not wide for all that"
        assert found.partly_out is None, "one outage tells it all"


def test_good_requests_inside_widen_the_bracket_and_nothing_else_does():
    whole = measure_trial(hit(calm(), [(0.0, 1.0)], 1)).client_outage
    third = measure_trial(hit(calm(), [(0.0, 1.0)], 3)).client_outage
    assert whole.high_s - whole.value_s < 0.011
    assert third.high_s - third.value_s > 0.02


@pytest.mark.parametrize(("every", "share"), [(5, 0.2), (8, 0.125), (20, 0.05)])
def test_of_fewer_it_is_said_that_service_was_partly_out_and_how_much(every, share):
    found = measure_trial(hit(calm(), [(0.0, 10.0)], every))
    assert found.client_outage.value_s < 0.02
    assert found.partly_out.span_s == pytest.approx(10.0, abs=2 * every / 200)
    assert found.partly_out.ratio == pytest.approx(share, abs=0.01)
    assert "service was partly out from +0." in found.client_outage.note
    assert f"{found.partly_out.ratio:.0%} of requests bad" in found.client_outage.note
    assert "chance" not in found.client_outage.note


@pytest.mark.parametrize("rate", [50.0, 200.0, 1000.0])
def test_one_in_four_is_one_outage_or_a_stretch_as_answers_come(rate):
    history = simulate(Scenario(outage_s=0.0, after_s=12.0, rate=rate))[0]
    found = measure_trial(hit(history, [(0.0, 10.0)], 4))
    inside = found.client_outage.low_s <= 10.0 <= found.client_outage.high_s
    assert inside is (found.partly_out is None)


def test_failures_need_not_be_evenly_spread():
    found = measure_trial(drawn(calm(), 0.3, 1.0, 9.0)).partly_out
    assert found.from_s == pytest.approx(1.0, abs=0.2)
    assert found.to_s == pytest.approx(9.0, abs=0.2)
    assert found.ratio == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([], id="nothing"),
        pytest.param([(0.0, 10.0)], id="one whole outage"),
        pytest.param([(0.0, 3.0), (8.0, 9.0)], id="two, far from each other"),
        pytest.param([(n, n + 0.7) for n in range(4)], id="four, each to be told alone"),
        pytest.param([(0.0, 6.0), *[(6.1 + n / 10, 6.13 + n / 10) for n in range(6)]],
                     id="one that makes up most of it"),
    ],
)  # fmt: skip
def test_outages_that_the_longest_of_them_describes_are_no_stretch(spans):
    assert measure_trial(hit(calm(), spans, 1)).partly_out is None


def test_what_went_on_before_the_fault_as_well_is_no_finding():
    always = hit(calm(), [(-60.0, 60.0)], 20)
    assert measure_trial(always).partly_out is None
    since = hit(calm(), [(0.0, 60.0)], 20)
    assert measure_trial(since).partly_out is not None
    worse = hit(hit(calm(), [(-60.0, 60.0)], 50), [(0.0, 10.0)], 5)
    assert measure_trial(worse).partly_out.ratio > 0.15


def test_a_straggler_long_after_does_not_lengthen_the_stretch():
    found = measure_trial(hit(hit(calm(), [(0.0, 4.0)], 5), [(10.0, 10.02)], 3)).partly_out
    assert found.to_s == pytest.approx(4.0, abs=0.05)


def told(history, *thresholds):
    case = Case("x", tuple(parse_threshold(t) for t in thresholds), 1)
    return judge_histories(case, [TrialInput(1, history)])


def test_the_headline_says_so_and_so_does_what_was_not_checked():
    partly, whole = hit(calm(), [(0.0, 10.0)], 5), hit(calm(), [(0.0, 10.0)], 1)
    said = told(partly, "client_outage < 1s")
    assert "service was partly out for 9.9" in said.sentence
    assert "20 % of requests bad" in said.sentence
    assert any("partly out" in one for one in said.not_checked)
    clean = told(whole, "client_outage < 1s")
    assert "partly" not in clean.sentence
    assert not any("partly out" in one for one in clean.not_checked)


@pytest.mark.parametrize("bound", SPEAKS)
def test_a_threshold_that_such_a_stretch_cannot_pass_by_speaks_of_it(bound):
    found = told(hit(calm(), [(0.0, 10.0)], 5), "client_outage < 1s", bound)
    assert "partly out" in found.sentence
    assert not any("partly out" in one for one in found.not_checked)
