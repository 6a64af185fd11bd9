"""What a service finds in the sandbox, what it can change, and in which order services come up."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from sandbox_stacks import TINY_SERVER, census, fresh_id, lab_of, python, server

from chaoskit.contracts import CLIENT
from chaoskit.errors import LabError, Refused
from chaoskit.lab import sandbox_start
from chaoskit.stack.model import Healthcheck, Mount, Service

pytestmark = pytest.mark.sandbox

REPORT = """
import grp, json, os, pathlib, socket
def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError as error:
        return type(error).__name__
print(json.dumps({
    "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(), "host": socket.gethostname(),
    "cwd": os.getcwd(), "env": dict(os.environ), "hosts": read("/etc/hosts"),
    "processes": [p for p in os.listdir("/proc") if p.isdigit()], "run": os.listdir("/run"),
    "dev": sorted(os.listdir("/dev")), "devices": [n for _, n in socket.if_nameindex()],
    "routes": read("/proc/net/route").count("\\n") - 1, "down": "%s",
}), flush=True)
"""


def report(lab, name: str, folder: Path) -> dict:
    """What the service ``name`` has printed first."""
    lab.save_logs(str(folder / "logs"))
    return json.loads((folder / "logs" / f"{name}.log").read_text().splitlines()[0])


def test_a_service_finds_what_its_file_says_and_nothing_of_the_harness(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET_OF_THE_HARNESS", "hunter2")
    one = server(
        "one",
        REPORT + TINY_SERVER,
        environment={"COLOUR": "blue"},
        working_dir="/var/lib/new-folder",
    )
    with lab_of(tmp_path, one, server("two")) as lab:
        lab.up()
        seen = report(lab, "one", tmp_path)
        assert seen["pid"] == 1
        assert seen["host"] == "one"
        assert seen["cwd"] == "/var/lib/new-folder"
        assert seen["env"]["COLOUR"] == "blue"
        assert "A_SECRET_OF_THE_HARNESS" not in seen["env"]
        assert len(seen["processes"]) <= 2  # itself, and a healthcheck perhaps
        assert f"{lab.node('two').address} two" in seen["hosts"]
        assert seen["run"] == []
        assert "mem" not in seen["dev"]
        assert "null" in seen["dev"]
        assert sorted(seen["devices"]) == ["eth0", "lo"]
        assert seen["routes"] == 1  # its own network, and no default
    assert not Path("/var/lib/new-folder").exists()


def test_a_service_is_told_its_hostname_and_finds_others_by_their_other_names(tmp_path):
    one = server("one", REPORT + TINY_SERVER, hostname="alpha")
    two = server("two", aliases={"default": ("db", "pg-1")})
    with lab_of(tmp_path, one, two) as lab:
        lab.up()
        seen = report(lab, "one", tmp_path)
        assert (seen["host"], seen["env"]["HOSTNAME"]) == ("alpha", "alpha")
        assert f"{lab.node('one').address} one alpha" in seen["hosts"]
        assert f"{lab.node('two').address} two db pg-1" in seen["hosts"]
        assert lab.node("two").aliases == ("db", "pg-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_service_runs_as_the_user_that_its_file_names(tmp_path):
    one = server(
        "one",
        REPORT + "open('/data/mine', 'w').close()" + TINY_SERVER,
        user="nobody",
        mounts=(Mount("/data", "data", "volume"),),
    )
    with lab_of(tmp_path, one) as lab:
        lab.up()
        seen = report(lab, "one", tmp_path)
        assert (seen["uid"], seen["gid"]) == (65534, 65534)


def test_no_file_of_the_host_changes_whatever_a_service_writes(tmp_path):
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "precious").write_text("before")
    code = """
import os, pathlib
for path in ("/etc/written-by-a-service", "/data/inside", "/new-folder/deep/inside", "/run/x"):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text("x")
for path in ("/etc/hostname", "/shown/precious", "/proc/sys/kernel/hostname"):
    try:
        pathlib.Path(path).write_text("changed")
    except OSError:
        pass
print("written", flush=True)
"""
    hostname = Path("/etc/hostname").read_text()
    one = server(
        "one",
        code + TINY_SERVER,
        mounts=(
            Mount("/data", "data", "volume"),
            Mount("/shown", str(shown), "bind", read_only=True),
        ),
    )
    with lab_of(tmp_path, one) as lab:
        lab.up()
        lab.save_logs(str(tmp_path / "logs"))
        assert "written" in (tmp_path / "logs" / "one.log").read_text()
    for path in ("/etc/written-by-a-service", "/data", "/new-folder", "/run/x"):
        assert not Path(path).exists()
    assert Path("/etc/hostname").read_text() == hostname
    assert (shown / "precious").read_text() == "before"


def test_a_bind_mount_is_the_hosts_folder_and_a_single_file_can_be_one(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "one-file").write_text("from the host")
    code = """
import pathlib
pathlib.Path("/conf/answer").write_text(pathlib.Path("/opt/new/place.txt").read_text())
"""
    one = server(
        "one",
        code + TINY_SERVER,
        mounts=(
            Mount("/conf", str(tmp_path / "conf")),
            Mount("/opt/new/place.txt", str(tmp_path / "one-file"), read_only=True),
        ),
    )
    with lab_of(tmp_path, one) as lab:
        lab.up()
    assert (tmp_path / "conf" / "answer").read_text() == "from the host"
    assert not Path("/opt/new").exists()


def test_volumes_are_shared_and_outlive_a_kill_and_tmpfs_does_not(tmp_path):
    code = """
import json, pathlib
def count(folder):
    pathlib.Path(folder, "x").open("a").write("x")
    return len(pathlib.Path(folder, "x").read_text())
print(json.dumps([count("/shared"), count("/own"), count("/scratch"), count("/etc")]), flush=True)
"""
    mounts = (
        Mount("/shared", "shared", "volume"),
        Mount("/own", None, "volume"),
        Mount("/scratch", None, "tmpfs"),
    )
    services = [server(name, code + TINY_SERVER, mounts=mounts) for name in ("one", "two")]
    services[1] = server(
        "two", code + TINY_SERVER, mounts=mounts, depends_on={"one": "service_healthy"}
    )
    with lab_of(tmp_path, *services) as lab:
        lab.up()
        assert report(lab, "one", tmp_path) == [1, 1, 1, 1]
        assert report(lab, "two", tmp_path) == [2, 1, 1, 1]
        lab.kill(lab.node("one"), signal.SIGKILL)
        lab.start(lab.node("one"))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            lab.save_logs(str(tmp_path / "logs"))
            lines = (tmp_path / "logs" / "one.log").read_text().splitlines()
            if len(lines) == 2:
                break
            time.sleep(0.05)
        assert json.loads(lines[1]) == [3, 2, 1, 2]


def test_with_init_the_first_process_reaps_and_ends_with_the_program(tmp_path):
    code = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.05)
    os._exit(0)
os.wait()
time.sleep(0.5)
states = [open(f"/proc/{p}/stat").read().split()[2] for p in os.listdir("/proc") if p.isdigit()]
print(os.getpid() != 1, "Z" in states, flush=True)
"""
    one = server("one", code + TINY_SERVER, init=True)
    with lab_of(tmp_path, one) as lab:
        lab.up()
        lab.save_logs(str(tmp_path / "logs"))
        assert (tmp_path / "logs" / "one.log").read_text() == "True False\n"
        lab.kill(lab.node("one"), signal.SIGTERM)  # passed on; the program has no handler
        deadline = time.monotonic() + 20
        while lab.identity(lab.node("one")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lab.identity(lab.node("one")) is None


# ---------------------------------------------------------------- order and failure


def test_a_service_waits_for_what_it_depends_on(tmp_path):
    shared = (Mount("/shared", "shared", "volume"),)
    mark = "import os, time; time.sleep({}); open('/shared/{}', 'w').close()\n"
    see = "import os; print(sorted(os.listdir('/shared')), flush=True)\n"
    prepare = Service("prepare", command=python(mark.format(0.3, "prepared")), mounts=shared)
    first = server(
        "first",
        see + mark.format(0.3, "first") + TINY_SERVER,
        mounts=shared,
        depends_on={"prepare": "service_completed_successfully"},
    )
    second = server(
        "second", see + TINY_SERVER, mounts=shared, depends_on={"first": "service_healthy"}
    )
    # Named in the wrong order on purpose.
    with lab_of(tmp_path, second, first, prepare) as lab:
        lab.up()
        lab.save_logs(str(tmp_path / "logs"))
        assert (tmp_path / "logs" / "first.log").read_text() == "['prepared']\n"
        assert (tmp_path / "logs" / "second.log").read_text() == "['first', 'prepared']\n"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            Service("bad", command=python("print('no disk', flush=True); raise SystemExit(7)")),
            r"(?s)service bad ended with status 7 while.*no disk",
        ),
        (
            Service("bad", command=("no-such-program",)),
            "service bad.*cannot execute no-such-program",
        ),
        (
            Service("bad", command=python("import os; os.kill(os.getpid(), 11)"), init=True),
            "service bad ended with status 139",
        ),
        (
            server("bad", healthcheck=Healthcheck(("no-such-check",))),
            "healthcheck of service bad cannot be run.*no-such-check",
        ),
        (
            Service("bad", command=("x",), depends_on={"worse": "service_started"}),
            "circle or to nobody: bad",
        ),
    ],
)
def test_a_service_that_fails_while_starting_is_named_and_nothing_is_left(tmp_path, bad, says):
    run_id = fresh_id()
    with lab_of(tmp_path, server("good"), bad, run_id=run_id) as lab:
        with pytest.raises(LabError, match=says):
            lab.up()
        assert not census(run_id)
        lab.down()


def test_a_service_that_never_gets_healthy_is_named_with_its_last_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox_start, "LEAST_HEALTH_S", 0.5)
    check = Healthcheck(python("raise SystemExit('still warming up')"), 0.05, 0.3, 2)
    hanging = Healthcheck(python("import time; time.sleep(60)"), 0.05, 0.2, 2)
    for healthcheck, last in ((check, "still warming up"), (hanging, "no answer within 0.2 s")):
        run_id = fresh_id()
        with lab_of(tmp_path, server("bad", healthcheck=healthcheck), run_id=run_id) as lab:
            with pytest.raises(LabError, match=f"service bad did not become healthy.*{last}"):
                lab.up()
            assert not census(run_id)


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (Service("x"), "service x: command is required"),
        (Service("x", command=("y",), user="nobody-so-called"), "nobody-so-called"),
        (
            Service("x", command=("y",), mounts=(Mount("/a", "/no/such/folder"),)),
            "/no/such/folder does not exist",
        ),
    ],
)
def test_what_the_sandbox_cannot_honour_is_refused_before_anything_starts(tmp_path, service, says):
    with pytest.raises(Refused, match=says), lab_of(tmp_path, service):
        pass


def test_what_the_stack_refuses_the_lab_refuses(tmp_path):
    with (
        pytest.raises(Refused, match=r"compose\.yaml:3:1: devices"),
        lab_of(tmp_path, server("a"), sandbox_refusals=("compose.yaml:3:1: devices are refused",)),
    ):
        pass


def test_a_stop_signal_that_is_handled_gets_its_time_and_one_that_is_not_costs_none(tmp_path):
    polite = """
import signal, sys, time
def stop(*_):
    time.sleep(0.2)
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGUSR1, stop)
"""
    services = (server("polite", polite + TINY_SERVER, stop_signal="SIGUSR1"), server("deaf"))
    with lab_of(tmp_path, *services) as lab:
        lab.up()
        lab.down()
        lab.save_logs(str(tmp_path / "logs"))
        assert (tmp_path / "logs" / "polite.log").read_text() == "bye\n"
        assert not (tmp_path / "run" / "lab-logs").exists()


def test_nodes_of_different_networks_do_not_reach_each_other(tmp_path):
    services = (
        server("left", networks={"x": "198.18.7.20"}),
        server("right", networks={"y": None}),
        server("both", networks={"x": None, "y": None}),
    )
    dial = (
        "import json, socket, sys\n"
        "def opens(host):\n"
        "    try: socket.create_connection((host, 8080), 1).close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(json.dumps({h: opens(h) for h in sys.argv[1:]}), flush=True)\n"
    )
    with lab_of(tmp_path, *services, networks=("x", "y")) as lab:
        lab.up()
        assert lab.node("left").address == "198.18.7.20"
        everyone = ["left", lab.node("right").address, "both"]
        for place, expected in (("left", [True, False, True]), (CLIENT, [True, True, True])):
            child = lab.spawn(lab.node(place), ["python", "-c", dial, *everyone])
            assert child.receive(30) == dict(zip(everyone, expected, strict=True))
            child.close()
