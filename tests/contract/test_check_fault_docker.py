"""Every fault keeps its promises in the Docker lab."""

import sys
from pathlib import Path

import pytest

from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import docker_lab, web_pair
from fault_cases import CASES, name_of

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with docker_lab(folder, web_pair(folder)) as lab:
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fault_bites_and_heals_twice(lab, case):
    fault, target, others = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    check_fault(fault, lab, target, others)
