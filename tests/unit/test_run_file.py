"""What run.json says of the stack beside what the experiment says."""

import pytest
from support import ROOT

from chaoskit.experiment.loader import load_experiment
from chaoskit.faults.exec import Exec
from chaoskit.faults.kill import Kill
from chaoskit.faults.pause import Pause
from chaoskit.faults.restart import Restart
from chaoskit.faults.stop import Stop
from chaoskit.runfile import RunFile
from chaoskit.stack.compose import load_stack


def facts(name, **changed):
    experiment = load_experiment(ROOT / "experiments" / f"{name}.yaml")
    steps = tuple(step.model_copy(update=changed) for step in experiment.steps)
    experiment = experiment.model_copy(update={"steps": steps})
    return RunFile.of(
        experiment,
        load_stack(experiment.stack),
        lab="sandbox",
        lab_why="",
        lab_facts={},
        seed=1,
        trials=1,
        argv=(),
        version="0",
        host={},
        took_s=0.0,
    )


def test_what_the_front_door_tries_again_is_written_down():
    found = facts("active-active-haproxy-kill").retries
    assert list(found) == ["haproxy"]
    assert "no request that was sent" in found["haproxy"]


def test_a_stack_that_tries_nothing_again_says_nothing():
    assert facts("active-passive-kill").retries == {}


@pytest.mark.parametrize(
    ("fault", "low_s"),
    [
        (Kill(), 0.24),
        (Stop(), 0.0),
        (Restart(), 0.0),
        (Stop(signal="SIGKILL"), 0.24),
        (Restart(signal="SIGKILL"), 0.24),
        (Pause(), 0.24),
        (Exec(argv=("true",), harmless=True), 0.0),  # it may be the system's own way to hand over
    ],
)
def test_of_a_node_that_is_asked_to_go_nothing_is_faster_than_possible(fault, low_s):
    found = facts("active-passive-kill", fault=fault).band
    assert (found.low_s, found.high_s) == (pytest.approx(low_s), pytest.approx(0.39))
    assert ("handed over" in found.formula) == (low_s == 0)


def test_where_an_operator_acts_there_is_no_band():
    assert facts("active-passive-approval-switchover").band is None


def test_a_pair_behind_a_proxy_declares_what_the_proxy_takes():
    found = facts("active-passive-haproxy-split").band
    assert (found.low_s, found.high_s) == (pytest.approx(0.24), pytest.approx(0.54))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (("frontdoor",), False),
        (("haproxy",), False),
        (("node-a",), True),
        (("primary",), True),
        (("frontdoor", "primary"), True),
    ],
)
def test_no_detector_watches_the_front_door(target, expected):
    found = facts("active-passive-haproxy-kill", target=target).band
    assert (found is not None) is expected
