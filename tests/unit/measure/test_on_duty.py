"""An operator who is on duty until the end is no fault that is still on."""

from dataclasses import replace

import pytest

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

NS = 1_000_000_000


@pytest.fixture(scope="module")
def killed():
    history, _ = simulate(Scenario(style="drop", outage_s=0.5, after_s=6.0))
    (fault,) = history.faults
    at = fault.acknowledged_ns + 2 * NS
    healed = replace(fault, heal_commanded_ns=at, healed_ns=at + 1, felt_healed_ns=at + 2)
    return replace(history, faults=(healed,))


def on_duty(history):
    """Beside the kill an operator, from before it until after the load has stopped."""
    (kill,) = history.faults
    late = history.window.observe_end_ns + NS
    duty = replace(kill, step=1, fault="approve", must_bite=False, bitten_ns=None)
    times = {"heal_commanded_ns": late, "healed_ns": late, "felt_healed_ns": late}
    return replace(history, faults=(kill, replace(duty, **times)))


def test_phases_are_those_of_the_kill(killed):
    assert View(on_duty(killed)).spans == View(killed).spans
    first, last = View(killed).spans["fault"]
    assert (last - first) / NS == pytest.approx(2.0, abs=0.01)
    assert View(on_duty(killed)).spans["recovered"][0] < killed.window.observe_end_ns - NS


def test_what_is_measured_under_the_fault_is_not_diluted(killed):
    alone, beside = (measure_trial(h).values["error_rate@fault"] for h in (killed, on_duty(killed)))
    assert beside == alone
    assert alone is not None
    assert float(getattr(alone, "value", alone)) > 0.1


def test_an_operator_alone_has_the_time_of_his_duty(killed):
    (kill,) = killed.faults
    duty = replace(killed, faults=(replace(kill, must_bite=False),))
    assert View(duty).spans == View(killed).spans
