"""Whether a process is about to end is read from what the kernel says of it."""

import signal
import subprocess
from pathlib import Path

import pytest

from chaoskit.lab.process import _killed, identity_of, is_doomed

STAT = b"42 (a) b) S 1 42 42 0 -1 %d 1 0 0 0"
STATUS = "Name:\ta\nSigPnd:\t%016x\nShdPnd:\t%016x\nSigCgt:\t%016x\n"
KILL, TERM = 1 << (signal.SIGKILL - 1), 1 << (signal.SIGTERM - 1)


@pytest.mark.parametrize(
    ("flags", "own", "shared", "killed"),
    [
        (0x400100, 0, 0, False),
        (0x400500, 0, 0, True),  # a signal ended it
        (0x400104, 0, 0, False),  # it ends by itself, or only its first thread does
        (0x400100, KILL, 0, True),
        (0x400100, 0, KILL, True),
        (0x400100, TERM, TERM, False),
    ],
)
def test_sigkill_that_waits_and_one_that_struck_are_seen(flags, own, shared, killed):
    assert _killed(STAT % flags, STATUS % (own, shared, KILL)) is killed


def test_one_that_runs_is_not_doomed_and_one_that_is_gone_neither():
    with subprocess.Popen(["sleep", "60"]) as process:
        who = identity_of(process.pid)
        assert not is_doomed(who)
        stat = Path(f"/proc/{process.pid}/stat").read_bytes()
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert not _killed(stat, status)
        process.kill()
    assert not is_doomed(who)
