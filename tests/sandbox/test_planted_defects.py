"""Every planted defect is found on real processes, by the metric that must find it."""

import shutil

import pytest
from support import benchmark

from chaoskit.reference.defects import DEFECTS

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
defects = benchmark("defects")


def needs_program(name):
    if name and not shutil.which(name):
        pytest.skip(f"{name} is not installed; scripts/install-{name} does it")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name):
    needs_program(DEFECTS[name].needs)
    row = defects.catch(DEFECTS[name], cap=3)
    assert row.good, row


@pytest.mark.parametrize("experiment", sorted({d.experiment for d in DEFECTS.values()}))
def test_the_sound_system_passes_the_same_experiment(experiment):
    needs = {d.needs for d in DEFECTS.values() if d.experiment == experiment}
    needs_program(max(needs))
    row = defects.clean(experiment, "", 1)
    assert row.good, row
