"""Entering namespaces: of exactly the process that is meant, and never our own network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit.errors import LabError, Refused
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.process import starttime_of

NET = "readlink /proc/self/ns/net"


def spaces_possible(*flags: str) -> bool:
    return (
        subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True).returncode
        == 0
    )


needs_namespaces = pytest.mark.skipif(
    not spaces_possible("-rn"), reason="user namespaces are denied here"
)


@pytest.fixture(params=["net", "user"])
def inside(request):
    """A process in namespaces of its own: a network, with and without a user namespace."""
    flags = "-n" if request.param == "net" else "-rn"
    if not spaces_possible(flags):
        pytest.skip("namespaces are denied here")
    argv = ["unshare", flags, "sh", "-c", "echo up; exec sleep 60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        yield child
        child.kill()


def test_a_program_runs_in_the_network_of_the_process(inside):
    with Namespaces.of(inside.pid) as spaces:
        done = spaces.run(["sh", "-c", NET])
        assert done.stdout.decode().strip() == f"net:[{spaces.inode()}]"
        assert f"net:[{spaces.inode()}]" == str(Path(f"/proc/{inside.pid}/ns/net").readlink())
    assert str(Path("/proc/self/ns/net").readlink()) not in done.stdout.decode()


def test_inside_one_may_change_the_network(inside):
    ip = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if ip is None:
        pytest.skip("ip is not installed")
    with Namespaces.of(inside.pid) as spaces:
        done = spaces.run([ip, "link", "set", "lo", "up"])
        assert done.returncode == 0, done.stderr


def test_the_namespace_stays_open_after_its_process_is_gone(inside):
    with Namespaces.of(inside.pid) as spaces:
        before = spaces.run(["sh", "-c", NET]).stdout
        inside.kill()
        inside.wait()
        assert spaces.run(["sh", "-c", NET]).stdout == before
    with pytest.raises(LabError, match="gone"):
        Namespaces.of(inside.pid)


def test_a_wrong_start_time_is_another_process(inside):
    start = starttime_of(inside.pid)
    Namespaces.of(inside.pid, start).close()
    with pytest.raises(LabError, match="gone"):
        Namespaces.of(inside.pid, start - 1)


def test_our_own_network_is_refused_and_no_descriptor_is_left_open():
    with subprocess.Popen(["sleep", "60"]) as child:
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(Refused, match="network of this host"):
            Namespaces.of(child.pid)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        child.kill()


@pytest.mark.parametrize("pid", [0, 1, -1])
def test_low_pids_are_refused(pid):
    with pytest.raises(Refused):
        Namespaces.of(pid)


def test_output_input_and_status_come_back(inside):
    with Namespaces.of(inside.pid) as spaces:
        done = spaces.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"in")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"err\n")


def test_a_program_that_does_not_end_is_killed(inside):
    with Namespaces.of(inside.pid) as spaces, pytest.raises(LabError, match="did not end"):
        spaces.run(["sleep", "60"], timeout=0.1)


def test_closed_namespaces_cannot_be_entered(inside):
    spaces = Namespaces.of(inside.pid)
    spaces.close()
    spaces.close()
    with pytest.raises(LabError, match="closed"):
        spaces.run(["true"])


def test_options_of_a_program_are_not_options_of_nsenter(inside):
    with Namespaces.of(inside.pid) as spaces:
        assert spaces.run(["echo", "--help", "-t", "1"]).stdout == b"--help -t 1\n"


def test_a_program_inside_does_not_hear_ctrl_c(inside):
    with Namespaces.of(inside.pid) as spaces:
        child = spaces.popen(["sleep", "60"])
        assert os.getsid(child.pid) == child.pid
        child.send_signal(signal.SIGKILL)
        child.wait()


@pytest.mark.unprivileged
def test_an_ordinary_user_enters_what_is_his():
    script = """
import subprocess
from chaoskit.lab.netns import Namespaces
child = subprocess.Popen(["unshare", "-rn", "sh", "-c", "echo up; exec sleep 60"], stdout=subprocess.PIPE)
child.stdout.readline()
with Namespaces.of(child.pid) as spaces:
    done = spaces.run(["sh", "-c", "id -u; readlink /proc/self/ns/net"])
    print(done.stdout.decode().split() == ["0", f"net:[{spaces.inode()}]"], done.stderr.decode())
child.kill()
"""
    package = str(Path(__file__).parents[3])
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            sys.executable,
            "-c",
            script,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": package},
    )
    if "Permission denied" in done.stderr and "python" in done.stderr:
        pytest.skip("this interpreter cannot be read by other users")
    assert done.stdout.strip() == "True", done.stderr
