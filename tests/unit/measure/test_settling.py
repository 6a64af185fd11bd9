"""What follows a failover: settling, and the part of it that queued requests cause."""

from dataclasses import replace

import pytest

from chaoskit.clock import NS
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.settling import backlog_drain, settle_time
from chaoskit.measure.view import View

MS = 1_000_000


@pytest.fixture(name="plain", scope="module")
def _plain():
    return simulate(Scenario(baseline_s=6.0, after_s=6.0))[0]


def hurt(history, from_s, to_s, *, slow_ms=0, failing=False):
    """Every tenth request due so long after the fault is slow, or fails."""
    requests = history.requests.copy()
    after = requests["due_ns"] - history.faults[0].acknowledged_ns
    rows = (after >= from_s * NS) & (after < to_s * NS) & (requests["token"] % 10 == 0)
    if slow_ms:
        requests["done_ns"][rows] = requests["due_ns"][rows] + slow_ms * MS
    if failing:
        requests["outcome"][rows] = Outcome.FAIL_DEFINITE
    return replace(history, requests=requests)


def test_a_clean_recovery_has_nothing_to_settle_or_to_drain(plain):
    found = measure_trial(plain)
    assert found.settle_time.value_s == pytest.approx(0.0, abs=0.01)
    assert found.backlog_drain.value_s == pytest.approx(0.0, abs=0.01)


def test_it_goes_on_from_the_failover_to_steady(plain):
    found = measure_trial(hurt(plain, 1.0, 3.0, slow_ms=20))
    assert found.failover_time.value_s + found.settle_time.value_s == pytest.approx(
        found.time_to_steady.value_s, abs=1e-6
    )
    assert found.settle_time.low_s - 0.11 <= 2.0 <= found.settle_time.high_s + 0.11


def test_slow_answers_are_a_backlog_and_failing_ones_are_not(plain):
    slow, failing = hurt(plain, 1.0, 3.0, slow_ms=20), hurt(plain, 1.0, 3.0, failing=True)
    found = backlog_drain(View(slow))
    assert found.low_s - 0.11 <= 2.0 <= found.high_s + 0.11
    assert backlog_drain(View(failing)).value_s == pytest.approx(0.0, abs=0.01)
    assert settle_time(View(failing)).value_s > 1.5


def test_what_does_not_end_within_the_observation_is_open_above(plain):
    for_ever = hurt(plain, 1.0, 99.0, slow_ms=20)
    for found in (settle_time(View(for_ever)), backlog_drain(View(for_ever))):
        assert (found.censored, found.high_s) == (True, None)
        assert found.value_s > 4.5


def test_nothing_is_said_where_nothing_failed_over_or_nothing_can_be_compared(plain):
    for outage in (0.0, float("inf")):
        view = View(simulate(Scenario(outage_s=outage, baseline_s=6.0))[0])
        assert not settle_time(view).applicable
        assert not backlog_drain(view).applicable
    short = View(simulate(Scenario(baseline_s=1.0))[0])
    assert settle_time(short) is backlog_drain(short) is None
