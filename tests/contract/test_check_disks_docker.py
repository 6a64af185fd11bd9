"""The faults of disks bite and heal in the Docker lab, where a volume is the disk."""

import signal
import sys
from pathlib import Path

import pytest

from chaoskit.contracts import Targets
from chaoskit.faults.disk_full import DiskFull
from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from disk_cases import CASES, LABEL, WRITER, Felt, name_of
from docker_stacks import docker_lab, python_services

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with docker_lab(folder, python_services(folder, "a", WRITER, LABEL)) as lab:
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fault_bites_and_heals_twice(lab, case):
    fault, slow = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    felt = Felt(lab, "a", slow=slow)
    try:
        check_fault(fault, lab, ["a"], felt=felt)
    finally:
        felt.close()


def test_a_node_that_is_started_again_still_has_the_fault_and_its_files(lab):
    node = lab.node("a")
    with DiskFull().inject(lab, Targets((node,))) as hold:
        before = lab.ready_disk(node)
        lab.kill(node, signal.SIGKILL)
        assert hold.in_force()
        lab.start(node)
        assert hold.in_force()
        assert lab.ready_disk(node) == before
    assert lab.ready_disk(node).held == 0
