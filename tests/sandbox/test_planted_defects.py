"""Every planted defect is found on real processes, by the metric that must find it."""

import pytest
from support import benchmark

from chaoskit.reference.defects import DEFECTS

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
defects = benchmark("defects")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name):
    row = defects.catch(DEFECTS[name], cap=3)
    assert row.good, row


@pytest.mark.parametrize("experiment", sorted({d.experiment for d in DEFECTS.values()}))
def test_the_sound_system_passes_the_same_experiment(experiment):
    row = defects.clean(experiment, "active-passive", 1)
    assert row.good, row
