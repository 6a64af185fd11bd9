"""Every fault keeps its promises in the Docker lab."""

import os
import sys
from pathlib import Path

import pytest

from chaoskit.lab.docker import DockerLab
from chaoskit.lab.docker_sweep import leftovers
from chaoskit.lab.journal import Journal
from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import web_pair
from fault_cases import CASES, name_of

pytestmark = pytest.mark.docker
RUN = f"faults{os.getpid()}"  # others may test on this machine at the same time


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "run").mkdir()
    with Journal.create(RUN, folder / "state") as journal:
        lab = DockerLab(web_pair(folder), RUN, folder / "run", journal)
        try:
            lab.up()
            yield lab
        finally:
            lab.down()
        assert leftovers(RUN) == ()
        journal.close()  # raises if any undo were still open


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fault_bites_and_heals_twice(lab, case):
    fault, target, others = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    check_fault(fault, lab, target, others)
