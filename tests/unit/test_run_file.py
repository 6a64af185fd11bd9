"""What run.json says of the stack beside what the experiment says."""

from support import ROOT

from chaoskit.experiment.loader import load_experiment
from chaoskit.runfile import RunFile
from chaoskit.stack.compose import load_stack


def facts(name):
    experiment = load_experiment(ROOT / "experiments" / f"{name}.yaml")
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
