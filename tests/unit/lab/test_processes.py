"""Single processes of a node, on a real PID namespace: who is there, who is a guest, who is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.contracts import Node
from chaoskit.lab.journal import Journal
from chaoskit.lab.process import identity_of
from chaoskit.lab.processes import NodeProcesses

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter a namespace from outside"),
]
NODE = Node("a", "198.18.0.2")
# A child, a grandchild in a session of its own, and one whose parent has ended.
FAMILY = """
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        if os.fork():
            os._exit(0)
    signal.pause()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    signal.pause()
"""


class One(NodeProcesses):
    def __init__(self, journal, first):
        super().__init__()
        self._journal, self._first = journal, first

    def first_process(self, _node):
        return self._first


@pytest.fixture
def lab(tmp_path):
    argv = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", FAMILY]
    process = subprocess.Popen(argv)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        first = wait_until(lambda: children.read_text().split() or None, within_s=20)
        with Journal.create("procs", tmp_path / "state") as journal:
            lab = One(journal, identity_of(int(first[0])))
            assert wait_until(lambda: len(lab.processes(NODE)) >= 3 or None, within_s=20)
            yield lab
    finally:
        process.kill()
        process.wait(10)


def test_who_was_put_there_from_outside_is_a_guest_and_nobody_else(lab):
    assert not any(p.guest for p in lab.processes(NODE))
    enter = ["nsenter", f"--pid=/proc/{lab.first_process(NODE).pid}/ns/pid", "--"]
    guest = subprocess.Popen([*enter, "sleep", "60"])
    try:
        found = wait_until(
            lambda: [p for p in lab.processes(NODE) if p.name == "sleep"] or None, within_s=20
        )
        assert [p.guest for p in found] == [True]
        assert [p.name for p in lab.processes(NODE) if p.guest] == ["sleep"]
        assert [p.first for p in lab.processes(NODE)].count(True) == 1
        assert lab.hang(NODE, found[0])
        assert lab.hangs(found[0])
    finally:
        guest.kill()
        guest.wait(10)
    lab.unhang(NODE, found[0])
    assert not lab._journal.open_entries()


def test_hanging_one_that_has_ended_says_so_and_leaves_nothing_to_undo(lab):
    gone = lab.processes(NODE)[-1]
    assert lab.signal_process(NODE, gone, 9)
    assert lab.hang(NODE, gone) is False
    assert not lab.hangs(gone)
    assert not lab._journal.open_entries()
