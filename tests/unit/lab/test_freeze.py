"""A PID namespace stands still, all of it and nobody else, and goes on; on real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.lab.freeze import (
    all_stopped,
    continue_one,
    is_stopped,
    members,
    resume_all,
    stop_all,
    stop_one,
)
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import ContinueProcess, ContinueProcesses
from chaoskit.lab.process import ProcessIdentity, boot_id, identity_of
from chaoskit.lab.undo import undo_all

pytestmark = pytest.mark.sandbox

# The first process of the namespace counts into a file, and so does a child in a session of its own.
COUNTERS = """
import os, signal, sys, time
signal.signal(signal.SIGCONT, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    name = sys.argv[2]
else:
    name = sys.argv[1]
n = 0
while True:
    n += 1
    with open(name + ".part", "w") as file:
        file.write(str(n))
    os.replace(name + ".part", name)
    time.sleep(0.002)
"""


@pytest.fixture
def crowd(tmp_path):
    """Two counting processes in a PID namespace of their own; yields the first one's identity."""
    files = tmp_path / "first", tmp_path / "child"
    argv = ["unshare", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        argv[1:1] = ["--user", "--map-root-user"]
    process = subprocess.Popen([*argv, sys.executable, "-c", COUNTERS, *map(str, files)])
    try:
        assert wait_until(lambda: all(f.exists() for f in files) or None, within_s=20)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield identity_of(int(children[0])), files
    finally:
        process.kill()
        process.wait()


def counts(files):
    return [int(file.read_text()) for file in files]


def still(files):
    """Nobody counts for a tenth of a second, in which they would fifty times."""
    before = counts(files)
    time.sleep(0.1)
    return counts(files) == before


def moving(files):
    before = counts(files)
    return wait_until(
        lambda: all(a > b for a, b in zip(counts(files), before, strict=True)) or None, within_s=20
    )


def test_everybody_in_there_stands_still_and_goes_on_twice_in_a_row(crowd):
    first, files = crowd
    for _ in range(2):
        assert not all_stopped(first)
        stop_all(first)
        assert all_stopped(first)
        assert still(files)
        assert resume_all(first)
        assert not all_stopped(first)
        assert moving(files)
    assert resume_all(first), "once more changes nothing"


def test_one_that_somebody_woke_is_noticed(crowd):
    first, _ = crowd
    stop_all(first)
    os.kill(first.pid, signal.SIGCONT)
    assert wait_until(lambda: not all_stopped(first) or None, within_s=20)


def test_a_journal_lets_them_go_on_whoever_reads_it(crowd, tmp_path):
    first, files = crowd
    with Journal.create("freeze", tmp_path / "state") as journal:
        op = ContinueProcesses(first.pid, first.starttime, first.boot_id)
        journal.intend(op, scope="fault")
        stop_all(first)
        (outcome,) = undo_all(journal.path, by="test", scope="fault")
    assert not outcome.failed, outcome
    assert moving(files)


def test_another_process_by_the_same_number_is_left_alone(crowd):
    first, files = crowd
    other = ProcessIdentity(first.pid, first.starttime + 1, boot_id())
    with pytest.raises(ProcessLookupError):
        stop_all(other)
    assert not resume_all(other)
    assert not all_stopped(other)
    assert moving(files)


def test_one_process_stands_still_alone_and_any_reader_of_the_journal_lets_it_go_on(
    crowd, tmp_path
):
    first, files = crowd
    child = next(pid for pid in members(first) if pid != first.pid)
    who = identity_of(child)
    with Journal.create("freeze", tmp_path / "state") as journal:
        journal.intend(ContinueProcess(who.pid, who.starttime, who.boot_id), scope="fault")
        stop_one(who)
        assert is_stopped(who)
        assert not is_stopped(first)
        assert not all_stopped(first)
        (outcome,) = undo_all(journal.path, by="test", scope="fault")
    assert not outcome.failed, outcome
    assert not is_stopped(who)
    assert moving(files)
    assert continue_one(who), "once more changes nothing"


def test_one_process_that_is_gone_or_another_by_its_number_is_left_alone(crowd):
    first, _ = crowd
    other = ProcessIdentity(first.pid, first.starttime + 1, boot_id())
    with pytest.raises(ProcessLookupError):
        stop_one(other)
    assert not continue_one(other)
    assert not is_stopped(other)
    assert not is_stopped(first)
