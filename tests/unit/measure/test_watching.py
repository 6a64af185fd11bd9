"""What probes said while clients were out, and how often primary moved."""

from dataclasses import replace

import pytest

from chaoskit.clock import NS
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View
from chaoskit.measure.watching import flapping, gray_time


@pytest.fixture(scope="module")
def plain():
    return simulate(Scenario())[0]


def said(history, node, from_s, to_s, value):
    zero = history.faults[0].acknowledged_ns
    return replace(
        history,
        observations=tuple(
            replace(o, value=value)
            if o.node == node and from_s <= (o.sent_ns - zero) / NS < to_s
            else o
            for o in history.observations
        ),
    )


def test_a_fault_that_every_probe_sees_leaves_no_gray_time_beyond_a_poll(plain):
    found = gray_time(View(plain))
    assert found.value_s <= 0.05
    assert found.high_s <= 0.2


def test_an_outage_that_no_probe_sees_is_gray(plain):
    found = gray_time(View(said(plain, "node-a", 0.0, 0.6, "primary")))
    assert found.low_s <= 0.6 <= found.high_s
    assert found.value_s == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize("word", [None, "unhealthy", "joining"])
def test_one_node_that_is_not_well_is_enough(plain, word):
    hidden = said(plain, "node-a", 0.0, 0.6, "primary")
    assert gray_time(View(said(hidden, "node-b", -1.0, 0.6, word))).value_s <= 0.05


def test_gray_to_the_end_is_censored_and_nothing_known_is_nothing_said():
    history = simulate(Scenario(outage_s=float("inf"), fails_over=False))[0]
    found = gray_time(View(said(history, "node-a", 0.0, 99.0, "primary")))
    assert (found.censored, found.high_s) == (True, None)
    assert found.value_s == pytest.approx(6.0, abs=0.1)
    blind = View(replace(history, observations=()))
    assert gray_time(blind) is None
    assert flapping(blind).count is None


def test_one_failover_is_no_flapping_and_each_further_change_is(plain):
    assert flapping(View(plain)).count == 0
    back = said(said(plain, "node-a", 2.5, 3.0, "primary"), "node-b", 2.5, 3.0, "backup")
    assert flapping(View(back)).count == 2


def test_a_primary_that_was_silent_and_goes_on_did_not_become_it(plain):
    assert flapping(View(said(plain, "node-b", 2.5, 3.0, None))).count == 0


def test_without_a_fault_any_change_is_one_too_many():
    calm = simulate(Scenario(outage_s=0.0, bites=False))[0]
    assert flapping(View(calm)).count == 0
    moved = said(said(calm, "node-a", 1.0, 99.0, "backup"), "node-b", 1.0, 99.0, "primary")
    assert flapping(View(moved)).count == 1


def test_the_budget_burned_is_bad_time_over_what_thirty_days_allow(plain):
    found = measure_trial(plain)
    burned = found.values["error_budget_ratio@99.9%"]
    assert burned == pytest.approx(found.bad_time.value_s / 2592)
    assert found.values["error_budget_ratio@99.99%"] == pytest.approx(10 * burned)
