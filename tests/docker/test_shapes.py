"""Every shape of failover is started, broken, measured and judged in the Docker lab as well."""

import pytest
from support import ROOT

pytestmark = pytest.mark.docker
SHAPES = ("active-passive", "active-passive-approval", "active-active", "cluster-3")


@pytest.mark.parametrize("shape", SHAPES)
def test_losing_a_node_is_judged_as_in_the_sandbox(run_until_valid, shape):
    """The sandbox's verdict is PASS: its own tests hold it to that."""
    file = ROOT / "experiments" / f"{shape}-kill.yaml"
    ran = run_until_valid(file, "--lab", "docker")
    assert ran.result["verdict"] == "PASS", (ran.stdout, ran.stderr)
    (trial,) = ran.result["trials"]
    (fault,) = [f for f in trial["faults"] if f["fault"] == "kill"]
    assert fault["verified_ns"]
    assert fault["bitten_ns"]
