"""The leak counter must see: one leak of each kind is planted, and it finds every one."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import census
from netlab import keeper

RUN = "census1"
MARKED = {**os.environ, "CHAOSKIT_RUN": RUN}
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant this leak")
nft = pytest.mark.nft


def found(before, run=None):
    return {item.kind for item in census.left(before, 0, run)}


@contextlib.contextmanager
def process(*argv, **more):
    with subprocess.Popen(argv, env=MARKED, **more) as running:
        try:
            # Popen returns once the program is chosen; its environment is there a moment later.
            wait_for(lambda: running.poll() is not None or environment_of(running.pid))
            yield running
        finally:
            running.kill()


def environment_of(pid):
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def sh(*argv, **more):
    subprocess.run(argv, check=True, capture_output=True, **more)


def wait_for(look):
    deadline = time.monotonic() + 10
    while not look() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert look()


def test_nothing_planted_means_nothing_found():
    assert census.left(census.take(RUN), 0, RUN) == []
    assert census.take(RUN) == frozenset()


def test_the_census_does_not_import_what_it_counts():
    tree = ast.parse(Path(census.__file__).read_text())
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert not any(str(name).startswith("chaoskit") for name in names)


def test_a_marked_process_is_found_and_says_its_run():
    before = census.take(RUN)
    with process("sleep", "60"):
        assert found(before, RUN) == {"process"}
        assert found(before, "another") == set()
    assert census.left(before, 5, RUN) == []


def test_a_daemon_that_left_its_session_is_found():
    before = census.take(RUN)
    with process("setsid", "--fork", "sleep", "61") as parent:
        parent.wait(10)
    (item,) = census.diff(before, census.take(RUN))
    os.kill(int(item.name.partition("@")[0]), signal.SIGKILL)
    assert item.kind == "process"
    assert census.left(before, 5, RUN) == []


def test_a_stopped_process_is_found_and_called_stopped():
    before = census.take(RUN)
    with process("sleep", "60") as running:
        os.kill(running.pid, signal.SIGSTOP)
        wait_for(lambda: any("stopped" in i.detail for i in census.take(RUN)))
        assert found(before, RUN) == {"process"}


def test_a_zombie_of_a_marked_process_is_found():
    before = census.take(RUN)
    code = "import os, time\nif os.fork() == 0: os._exit(0)\nprint(flush=True); time.sleep(60)"
    with process(sys.executable, "-c", code, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        wait_for(lambda: "zombie" in found(before, RUN))
        assert "zombie" in found(before, RUN)


@nft
@root_only
def test_a_table_on_the_host_is_found():
    before = census.take(RUN)
    sh("nft", "add", "table", "inet", f"chaoskit_{RUN}")
    try:
        assert found(before, RUN) == {"nft table"}
    finally:
        sh("nft", "delete", "table", "inet", f"chaoskit_{RUN}")
    assert found(before, RUN) == set()


@nft
@root_only
def test_a_table_and_a_qdisc_in_another_namespace_are_found():
    before = census.take()
    inside = keeper()
    enter = ["nsenter", f"--net=/proc/{inside.pid}/ns/net", "--"]
    try:
        sh(*enter, "nft", "add", "table", "netdev", f"chaoskit_{RUN}")
        sh(*enter, "ip", "link", "set", "lo", "up")
        tbf = "tc qdisc add dev lo root tbf rate 1mbit burst 32kbit latency 50ms"
        sh(*enter, *tbf.split())
        assert {"nft table", "qdisc"} <= found(before)
        assert found(before, RUN) == {"nft table"}
    finally:
        inside.communicate(b"")


@root_only
@nft
def test_an_owned_table_is_found_although_nft_garbles_its_json():
    before = census.take(RUN)
    inside = keeper()
    enter = ["nsenter", f"--net=/proc/{inside.pid}/ns/net", "--"]
    with subprocess.Popen([*enter, "nft", "-i"], stdin=subprocess.PIPE) as holder:
        holder.stdin.write(b"add table inet chaoskit_census1 { flags owner; }\n")
        holder.stdin.flush()
        wait_for(lambda: "nft table" in found(before, RUN))
    assert census.left(before, 5, RUN) == []
    inside.communicate(b"")


@nft
@root_only
def test_links_and_named_namespaces_are_found():
    before = census.take()
    plants = {
        "veth": ("ip link add ckcensus0 type veth peer name ckcensus1", "ip link del ckcensus0"),
        "bridge": ("ip link add ckcensus2 type bridge", "ip link del ckcensus2"),
        "netns": ("ip netns add chaoskit-census", "ip netns del chaoskit-census"),
    }
    try:
        for plant, _ in plants.values():
            sh(*plant.split())
        names = {item.name for item in census.left(before, 0)}
        assert {"ckcensus0", "ckcensus1", "ckcensus2", "chaoskit-census"} <= names
    finally:
        for _, remove in plants.values():
            subprocess.run(remove.split(), check=False, capture_output=True)
    names = {item.name for item in census.left(before, 0)}
    assert not [name for name in names if "census" in name]


@root_only
def test_a_mount_is_found(tmp_path):
    point = tmp_path / "chaoskit-mount"
    point.mkdir()
    before = census.take()
    sh("mount", "-t", "tmpfs", "none", str(point))
    try:
        assert str(point) in {i.name for i in census.left(before, 0) if i.kind == "mount"}
    finally:
        sh("umount", str(point))


@root_only
def test_a_disk_of_ours_is_found_and_says_its_run(tmp_path):
    file = tmp_path / f"chaoskit.{RUN}.a"
    file.write_bytes(b"\0" * (1 << 20))
    before = census.take()
    argv = ("losetup", "--find", "--show", str(file))
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        (item,) = (i for i in census.left(before, 0, RUN) if i.kind == "loop device")
        assert (f"/dev/{item.name}", item.run) == (device, RUN)
    finally:
        sh("losetup", "--detach", device)


def test_a_temporary_folder_is_found():
    before = census.take()
    with tempfile.TemporaryDirectory(prefix="chaoskit-census") as folder:
        assert census.Item("temporary", folder) in census.left(before, 0)


def test_an_open_journal_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before = census.take(RUN)
    (tmp_path / "chaoskit" / RUN).mkdir(parents=True)
    assert found(before, RUN) == {"journal"}


def test_a_listener_on_more_than_loopback_is_found_and_one_on_loopback_is_not():
    before = census.take()
    with socket.create_server(("127.0.0.1", 0)) as near:
        port = f":{near.getsockname()[1]:04X}"
        assert not [i for i in census.left(before, 0) if i.name.endswith(port)]
    with socket.create_server(("0.0.0.0", 0)) as wide:
        port = f":{wide.getsockname()[1]:04X}"
        (item,) = (i for i in census.left(before, 0) if i.name.endswith(port))
        assert (item.kind, item.run) == ("listener", census.OTHERS)  # it is ours, and no run's
    listen = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process(sys.executable, "-c", listen, **pipes) as running:
        port = f":{int(running.stdout.readline()):04X}"
        (item,) = (i for i in census.take(RUN) if i.name.endswith(port))
        assert item.kind == "listener"


def test_the_script_prints_what_the_functions_find():
    with process("sleep", "60") as running:
        argv = [sys.executable, census.__file__, "--json", "--run", RUN]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert f'"{running.pid}@' in done.stdout


@pytest.fixture
def image(tmp_path):
    """A tiny image of our own: ``sleep`` and the libraries that it needs."""
    if shutil.which("ldd") is None:
        pytest.skip("ldd is not installed")
    program = shutil.which("sleep")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = [program, *(word for word in listed.split() if word.startswith("/"))]
    tar = tmp_path / "image.tar"
    sh("tar", "--dereference", "-cf", str(tar), *files)
    sh("docker", "import", str(tar), "chaoskit-census:test")
    yield program, "chaoskit-census:test"
    subprocess.run(["docker", "rmi", "chaoskit-census:test"], check=False, capture_output=True)


@pytest.mark.docker
def test_docker_objects_are_found_in_every_state(image):
    program, name = image
    label = ["--label", f"chaoskit.run={RUN}"]
    before = census.take(RUN)
    made = []

    def docker(*argv):
        done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        made.append(("rm", "-f", docker("create", *label, name, program, "60")))
        running = docker("run", "-d", "--network", "none", *label, name, program, "60")
        made.append(("rm", "-f", running))
        paused = docker("run", "-d", "--network", "none", *label, name, program, "60")
        made.append(("rm", "-f", paused))
        docker("pause", paused)
        network = docker("network", "create", "--subnet", "198.19.253.0/29", *label, "ckcensus")
        made.append(("network", "rm", network))
        made.append(("volume", "rm", docker("volume", "create", *label, "ckcensus")))
        items = census.left(before, 0, RUN)
        states = {item.detail for item in items if item.kind == "docker container"}
        assert states == {"created", "running", "paused"}
        assert {"docker network", "docker volume"} <= {item.kind for item in items}
        assert f"br-{network[:12]}" in {item.name for item in items if item.kind == "link"}
    finally:
        for argv in made:
            docker(*argv)
    assert census.left(before, 5, RUN) == []
