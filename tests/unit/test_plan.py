"""A plan says what would be done, changes nothing, and binds a run."""

import json
from pathlib import Path
from typing import ClassVar

import pytest
from support import chaoskit

from chaoskit.contracts import FaultModel
from chaoskit.experiment.loader import load_experiment
from chaoskit.planning import did_and_undone, plan_hash
from chaoskit.stack.compose import load_stack

ROOT = Path(__file__).resolve().parents[2]
KILL = ROOT / "experiments" / "active-passive-kill.yaml"


def hashed(path=KILL, lab="sandbox", trials=3, **overrides):
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    experiment = load_experiment(path, overrides=changes)
    return plan_hash(experiment, load_stack(experiment.stack), lab, trials)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps__0__at": "5s"},
        {"steps__0__for": "1s"},
        {"steps__0__target": "node-b"},
        {"steps__0__signal": "SIGTERM"},
        {"steps__0__fault": "pause"},
        {"load__rate": "100/s"},
        {"max_targets": "1"},
        {"run_for": "11s"},
        {"thresholds__0": "client_outage < 3s"},
    ],
    ids=str,
)
def test_whatever_changes_what_is_done_changes_the_hash(changes):
    assert hashed(**changes) != hashed()


def test_lab_and_trials_belong_to_the_plan():
    assert hashed(lab="docker") != hashed()
    assert hashed(trials=4) != hashed()


def test_the_stack_as_its_variables_make_it_belongs_to_the_plan(monkeypatch):
    before = hashed()
    monkeypatch.setenv("CHAOSKIT_DEFECT", "no-fencing")
    assert hashed() != before


@pytest.mark.parametrize("changes", [{"question": "Why?"}, {"seed": "7"}, {"tags": "[x]"}])
def test_words_and_the_seed_do_not(changes):
    assert hashed(**changes) == hashed()


@pytest.mark.sandbox
def test_a_plan_says_when_whom_what_and_the_undo_and_leaves_nothing(tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    before = sorted(tmp_path.iterdir())
    ran = chaoskit("plan", KILL, "--lab", "sandbox", env=state)
    assert ran.code == 0, ran.err
    for words in ("step 1  at 4s", "kill -> primary (by label node-a)", "undo ", "plan "):
        assert words in ran.out
    assert sorted(tmp_path.iterdir()) == before
    told = json.loads(chaoskit("plan", KILL, "--lab", "sandbox", "--json", env=state).out)
    assert told["hash"] == hashed() == told["plans"][0]["hash"]
    (fault,) = told["plans"][0]["steps"][0]["faults"]
    assert (fault["kind"], fault["now"], fault["lacking"]) == ("kill", "node-a", None)
    assert fault["undo"]
    assert fault["primitives"][0]["undo"]


@pytest.mark.sandbox
def test_a_run_with_another_hash_is_refused_and_nothing_is_started(tmp_path):
    out = tmp_path / "out"
    for wrong in ("0" * 64, hashed()[:7], "", "nonsense"):
        ran = chaoskit(
            "run", KILL, "--lab", "sandbox", "--plan-hash", wrong, "--trials", "3", out=out
        )
        assert ran.code == 2, ran.out
        assert "chaoskit plan" in ran.err
        assert not out.exists()


@pytest.mark.sandbox
def test_every_cell_has_a_hash_and_all_of_them_one():
    ladder = ROOT / "experiments" / "active-passive-pause-ladder.yaml"
    told = json.loads(chaoskit("plan", ladder, "--lab", "sandbox", "--json").out)
    hashes = [one["hash"] for one in told["plans"]]
    assert len(set(hashes)) == len(hashes) == 8
    assert told["hash"] not in hashes
    one = json.loads(chaoskit("plan", ladder, "--lab", "sandbox", "--json", "--cell", "2").out)
    assert one["hash"] == hashes[1]


@pytest.mark.sandbox
def test_a_plan_says_only_what_means_something_and_counts_as_people_do(tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    ring = KILL.with_name("cluster-5-ring.yaml")
    said = chaoskit("plan", ring, "--lab", "sandbox", "--trials", "1", env=state).out
    assert "[shape=majorities-ring, action=drop, connections=all]" in said
    assert "1 trial\n" in said
    cut = KILL.with_name("active-passive-partition.yaml")
    said = chaoskit("plan", cut, "--lab", "sandbox", "--trials", "2", env=state).out
    assert "from=everybody, direction=both" in said
    assert "2 trials\n" in said


def test_a_fault_that_says_nothing_of_itself_is_called_by_its_name():
    class Mute(FaultModel):
        kind: ClassVar[str] = "mute"

    Mute.__doc__ = None
    assert did_and_undone(Mute) == ("mute", "nothing to undo")
