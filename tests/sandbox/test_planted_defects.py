"""Every planted defect is found on real processes, by the metric that must find it."""

import shutil
from pathlib import Path

import pytest
from support import benchmark

from chaoskit.experiment.loader import load_experiment
from chaoskit.lab.needs import unmet
from chaoskit.lab.sandbox import SandboxLab
from chaoskit.reference.defects import DEFECTS

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
defects = benchmark("defects")
ROOT = Path(__file__).resolve().parents[2]


def needs_program(name):
    if name and not shutil.which(name):
        pytest.skip(f"{name} is not installed; scripts/install-{name} does it")


def needs_faults(experiment):
    """What this machine, or this user, cannot break is not looked for."""
    for step in load_experiment(ROOT / "experiments" / f"{experiment}.yaml").steps:
        lacking = unmet(step.fault, SandboxLab)
        if lacking is not None:
            pytest.skip(lacking)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name):
    needs_program(DEFECTS[name].needs)
    needs_faults(DEFECTS[name].experiment)
    row = defects.catch(DEFECTS[name], cap=3)
    assert row.good, row


@pytest.mark.parametrize("experiment", sorted({d.experiment for d in DEFECTS.values()}))
def test_the_sound_system_passes_the_same_experiment(experiment):
    needs = {d.needs for d in DEFECTS.values() if d.experiment == experiment}
    needs_program(max(needs))
    needs_faults(experiment)
    row = defects.clean(experiment, "", 1)
    assert row.good, row
