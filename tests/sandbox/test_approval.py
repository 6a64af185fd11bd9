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
