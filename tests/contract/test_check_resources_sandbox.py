"""The faults that limit a node keep their promises in the sandbox lab."""

import sys
from pathlib import Path

import pytest

from chaoskit.faults.cpu import Cpu
from chaoskit.faults.fd_exhaustion import FdExhaustion
from chaoskit.faults.memory import Memory
from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from fault_cases import name_of
from resource_cases import CASES, CLOCK_ENVIRONMENT, WORKER, Observer
from sandbox_stacks import lab_of, server

pytestmark = pytest.mark.sandbox


@pytest.fixture
def lab(tmp_path):
    worker = server("a", WORKER, environment=CLOCK_ENVIRONMENT)
    with lab_of(tmp_path, worker, server("b")) as lab:
        lab.up()
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_it_bites_and_heals_twice_and_the_node_itself_says_so(lab, case):
    fault, felt = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    check_fault(fault, lab, ["a"], felt=getattr(Observer(lab), felt))


@pytest.mark.parametrize(
    "fault",
    [Cpu(cpus=64), Memory.model_validate({"spare": "2g"}), FdExhaustion(left=500)],
    ids=lambda fault: fault.kind,
)
def test_a_limit_without_teeth_is_found_out(lab, fault, monkeypatch):
    """In force, and read back: but the worker never needs what it takes away."""
    if (lacking := unmet(fault, lab)) is not None:
        pytest.skip(lacking)
    monkeypatch.setattr("chaoskit.testing_faults._SOON_S", 1.0)
    with pytest.raises(AssertionError, match="the target has met the fault"):
        check_fault(fault, lab, ["a"])


def test_nothing_of_ours_is_left_in_the_hierarchies(lab):
    first = lab.first_pid(lab.node("a"))
    groups = Path(f"/proc/{first}/cgroup").read_text()
    assert "chaoskit_" not in groups
    assert groups == Path(f"/proc/{lab.first_pid(lab.node('b'))}/cgroup").read_text()
