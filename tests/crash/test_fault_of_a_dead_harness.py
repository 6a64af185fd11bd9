"""A harness that is frozen or killed holds no fault: the guardian undoes it, and then the lab."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.lab.docker_engine import Engine
from chaoskit.lab.docker_sweep import LABEL_RUN, leftovers, remove_run

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from sandbox_stacks import census, fresh_id

HARNESS = Path(__file__).with_name("fault_harness.py")
HEALED_S = 30.0  # the lease is 4 s; a container's start on a busy machine takes some more
GONE_S = 30.0
NOTICED_S = 2.0


@contextlib.contextmanager
def harness(kind, folder, *faults):
    run_id = fresh_id()
    process = subprocess.Popen(
        [sys.executable, str(HARNESS), kind, run_id, str(folder), json.dumps(faults)],
        stdout=subprocess.PIPE,
        env={**os.environ, "CHAOSKIT_RUN": run_id},
    )
    try:
        said = process.stdout.readline().split()
        assert said[:1] == [b"on"], "the harness did not come that far"
        other, *pids = [int(word) for word in said[2:]]
        yield process, run_id, pids, other
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if kind == "docker":
            wait_until(lambda: not leftovers(run_id), within_s=GONE_S, every_s=0.2)
            remove_run(run_id)


def states(pids):
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
    return found


def left(kind, run_id):
    return leftovers(run_id) if kind == "docker" else census(run_id)


def traces(pid, other):
    """What the three faults below leave while they are on."""
    looks = {
        "qdisc": (pid, ["tc", "qdisc", "show"], "qdisc tbf"),
        "neighbour": (other, ["ip", "neigh", "show"], "lladdr 02:ca:"),
    }
    found = set()
    for name, (inside, argv, sign) in looks.items():
        enter = ["nsenter", f"--net=/proc/{inside}/ns/net", "--"]
        done = subprocess.run([*enter, *argv], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found |= {name} if sign in done.stdout else set()
    hosts = Path(f"/proc/{pid}/root/etc/hosts").read_text("utf-8")
    return found | ({"names"} if "chaoskit_" in hosts else set())


def serves(run_id):
    """Whether the engine says that a container of service a runs and is not paused."""
    engine = Engine()
    try:
        label = [f"{LABEL_RUN}={run_id}", "com.docker.compose.service=a"]
        listed = engine.client().api.containers(filters={"label": label})
        return [one["State"] for one in listed] == ["running"]
    finally:
        engine.close()


LABS = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)


@LABS
def test_a_process_that_hangs_goes_on_when_the_harness_is_frozen(tmp_path, kind):
    with harness(kind, tmp_path, {"fault": "hang"}) as (process, run_id, pids, _):
        assert "T" in states(pids)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: "T" not in states(pids), within_s=HEALED_S)
        assert states(pids), "its lab is still there"
        process.kill()
        assert wait_until(lambda: not left(kind, run_id), within_s=GONE_S, every_s=0.1)


@pytest.mark.docker
@pytest.mark.parametrize(
    "fault", [{"fault": "stop", "grace": "100ms"}, {"fault": "remove"}, {"fault": "power-loss"}]
)
def test_a_node_that_is_gone_is_started_when_the_harness_is_frozen(tmp_path, fault):
    with harness("docker", tmp_path, fault) as (process, run_id, _pids, _):
        # The kernel shows the end of a process a moment before the engine's list does.
        assert wait_until(lambda: not serves(run_id), within_s=NOTICED_S, every_s=0.05)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: serves(run_id), within_s=HEALED_S, every_s=0.1)
        process.kill()
        assert wait_until(lambda: not leftovers(run_id), within_s=GONE_S, every_s=0.1)


OUTLIVE = (
    {"fault": "bandwidth", "rate": "1mbit/s"},
    {"fault": "arp", "on": "b"},
    {"fault": "dns", "answer": "wrong"},
)
"""Faults that the kernel or a file keeps, whoever made them: three at once, on one node."""


@LABS
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into the nodes' networks")
@pytest.mark.parametrize("frozen_first", [True, False], ids=["frozen", "killed"])
def test_what_outlives_its_maker_is_taken_out_for_it(tmp_path, kind, frozen_first):
    with harness(kind, tmp_path, *OUTLIVE) as (process, run_id, pids, other):
        assert traces(pids[0], other) == {"qdisc", "neighbour", "names"}
        if frozen_first:
            process.send_signal(signal.SIGSTOP)
            assert wait_until(lambda: not traces(pids[0], other), within_s=HEALED_S, every_s=0.1)
            assert left(kind, run_id), "its lab is still there"
        process.kill()
        assert wait_until(lambda: not left(kind, run_id), within_s=GONE_S, every_s=0.1)
        # The guardian forgets a journal only when the undo of every entry was read back.
        journals = tmp_path / "state" / run_id
        assert wait_until(lambda: not journals.exists(), within_s=GONE_S, every_s=0.05)


def busy(run_id):
    """Processes of the run whose names say that they hold up a disk, or space on one."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            ours = f"CHAOSKIT_RUN={run_id}".encode() in (folder / "environ").read_bytes()
            if ours and (folder / "comm").read_text().strip().endswith("-busy"):
                found.append(int(folder.name))
    return found


def needs_a_disk():
    from chaoskit.lab.disk import no_devices

    lacking = no_devices()
    if lacking is not None:
        pytest.skip(lacking)


@pytest.mark.sandbox
def test_a_disk_goes_on_when_the_harness_is_frozen(tmp_path):
    needs_a_disk()
    with harness("sandbox", tmp_path, {"fault": "disk-stall"}) as (process, run_id, pids, _):
        assert busy(run_id)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: not busy(run_id), within_s=HEALED_S)
        assert states(pids), "its lab is still there"
        process.kill()
        assert wait_until(lambda: not census(run_id), within_s=GONE_S, every_s=0.1), census(run_id)


@pytest.mark.sandbox
def test_nobody_hangs_on_a_disk_whose_harness_was_killed(tmp_path):
    needs_a_disk()
    with harness("sandbox", tmp_path, {"fault": "disk-stall"}) as (process, run_id, _pids, _):
        assert "D" in states(census(run_id)), "a write of ours hangs"
        process.kill()
        assert wait_until(lambda: not census(run_id), within_s=GONE_S, every_s=0.1), census(run_id)
