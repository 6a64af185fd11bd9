"""Back to steady: when, what it cost, and how it is said if it was not reached."""

from dataclasses import replace

import pytest

from chaoskit.clock import NS
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.steady import latency_overshoot, lost_goodput, time_to_steady
from chaoskit.measure.view import View

MS = 1_000_000


def changed(history, from_s, to_s, **columns):
    """The same after so long since the fault, for every tenth request (by due time)."""
    requests = history.requests.copy()
    after = requests["due_ns"] - history.faults[0].acknowledged_ns
    rows = (after >= from_s * NS) & (after < to_s * NS) & (requests["token"] % 10 == 0)
    for name, value in columns.items():
        requests[name][rows] = value(requests[rows]) if callable(value) else value
    return replace(history, requests=requests)


def slow(history, from_s, to_s, by_ms):
    return changed(history, from_s, to_s, done_ns=lambda r: r["due_ns"] + by_ms * MS)


@pytest.fixture(scope="module")
def plain():
    return simulate(Scenario(baseline_s=6.0, after_s=6.0))[0]


def test_a_clean_recovery_is_steady_at_the_first_good_write(plain):
    found = measure_trial(plain)
    assert found.time_to_steady.value_s == pytest.approx(found.failover_time.value_s)
    assert found.lost_goodput == found.dropped_requests.count
    assert found.latency_overshoot_s < 0.001


@pytest.mark.parametrize(
    "hurt",
    [
        lambda h: slow(h, 1.0, 3.0, 20),
        lambda h: changed(h, 1.0, 3.0, outcome=Outcome.FAIL_DEFINITE),
    ],
    ids=["slow", "failing"],
)
def test_service_that_is_back_but_not_as_good_is_not_steady(plain, hurt):
    found = time_to_steady(View(hurt(plain)))
    assert found.low_s - 0.11 <= 3.0 <= found.high_s + 0.11


def test_how_long_it_must_hold_is_asked_for(plain):
    again = slow(plain, 4.0, 4.5, 20)
    assert time_to_steady(View(again), 2.0).value_s == pytest.approx(1.0, abs=0.1)
    later = time_to_steady(View(again), 4.0)
    assert later.censored
    assert later.value_s > 4.0


def test_a_tail_too_short_to_tell_leaves_it_open_from_below(plain):
    found = time_to_steady(View(plain), 10.0)
    assert (found.censored, found.high_s) == (True, None)
    assert found.low_s == pytest.approx(1.0, abs=0.1)
    assert "not steady for 10 s" in found.note


def test_service_that_never_comes_back_is_censored_at_the_end():
    view = View(simulate(Scenario(outage_s=float("inf")))[0])
    found = time_to_steady(view)
    assert found.censored
    assert found.value_s == pytest.approx(6.0, abs=0.1)
    assert latency_overshoot(view) is None


def test_overshoot_is_what_the_worst_second_has_above_the_baseline(plain):
    found = latency_overshoot(View(slow(plain, 2.0, 3.0, 60)))
    assert found == pytest.approx(0.058, abs=0.002)


def test_lost_goodput_counts_what_each_second_is_short_of(plain):
    before = lost_goodput(View(plain))
    hurt = changed(plain, 2.0, 4.0, outcome=Outcome.FAIL_DEFINITE)
    assert lost_goodput(View(hurt)) == pytest.approx(before + 40, abs=1)


def test_nothing_is_said_without_a_fault_that_bites_or_without_a_baseline():
    calm = time_to_steady(View(simulate(Scenario(outage_s=0.0, bites=False))[0]))
    assert not calm.applicable
    short = View(simulate(Scenario(baseline_s=1.0))[0])
    assert time_to_steady(short) is lost_goodput(short) is latency_overshoot(short) is None
