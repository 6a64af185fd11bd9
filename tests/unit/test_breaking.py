"""What is made of steps that never came, and of those that could not be carried out."""

from types import SimpleNamespace

import pytest
from unit.injection_rig import rig

from chaoskit.breaking import Breaking
from chaoskit.clock import now_ns, wait_until
from chaoskit.errors import NotInjected
from chaoskit.experiment.step import Step
from chaoskit.faults.approve import Approve
from chaoskit.faults.flap import Flap
from chaoskit.faults.loss import Loss
from chaoskit.faults.partition import Partition
from chaoskit.history.history import Window


class Waits:
    """An injector whose steps nobody waits for: an operator who is asked nothing."""

    def inject(self, _index):
        pass

    def heal(self, _index):
        pass

    def news(self):
        return ()

    def thinking_ns(self):
        return 0


def incidents_of(*steps, run_for_s=0.05):
    models = tuple(Step.model_validate(step) for step in steps)
    said, notes = [], []
    breaking = Breaking(
        SimpleNamespace(steps=models, run_for_s=run_for_s),
        Waits(),
        SimpleNamespace(note=lambda *words: notes.append(words)),
        said.append,
        SimpleNamespace(),
    )

    def pump(until_ns, stop=lambda: False):
        wait_until(stop, within_s=max(0.0, (until_ns - now_ns()) / 1e9), every_s=0.005)

    breaking.run(Window(0, now_ns(), 0), 0.0, {}, pump)
    return said


WAITS = {"when": "role backup -> primary", "within": "60s", "fault": Approve()}


@pytest.mark.parametrize("optional", [True, False])
def test_a_step_that_still_waits_at_the_end_is_an_incident_unless_it_is_optional(optional):
    said = incidents_of({**WAITS, "optional": optional})
    assert said == ([] if optional else ["step 0 was not due before the end of the run"])


@pytest.mark.parametrize(
    "fault",
    [
        Partition.model_validate({"from": ["a"]}),
        Flap.model_validate({"from": ["a"]}),
        Loss.model_validate({"from": ["a"], "share": "50%"}),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_cut_of_nobody_is_not_injected_and_touches_nothing(fault):
    made = rig(fault, target=("a",))
    with pytest.raises(NotInjected):
        made.injector.inject(0)
    assert made.lab.done == []
