"""Every planted defect is found on real processes, by the metric that must find it.

All that fits into ten minutes: those in ``NIGHTLY`` take half a minute each, and ``make nightly``
and ``make defects`` run them. None of the others may vanish unseen: what an experiment needs beyond the sandbox lab is a marker, which
``CHAOSKIT_REQUIRE`` can ask for; without one the test fails where the machine lacks it.
"""

from pathlib import Path

import pytest
from support import benchmark

from chaoskit.experiment.loader import load_experiment
from chaoskit.reference.defects import DEFECTS
from chaoskit.stack.compose import load_stack

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
defects = benchmark("defects")
ROOT = Path(__file__).resolve().parents[2]
MARKERS = {"disk-device": "disk", "haproxy": "haproxy"}
NIGHTLY = ("acks-alone", "frontdoor-ignores-death", "retry-storm")
EACH_TIME = {name: d for name, d in DEFECTS.items() if name not in NIGHTLY}
EXPERIMENTS = sorted({d.experiment for d in EACH_TIME.values()})


def markers(experiment):
    """What the faults and the front door of an experiment need, as markers."""
    steps = load_experiment(ROOT / "experiments" / f"{experiment}.yaml").steps
    needs = {need for step in steps for need in step.fault.features()}
    needs |= {d.needs for d in DEFECTS.values() if d.experiment == experiment and d.needs}
    return [getattr(pytest.mark, MARKERS[need]) for need in sorted(needs)]


def test_what_is_left_to_the_night_leaves_a_defect_of_its_shape_and_of_its_front_door():
    assert set(NIGHTLY) <= set(DEFECTS)
    assert {d.shape for d in DEFECTS.values()} == {d.shape for d in EACH_TIME.values()}
    assert {d.needs for d in DEFECTS.values()} == {d.needs for d in EACH_TIME.values()}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=markers(d.experiment)) for n, d in EACH_TIME.items()]
)
def test_a_planted_defect_is_found(name):
    row = defects.catch(DEFECTS[name], cap=3)
    assert row.good, row


@pytest.mark.parametrize("experiment", [pytest.param(e, marks=markers(e)) for e in EXPERIMENTS])
def test_the_sound_system_passes_the_same_experiment(experiment, monkeypatch):
    """And its heartbeats were seen: whichever shape it is, each data node told whom it heard."""
    run, seen = defects.run, []
    monkeypatch.setattr(defects, "run", lambda *asked: seen.append(run(*asked)) or seen[-1])
    row = defects.clean(experiment, "", 1)
    assert row.good, row
    for trial in seen[-1]["trials"]:
        if not trial["invalid_because"]:
            assert listeners(trial["metrics"]["heartbeats"]) == data_nodes(experiment)


def listeners(heartbeats):
    """Who told of heartbeats of somebody that it named."""
    return {
        link.split(" from ")[0]
        for link, seen in heartbeats.items()
        if " from " in link and seen["seen"] > 5
    }


def data_nodes(experiment):
    stack = load_stack(load_experiment(ROOT / "experiments" / f"{experiment}.yaml").stack)
    return {n for n, s in stack.services.items() if s.role() in ("primary", "backup")}
