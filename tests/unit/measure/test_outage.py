"""Outages whose length is known: the estimate is near, the bracket is right, always."""

import math
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.history import Stream
from chaoskit.history.records import Outcome, empty
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.outage import bad_runs, find_outages
from chaoskit.measure.track import Track
from chaoskit.measure.view import View

RUNS = 200
MS = 1_000_000


def scenarios(style, *, lag=(0.0, 0.0005, 0.004), latency=0.002):
    """Rates 10 to 1000 a second, outages 0.1 to 10 s, every deadline, timeout, phase and lag."""
    rng = np.random.default_rng(20)
    for seed in range(RUNS):
        yield Scenario(
            style=style,
            rate=float(10 ** rng.uniform(1, 3)),
            outage_s=float(rng.uniform(0.1, 10)),
            deadline_s=float(rng.choice([0.03, 0.1])),
            timeout_s=float(rng.choice([0.1, 0.2, 0.5, 1.0])),
            lag_s=float(rng.choice(lag)),
            latency_s=latency,
            baseline_s=1.0,
            after_s=1.5,
            seed=seed,
        )


@pytest.mark.parametrize("style", ["refuse", "503", "stall", "drop"])
def test_the_bracket_contains_every_outage_and_the_estimate_is_an_interval_away(style):
    for scenario in scenarios(style):
        history, truth = simulate(scenario)
        found = measure_trial(history).client_outage
        assert not found.censored, scenario
        assert found.low_s <= truth.outage_s <= found.high_s, scenario
        assert found.low_s <= found.value_s <= found.high_s, scenario
        # both ends are late by up to the generator's lag, and an answer takes a latency
        allowed = 1 / scenario.rate + 2 * scenario.lag_s + 1.25 * scenario.latency_s
        assert abs(found.value_s - truth.outage_s) <= allowed, scenario


@pytest.mark.parametrize("style", ["refuse", "503"])
def test_the_spread_of_the_estimate_is_that_of_a_comb(style):
    errors = []
    for scenario in scenarios(style, lag=(0.0,), latency=0.00002):
        history, truth = simulate(scenario)
        error = measure_trial(history).client_outage.value_s - truth.outage_s
        errors.append(error * scenario.rate)
    # sd 1/(r*sqrt(6)), mean 0; for 200 runs both are known to about a tenth
    assert np.std(errors) == pytest.approx(1 / math.sqrt(6), rel=0.15)
    assert abs(np.mean(errors)) < 4 / math.sqrt(6 * RUNS)


def stretch(history, length, bad_before=0):
    """So many writes in a row are refused half a second after the fault, and some before it."""
    requests = np.sort(history.requests, order="due_ns")
    zero = history.faults[0].acknowledged_ns
    at = int(np.searchsorted(requests["due_ns"], zero + 500 * MS))
    requests["outcome"][at : at + length] = Outcome.FAIL_DEFINITE
    first = int(np.searchsorted(requests["due_ns"], history.window.baseline_start_ns))
    requests["outcome"][first : first + 20 * bad_before : 20] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


@pytest.mark.parametrize(
    ("length", "bad_before", "chance"),
    [
        (1, 0, True),  # one in 700 is what the baseline cannot rule out: of 600 one is no wonder
        (2, 0, False),
        (2, 14, True),  # where one in fifty is bad anyway, two in a row come by chance
        (5, 14, False),
    ],
)
def test_a_stretch_that_the_baseline_s_own_bad_requests_may_bring_is_noted(
    length, bad_before, chance
):
    calm, _ = simulate(Scenario(outage_s=0.0, after_s=3.0))
    found = measure_trial(stretch(calm, length, bad_before)).client_outage
    assert found.value_s > 0
    assert ("may be chance" in (found.note or "")) is chance


def test_requests_held_and_served_at_recovery_end_the_outage_there_and_not_a_deadline_early():
    history, truth = simulate(Scenario(style="stall", timeout_s=5.0, deadline_s=0.5))
    found = measure_trial(history).client_outage
    assert found.value_s == pytest.approx(truth.outage_s, abs=0.01)
    assert "held" in found.note
    last_bad = history.requests[history.requests["outcome"] == Outcome.OK_LATE]["due_ns"].max()
    assert truth.end_ns - last_bad > 0.45e9, "the last half second was answered in time"


def test_nothing_bad_is_no_outage():
    found = measure_trial(simulate(Scenario(outage_s=0.0))[0]).client_outage
    assert (found.value_s, found.low_s, found.high_s, found.censored) == (0, 0, 0, False)


def test_a_service_that_never_comes_back_is_censored_and_has_no_upper_end():
    history, truth = simulate(Scenario(outage_s=math.inf))
    found = measure_trial(history).client_outage
    watched = (history.window.observe_end_ns - truth.begin_ns) / 1e9
    assert found.censored
    assert found.high_s is None
    assert found.value_s == pytest.approx(watched, abs=0.01)
    assert found.low_s <= found.value_s


# ---------------------------------------------------------------- small cases, by hand


def track(pattern, *, gap_ms=10, took_ms=1, deadline_ms=100):
    """One character a request: g good, b refused, l late by a deadline, n not sent."""
    records = empty(len(pattern))
    records["due_ns"] = np.arange(1, len(pattern) + 1) * gap_ms * MS
    records["sent_ns"] = records["due_ns"]
    records["done_ns"] = records["due_ns"] + took_ms * MS
    kinds = {
        "g": Outcome.OK,
        "b": Outcome.FAIL_DEFINITE,
        "l": Outcome.OK_LATE,
        "n": Outcome.NOT_SENT,
    }
    records["outcome"] = [kinds[c] for c in pattern]
    late = records["outcome"] == Outcome.OK_LATE
    records["done_ns"][late] = records["due_ns"][late] + (deadline_ms + 1) * MS
    skipped = records["outcome"] == Outcome.NOT_SENT
    records["sent_ns"][skipped] = records["done_ns"][skipped] = 0
    stream = Stream("write", "write", 1000 / gap_ms, "kept", deadline_ms * MS, 200 * MS)
    return Track(stream, records)


def lengths(pattern, **how):
    one = track(pattern, **how)
    until = int(one.due[-1]) + 10 * MS
    return [(round((o.end_ns - o.start_ns) / MS), o.censored) for o in find_outages(one, until)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("gggggggg", []),
        ("gggbbbgggg", [(31, False)]),  # 3 intervals, and the answer's millisecond
        ("gggbbggbbgggg", [(61, False)]),  # two good in between do not separate
        ("gggbbggggbbgggg", [(21, False), (21, False)]),  # three after the answer do
        ("gggbbb", [(30, True)]),  # to the end, an interval after the last
        ("gggbbbgg", [(50, True)]),  # two good at the end prove nothing
        ("bbbgggg", [(31, False)]),
        ("bbb", [(30, True)]),
    ],
)
def test_bad_runs_are_merged_until_three_good_requests_follow(pattern, expected):
    assert lengths(pattern) == expected


def test_slots_that_were_not_sent_begin_no_outage_but_are_no_sign_of_service_either():
    assert lengths("ggnnngggg") == []
    assert lengths("ggbbngngggg") == [(51, False)]


def test_flaps_are_counted_before_merging_and_only_from_the_fault_on():
    one = track("gbggbbgbngbgg")
    assert bad_runs(one, 0) == 4
    assert bad_runs(one, int(one.due[4])) == 3
    assert bad_runs(one, int(one.due[-1]) + 1) == 0


def test_an_answer_to_a_request_from_before_the_outage_does_not_narrow_the_bracket():
    one = track("gggbgggg", took_ms=1)
    one.done[2] = one.due[3] + 1  # answered just after the bad request was due
    outage = find_outages(one, int(one.due[-1]) + 1)[0]
    assert outage.end_ns == one.due[3] + 1
    assert outage.high_ns >= one.done[4] - one.sent[2], "until the next good one it may have lasted"


def test_the_generators_lag_widens_the_bracket_on_both_sides():
    sharp = find_outages(track("ggggbbbbgggg"), 10**12)[0]
    late = track("ggggbbbbgggg")
    late.sent[6] += 4 * MS
    blurred = find_outages(late, 10**12)[0]
    assert blurred.low_ns == sharp.low_ns - 4 * MS
    assert blurred.high_ns == sharp.high_ns + 4 * MS
    assert blurred.lag_ns == 4 * MS


def test_a_bad_run_before_the_fault_is_not_the_headline():
    history, truth = simulate(Scenario(outage_s=0.2))
    requests = history.requests.copy()
    before = (requests["due_ns"] > truth.begin_ns - 2e9) & (
        requests["due_ns"] < truth.begin_ns - 1e9
    )
    requests["outcome"][before] = Outcome.FAIL_DEFINITE
    view = View(replace(history, requests=requests))
    assert len(view.all_outages["write"]) == 2
    assert measure_trial(view.history).client_outage.value_s == pytest.approx(0.2, abs=0.01)


def test_a_blip_in_the_last_moments_is_left_out_and_said():
    history, _ = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    last = np.argsort(requests["due_ns"])[-2]
    requests["outcome"][last] = Outcome.FAIL_DEFINITE
    found = measure_trial(replace(history, requests=requests)).client_outage
    assert found.value_s == 0
    assert not found.censored
    assert "last moments" in found.note


def test_each_stream_has_an_outage_of_its_own():
    both = (("write", "write", "kept"), ("read", "read", "kept"), ("write/new", "write", "new"))
    history, truth = simulate(Scenario(streams=both))
    requests = history.requests.copy()
    reads = requests["stream"] == 1
    requests["outcome"][reads] = Outcome.OK
    requests["done_ns"][reads] = requests["sent_ns"][reads] + MS
    found = measure_trial(replace(history, requests=requests))
    assert found.client_outage_read.value_s == 0
    assert set(found.client_outage_by_stream) == {"write", "read", "write/new"}
    assert found.client_outage_by_stream["write/new"].value_s == pytest.approx(1.0, abs=0.01)
    assert found.client_outage.value_s == pytest.approx(truth.outage_s, abs=0.01)
