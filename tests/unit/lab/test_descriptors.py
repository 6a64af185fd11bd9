"""Descriptors of a process of this machine are taken away and given back, counted by the kernel."""

import os
import resource
import subprocess
import sys

import pytest

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.descriptors import FileLimit, free_number, give_back
from chaoskit.lab.limits import Resident
from chaoskit.lab.process import ProcessIdentity, identity_of

NODE = Node("a", "198.18.0.2")
# Opens as asked for, and says how many it got; "close" gives one of them back.
OPENER = """
import os, sys
held = []
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)
for line in sys.stdin:
    if line.startswith("close"):
        os.close(held.pop())
        print("closed", flush=True)
        continue
    got = 0
    for _ in range(int(line)):
        try:
            held.append(os.open("/dev/null", os.O_RDONLY))
            got += 1
        except OSError as error:
            assert error.errno == 24
    print(got, flush=True)
"""


@pytest.fixture
def opener():
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", OPENER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def ask(process, what):
    process.stdin.write(f"{what}\n")
    return process.stdout.readline().strip()


def limit_of(process, left):
    """As the lab makes it, for one process and no family."""
    who = identity_of(process.pid)
    soft = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]
    return FileLimit(NODE, who, soft, free_number(process.pid, left), left, family=False)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_so_many_are_left_and_no_more(opener, left):
    assert ask(opener, 2) == "2"
    one, place = limit_of(opener, left), Resident(identity_of(opener.pid))
    before = resource.prlimit(opener.pid, resource.RLIMIT_NOFILE)
    one.refuse(place)
    one.put(place)
    assert one.stands(place)
    assert one.met() == (left == 0)
    assert ask(opener, left + 2) == str(left)
    assert one.met()
    one.take(place)
    assert resource.prlimit(opener.pid, resource.RLIMIT_NOFILE) == before
    assert not one.stands(place)
    assert ask(opener, 5) == "5"


def test_what_is_closed_can_be_opened_again_until_the_limit_follows(opener):
    assert ask(opener, 3) == "3"
    one, place = limit_of(opener, 0), Resident(identity_of(opener.pid))
    one.put(place)
    ask(opener, "close")
    assert ask(opener, 1) == "1"
    ask(opener, "close")
    one.tighten()
    assert ask(opener, 1) == "0"
    one.tighten()  # the limit is never raised again by it
    assert ask(opener, 1) == "0"
    one.take(place)
    assert ask(opener, 1) == "1"


def test_numbers_with_gaps_are_counted_as_the_kernel_gives_them(tmp_path):
    first = free_number(os.getpid(), 0)
    with (tmp_path / "x").open("w") as file:
        high = os.dup2(file.fileno(), first + 10)
    try:
        assert free_number(os.getpid(), 0) == first
        assert free_number(os.getpid(), 9) == first + 9
        assert free_number(os.getpid(), 10) == first + 11
    finally:
        os.close(high)


def test_one_that_has_raised_its_limit_itself_keeps_it(opener):
    one, place = limit_of(opener, 0), Resident(identity_of(opener.pid))
    one.put(place)
    hard = resource.prlimit(opener.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(opener.pid, resource.RLIMIT_NOFILE, (one.ours + 7, hard))
    assert not one.stands(place)
    one.take(place)
    assert resource.prlimit(opener.pid, resource.RLIMIT_NOFILE)[0] == one.ours + 7


def test_one_that_has_less_than_that_is_refused(opener):
    one = limit_of(opener, 0)
    low = FileLimit(NODE, one.who, one.ours, one.ours, 0, family=False)
    with pytest.raises(LabError, match="0 more are no limit"):
        low.refuse(Resident(one.who))


def test_a_later_process_of_the_same_number_is_never_touched(opener):
    who = identity_of(opener.pid)
    other = ProcessIdentity(who.pid, who.starttime + 1, who.boot_id)
    before = resource.prlimit(opener.pid, resource.RLIMIT_NOFILE)
    assert give_back(other, 3, 1 << 20, family=True) is False
    assert resource.prlimit(opener.pid, resource.RLIMIT_NOFILE) == before
