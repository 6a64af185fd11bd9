"""The guardian: when it acts, when it does not, and that it is light."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.lab import guardian as guardians
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import KillProcess
from chaoskit.lab.process import identity_of

# A harness with one fault and one piece of a lab; says their pids and the guardian's.
HARNESS = """
import pathlib, subprocess, sys, time
from chaoskit.lab.guardian import Guardian
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import KillProcess
from chaoskit.lab.process import identity_of
journal = Journal.create("g1", pathlib.Path(sys.argv[1]))
guardian = Guardian.start(journal, float(sys.argv[2]))
pids = []
for scope in ("fault", "lab"):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, start_new_session=True)
    who = identity_of(child.pid)
    journal.intend(KillProcess(who.pid, who.starttime, who.boot_id, scope), scope=scope)
    pids.append(child.pid)
print(guardian.pid, *pids, flush=True)
for line in sys.stdin:
    exec(line)
"""


class Harness:
    def __init__(self, state, lease=30.0):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HARNESS, str(state), str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        numbers = map(int, self.process.stdout.readline().split())
        self.guardian, self.fault, self.lab = map(identity_of, numbers)
        self.folder = state / "g1"

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture
def harness(tmp_path):
    made = []

    def start(**how):
        made.append(Harness(tmp_path / "state", **how))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.communicate()
        assert gone(one.guardian)
        for who in (one.fault, one.lab):
            if running(who):
                os.kill(who.pid, signal.SIGKILL)


def running(who) -> bool:
    from chaoskit.lab.process import is_alive

    return is_alive(who)


def gone(who) -> bool:
    return bool(wait_until(lambda: not running(who), within_s=10))


def test_a_dead_harness_is_undone_and_its_journal_removed(harness):
    one = harness()
    one.process.kill()
    assert gone(one.fault)
    assert gone(one.lab)
    assert gone(one.guardian)
    assert not one.folder.exists()


def test_a_goodbye_lets_the_guardian_go_and_touches_nothing(harness):
    one = harness()
    one.do("guardian.goodbye(); guardian.goodbye(); print('bye', flush=True)")
    assert one.process.stdout.readline() == "bye\n"
    assert gone(one.guardian)
    assert running(one.fault)
    assert running(one.lab)


def test_a_pipe_that_closes_does_not_matter_while_the_harness_lives(harness):
    one = harness()
    one.do("guardian._over.set(); guardian._process.stdin.close(); print('shut', flush=True)")
    assert one.process.stdout.readline() == "shut\n"
    time.sleep(0.5)
    assert running(one.fault)
    one.process.kill()
    assert gone(one.fault)
    assert gone(one.lab)


def test_a_forked_child_that_keeps_the_pipe_and_the_lock_open_stops_no_undo(harness):
    one = harness()
    one.do("import os; pid = os.fork() or time.sleep(60); print(pid, flush=True)")
    child = int(one.process.stdout.readline())
    try:
        one.process.kill()
        assert gone(one.fault)
        assert gone(one.lab)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_frozen_harness_loses_its_faults_and_keeps_its_lab(harness):
    one = harness(lease=0.6)
    time.sleep(1.5)
    assert running(one.fault)
    one.process.send_signal(signal.SIGSTOP)
    assert gone(one.fault)
    assert running(one.lab)
    assert running(one.guardian)


def test_after_a_thaw_a_new_freeze_is_seen_again(harness):
    one = harness(lease=0.6)
    one.process.send_signal(signal.SIGSTOP)
    assert gone(one.fault)
    one.process.send_signal(signal.SIGCONT)
    one.do(
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True);"
        "who = identity_of(child.pid);"
        "journal.intend(KillProcess(who.pid, who.starttime, who.boot_id, 'x'), scope='fault');"
        "print(child.pid, flush=True)"
    )
    one.fault = identity_of(int(one.process.stdout.readline()))
    one.process.send_signal(signal.SIGSTOP)
    assert gone(one.fault)
    assert running(one.lab)


def test_a_killed_guardian_is_noticed_and_goodbye_is_silent(tmp_path):
    with Journal.create("g2", tmp_path / "state") as journal:
        guardian = Guardian.start(journal, 0.3)
        assert guardian.alive()
        os.kill(guardian.pid, signal.SIGKILL)
        assert wait_until(lambda: not guardian.alive(), within_s=5)
        time.sleep(0.2)  # beats into a closed pipe
        guardian.goodbye()
        guardian.goodbye()


def test_a_guardian_that_cannot_start_is_an_error_before_anything_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Journal.create("g3", tmp_path / "state") as journal, pytest.raises(LabError):
        Guardian.start(journal)


def test_nothing_in_the_working_folder_is_imported(tmp_path, monkeypatch):
    for name in ("chaoskit", "json", "argparse", "select"):
        (tmp_path / f"{name}.py").write_text("open('/tmp/never', 'w'); raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with Journal.create("g4", tmp_path / "state") as journal:
        guardian = Guardian.start(journal)
        assert Path(f"/proc/{guardian.pid}/cwd").readlink() == Path("/")
        guardian.goodbye()


def test_what_it_cannot_undo_stays_in_the_journal_and_its_status_says_so(tmp_path, monkeypatch):
    from chaoskit.lab.undo import Outcome

    with Journal.create("g5", tmp_path / "state") as journal:
        tries = []
        monkeypatch.setattr(guardians, "_PAUSE_S", 0.0)
        monkeypatch.setattr(guardians, "_take_over", lambda *_: None)
        monkeypatch.setattr(
            guardians,
            "undo_all",
            lambda *_, **__: (tries.append(1), [Outcome("x", "failed", "no")])[1],
        )
        assert guardians._replay(journal.path, identity_of(os.getpid())) == 5
        assert len(tries) > 1
        assert journal.path.exists()


def test_it_imports_nothing_heavy():
    code = "import sys, chaoskit.lab.guardian; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "docker", "pandas", "numpy", "locust", "gevent", "requests", "asyncio"}
    assert not heavy & set(done.stdout.split())


def test_a_kill_op_for_the_test_itself_would_be_seen():
    """The pids above are compared by identity; a wrong start time must not look alive."""
    who = identity_of(os.getpid())
    assert running(who)
    assert not running(type(who)(who.pid, who.starttime + 1, who.boot_id))
    assert KillProcess(who.pid, who.starttime, who.boot_id, "x").pid == os.getpid()
