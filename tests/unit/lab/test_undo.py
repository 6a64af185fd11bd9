"""Undo: verified, idempotent, in the right order, and honest about what failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from chaoskit.errors import HealFailed, Refused
from chaoskit.lab import process as processes
from chaoskit.lab import undo
from chaoskit.lab.journal import Journal, read_journal
from chaoskit.lab.ops import DockerStart, KillProcess, RemoveDockerRun, RemoveTree
from chaoskit.lab.process import ProcessIdentity, boot_id, identity_of, is_alive, kill_and_wait
from chaoskit.lab.undo import order_of, undo_all

OTHER_BOOT = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def journal(tmp_path):
    with Journal.create("r1", tmp_path / "state") as made:
        yield made


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        yield child
        child.kill()


def op_of(pid: int, **changes) -> KillProcess:
    who = identity_of(pid)
    fields = {"pid": pid, "starttime": who.starttime, "boot_id": who.boot_id, "what": "sleeper"}
    return KillProcess(**(fields | changes))


def states(path):
    return [outcome.state for outcome in undo_all(path, by="test")]


def test_a_process_is_ended_and_noted_and_the_second_time_nothing_is_left(journal, sleeper):
    journal.intend(op_of(sleeper.pid))
    assert states(journal.path) == ["undone"]
    assert sleeper.wait(5) == -signal.SIGKILL
    assert states(journal.path) == []
    assert read_journal(journal.path).open_entries() == ()


def test_a_stopped_process_is_ended_too(journal, sleeper):
    os.kill(sleeper.pid, signal.SIGSTOP)
    journal.intend(op_of(sleeper.pid))
    assert states(journal.path) == ["undone"]


def test_an_ended_process_that_nobody_waited_for_is_gone(journal, sleeper):
    journal.intend(op_of(sleeper.pid))
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert states(journal.path) == ["gone"]


@pytest.mark.parametrize("changes", [{"starttime": 1}, {"boot_id": OTHER_BOOT}])
def test_another_process_with_the_same_number_is_left_alone(journal, sleeper, changes):
    journal.intend(op_of(sleeper.pid, **changes))
    assert states(journal.path) == ["gone"]
    assert sleeper.poll() is None


def test_a_process_that_may_not_be_signalled_is_a_failure_with_a_command(
    journal, sleeper, monkeypatch
):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    journal.intend(op_of(sleeper.pid))
    (outcome,) = undo_all(journal.path, by="test")
    assert outcome.failed
    assert "Operation not permitted" in str(outcome)
    assert f"kill -9 {sleeper.pid}" in outcome.command
    assert len(read_journal(journal.path).open_entries()) == 1


def test_a_process_that_does_not_end_is_a_failure(journal, sleeper, monkeypatch):
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    with pytest.raises(TimeoutError):
        kill_and_wait(identity_of(sleeper.pid), within_s=0.05)
    monkeypatch.setattr(undo, "kill_and_wait", lambda who: kill_and_wait(who, 0.05))
    journal.intend(op_of(sleeper.pid))
    assert states(journal.path) == ["failed"]


@pytest.mark.parametrize("pid", [1, 0, -1, True])
def test_low_pids_are_refused_everywhere(pid):
    for use in (identity_of, lambda pid: is_alive(ProcessIdentity(pid, 0, boot_id()))):
        with pytest.raises(Refused, match="never a target"):
            use(pid)


def test_a_program_named_to_mislead_does_not_spoil_its_start_time(tmp_path):
    program = tmp_path / "a) S 1 2 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as child:
        try:
            assert processes.starttime_of(child.pid) == identity_of(child.pid).starttime
            now = processes.starttime_of(os.getpid())
            assert now <= processes.starttime_of(child.pid) < now + 10_000_000
        finally:
            child.kill()


def test_a_failure_stops_no_other_undo(journal, sleeper, monkeypatch):
    def broken(_run_id):
        raise HealFailed("the engine is away")

    monkeypatch.setattr(undo, "_remove_docker_run", broken)
    journal.intend(op_of(sleeper.pid))
    journal.intend(RemoveDockerRun("r1"))
    outcomes = undo_all(journal.path, by="test")
    assert [o.state for o in outcomes] == ["failed", "undone"]
    assert "the engine is away" in outcomes[0].sentence
    assert [e.n for e in read_journal(journal.path).open_entries()] == [2]


def test_latest_first_but_containers_are_not_started_only_to_be_removed(journal, sleeper):
    ops = [
        RemoveTree("lab"),
        RemoveDockerRun("r1"),
        DockerStart("ab" * 32),
        op_of(sleeper.pid),
        DockerStart("cd" * 32),
    ]
    for op in ops:
        journal.intend(op, scope="fault" if isinstance(op, DockerStart) else "lab")
    contents = read_journal(journal.path)
    assert [e.n for e in order_of(contents)] == [4, 2, 1, 5, 3]
    assert [e.n for e in order_of(contents, "fault")] == [5, 3]


def test_only_faults_are_undone_where_only_faults_are_meant(journal, sleeper):
    journal.intend(op_of(sleeper.pid), scope="fault")
    (journal.directory / "lab").mkdir()
    journal.intend(RemoveTree("lab"))
    assert [o.state for o in undo_all(journal.path, by="test", scope="fault")] == ["undone"]
    assert (journal.directory / "lab").exists()
    assert states(journal.path) == ["undone"]
    assert not (journal.directory / "lab").exists()


def test_a_folder_is_removed_and_what_it_links_to_is_not(journal, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    lab = journal.directory / "lab"
    lab.mkdir()
    (lab / "link").symlink_to(precious)
    journal.intend(RemoveTree("lab"))
    (journal.directory / "whole").symlink_to(precious)
    journal.intend(RemoveTree("whole"))
    assert states(journal.path) == ["undone", "undone"]
    assert (precious / "file").read_text() == "x"
    assert sorted(p.name for p in journal.directory.iterdir()) == ["journal.jsonl"]


def test_a_link_on_the_way_to_a_folder_is_not_followed(journal, tmp_path):
    (tmp_path / "precious" / "sub").mkdir(parents=True)
    (journal.directory / "lab").symlink_to(tmp_path / "precious")
    journal.intend(RemoveTree("lab/sub"))
    assert states(journal.path) == ["failed"]
    assert (tmp_path / "precious" / "sub").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_folder_with_something_mounted_in_it_is_not_removed(journal, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    point = journal.directory / "lab" / "with blank"
    point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", tmp_path / "precious", point], check=True)
    try:
        journal.intend(RemoveTree("lab"))
        (outcome,) = undo_all(journal.path, by="test")
        assert outcome.failed
        assert "still mounted" in outcome.sentence
    finally:
        subprocess.run(["umount", point], check=True)
    assert (tmp_path / "precious" / "file").exists()
    assert states(journal.path) == ["undone"]


def test_damage_is_a_failure_and_the_readable_rest_is_undone_all_the_same(journal, sleeper):
    journal.intend(op_of(sleeper.pid))
    journal.intend(RemoveTree("lab"))
    raw = journal.path.read_bytes().replace(b'"path":"lab"', b'"path":"lib"')
    journal.path.write_bytes(raw)
    outcomes = undo_all(journal.path, by="test")
    assert [o.state for o in outcomes] == ["undone", "failed"]
    assert "line 3" in outcomes[1].sentence


def test_an_undo_that_cannot_be_noted_is_still_an_undo(journal, sleeper, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    journal.intend(op_of(sleeper.pid))
    monkeypatch.setattr(undo, "append_undone", full)
    (outcome,) = undo_all(journal.path, by="test")
    assert outcome.state == "undone"
    assert "could not be noted" in outcome.sentence


def test_docker_operations_say_what_is_missing_where_the_library_is(journal, monkeypatch):
    monkeypatch.setitem(sys.modules, "chaoskit.lab.docker_sweep", None)
    monkeypatch.setitem(sys.modules, "docker", None)
    journal.intend(RemoveDockerRun("r1"))
    journal.intend(DockerStart("ab" * 32))
    outcomes = undo_all(journal.path, by="test")
    assert [o.state for o in outcomes] == ["failed", "failed"]
    assert "is not installed" in outcomes[0].sentence


def test_the_sweep_is_asked_for_the_run_and_its_answer_decides(journal, monkeypatch):
    asked = []
    answers = [("something",), ()]
    sweep = SimpleNamespace(remove_run=lambda run: (asked.append(run), answers.pop(0))[1])
    monkeypatch.setitem(sys.modules, "chaoskit.lab.docker_sweep", sweep)
    journal.intend(RemoveDockerRun("r1"))
    assert states(journal.path) == ["undone"]
    journal.intend(RemoveDockerRun("r1"))
    assert states(journal.path) == ["gone"]
    assert asked == ["r1", "r1"]
