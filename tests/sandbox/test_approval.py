"""Failovers that wait for an operator, as runs of the shape's own experiments."""

import pytest
from support import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
SANDBOX = ("--lab", "sandbox")


def shape(name):
    return ROOT / "experiments" / f"active-passive-approval-{name}.yaml"


def test_a_failover_that_was_rejected_is_an_outcome_of_its_own(run_until_valid):
    ran = run_until_valid(shape("reject"), *SANDBOX)
    assert ran.code == 0, ran.err
    metrics = ran.trial()["metrics"]
    assert metrics["recovery"] == "rejected"
    assert metrics["promotions"]["count"] == 0
    assert "an operator rejected the failover" in ran.result["sentence"]


def test_a_trial_in_which_nobody_was_asked_is_invalid(experiment, run_until_valid):
    """The pause is shorter than the detector's patience: nothing is raised, and nothing is wrong."""
    file = experiment(
        stack=str(ROOT / "compose" / "active-passive-approval" / "compose.yaml"),
        steps="[{at: 3s, fault: approve}, {at: 3500ms, fault: pause, target: primary, for: 60ms}]",
        run_for="5s",
        thresholds="[promotions == 0, lost_writes == 0]",
    )
    ran = run_until_valid(file, *SANDBOX)
    assert ran.code == 3, ran.out
    (reason,) = ran.result["trials"][0]["invalid_because"]
    assert "step 1 came to nothing: nothing was ever pending" in reason
    assert "chaoskit.operator" in reason
