"""The faults of disks bite and heal in the sandbox lab, and what is not a node's own is left alone."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.lab.needs import unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from disk_cases import CASES, LABEL, WRITER, Felt, name_of
from sandbox_stacks import lab_of, server

pytestmark = pytest.mark.sandbox


def writer(name):
    plain = server(name, WRITER)
    return replace(plain, labels={**plain.labels, **LABEL})


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with lab_of(tmp_path_factory.mktemp("lab"), writer("a"), server("b", WRITER)) as lab:
        lab.up()
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
