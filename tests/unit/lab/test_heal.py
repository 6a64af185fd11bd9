"""``chaoskit heal``: dead runs are undone, live ones are not, and bad folders get a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.heal import heal
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import KillProcess, RemoveDockerRun, RemoveTree
from chaoskit.lab.process import boot_id, identity_of


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    """No test here looks at a real engine."""

    def away():
        raise LabError("no engine")

    sweep = SimpleNamespace(find_runs=away, remove_run=lambda run: ())
    monkeypatch.setitem(sys.modules, "chaoskit.lab.docker_sweep", sweep)
    return sweep


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def dead(state, run="r1", *ops):
    """A journal whose run is over; its owner is this process, which only holds no lock."""
    journal = Journal.create(run, state)
    for op in ops:
        journal.intend(op)
    journal.abandon()
    return journal


def test_a_dead_run_is_undone_and_the_second_time_there_is_nothing(state):
    journal = dead(state, "r1", RemoveTree("lab"))
    (journal.directory / "lab").mkdir()
    (healed,) = heal(roots=[state])
    assert (healed.run_id, healed.failed) == ("r1", False)
    assert "remove the folder lab of the run: done" in str(healed)
    assert not journal.directory.exists()
    assert heal(roots=[state]) == []


def test_a_dry_run_says_the_same_and_changes_nothing(state):
    journal = dead(state, "r1", RemoveTree("lab"))
    (journal.directory / "lab").mkdir()
    (plan,) = heal(dry_run=True, roots=[state])
    assert str(plan) == "run r1:\n  would remove the folder lab of the run"
    assert (journal.directory / "lab").exists()


def test_a_live_run_is_not_touched(state):
    with Journal.create("r1", state) as journal:
        journal.intend(RemoveTree("lab"))
        (journal.directory / "lab").mkdir()
        assert heal(roots=[state]) == []
        assert heal(dry_run=True, roots=[state]) == []
        assert (journal.directory / "lab").exists()


def test_a_run_with_nothing_open_is_tidied_away_without_a_word(state):
    journal = dead(state)
    assert heal(roots=[state]) == []
    assert not journal.directory.exists()


def test_what_cannot_be_undone_is_said_and_kept(state, no_engine):
    def broken(_run):
        raise HealFailed("the engine is away; to remove: docker rm x")

    no_engine.remove_run = broken
    journal = dead(state, "r1", RemoveDockerRun("r1"))
    (healed,) = heal(roots=[state])
    assert healed.failed
    assert "NOT done: the engine is away" in str(healed)
    assert journal.path.exists()
    no_engine.remove_run = lambda run: (run,)
    assert not heal(roots=[state])[0].failed
    assert heal(roots=[state]) == []


def test_one_run_that_cannot_be_read_stops_no_other(state, tmp_path):
    good = dead(state, "r2", RemoveTree("lab"))
    bad = dead(state, "r1", RemoveTree("lab"))
    bad.path.chmod(0o666)
    found = {one.run_id: one for one in heal(roots=[state])}
    assert found["r1"].failed
    assert "alone" in str(found["r1"])
    assert not found["r2"].failed
    assert not good.directory.exists()


def test_a_planted_link_is_not_followed(state, tmp_path):
    victim = dead(tmp_path / "other", "r1", RemoveTree("lab"))
    (victim.directory / "lab").mkdir()
    state.mkdir(mode=0o700)
    (state / "r1").symlink_to(victim.directory)
    (healed,) = heal(roots=[state])
    assert healed.failed
    assert (victim.directory / "lab").exists()


def test_names_that_are_no_run_ids_and_missing_roots_are_passed_over(state, tmp_path):
    (state / "Not A Run").mkdir(parents=True)
    (state / "a file").write_text("")
    assert heal(roots=[state, tmp_path / "nowhere"]) == []
    assert (state / "Not A Run").exists()


def test_a_run_that_never_got_a_journal_goes_once_it_is_old(state):
    folder = state / "r1"
    folder.mkdir(parents=True, mode=0o700)
    assert heal(roots=[state]) == []
    assert folder.exists()  # it may be just beginning
    os.utime(folder, (1, 1))
    assert heal(roots=[state]) == []
    assert not folder.exists()


def test_damage_keeps_the_journal_and_fails(state):
    journal = dead(state, "r1", RemoveTree("lab"))
    journal.path.write_bytes(journal.path.read_bytes().replace(b"lab", b"lib"))
    (healed,) = heal(roots=[state])
    assert healed.failed
    assert "damaged" in str(healed)
    assert journal.path.exists()


def test_a_process_of_a_dead_run_is_ended(state):
    with subprocess.Popen(["sleep", "60"]) as child:
        who = identity_of(child.pid)
        dead(state, "r1", KillProcess(who.pid, who.starttime, who.boot_id, "lab"))
        assert not heal(roots=[state])[0].failed
        assert child.wait(5) == -9


def test_labels_of_dead_runs_are_swept_and_those_of_live_ones_are_not(state, no_engine):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    removed = []
    no_engine.remove_run = lambda run: (removed.append(run), (run,))[1]
    no_engine.find_runs = lambda: {
        "dead1": f"{ended.pid}@{boot_id()}",
        "dead2": f"{os.getpid()}@01234567-89ab-cdef-0123-456789abcdef",
        "live1": f"{os.getpid()}@{boot_id()}",
        "odd1": "0@x",
        "odd2": "",
        "locked": f"{ended.pid}@{boot_id()}",
    }
    with Journal.create("locked", state):
        plan = heal(dry_run=True, roots=[state])
        assert [one.run_id for one in plan] == ["dead1", "dead2"]
        assert removed == []
        healed = heal(roots=[state])
    assert [one.run_id for one in healed] == removed == ["dead1", "dead2"]
    assert not any(one.failed for one in healed)
