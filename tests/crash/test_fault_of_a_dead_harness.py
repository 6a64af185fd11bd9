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


@contextlib.contextmanager
def harness(kind, folder, fault):
    run_id = fresh_id()
    process = subprocess.Popen(
        [sys.executable, str(HARNESS), kind, run_id, str(folder), json.dumps(fault)],
        stdout=subprocess.PIPE,
        env={**os.environ, "CHAOSKIT_RUN": run_id},
    )
    try:
        said = process.stdout.readline().split()
        assert said[:1] == [b"on"], "the harness did not come that far"
        yield process, run_id, [int(word) for word in said[2:]]
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


def serves(run_id):
    """Whether the engine says that a container of service a runs and is not paused."""
    engine = Engine()
    try:
        label = [f"{LABEL_RUN}={run_id}", "com.docker.compose.service=a"]
        listed = engine.client().api.containers(filters={"label": label})
        return [one["State"] for one in listed] == ["running"]
    finally:
        engine.close()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def test_a_process_that_hangs_goes_on_when_the_harness_is_frozen(tmp_path, kind):
    with harness(kind, tmp_path, {"fault": "hang"}) as (process, run_id, pids):
        assert "T" in states(pids)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: "T" not in states(pids), within_s=HEALED_S)
        assert states(pids), "its lab is still there"
        process.kill()
        look = (lambda: leftovers(run_id)) if kind == "docker" else (lambda: census(run_id))
        assert wait_until(lambda: not look(), within_s=GONE_S, every_s=0.1), look()


@pytest.mark.docker
@pytest.mark.parametrize("fault", [{"fault": "stop", "grace": "100ms"}, {"fault": "remove"}])
def test_a_node_that_is_gone_is_started_when_the_harness_is_frozen(tmp_path, fault):
    with harness("docker", tmp_path, fault) as (process, run_id, _pids):
        assert not serves(run_id)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: serves(run_id), within_s=HEALED_S, every_s=0.1)
        process.kill()
        assert wait_until(lambda: not leftovers(run_id), within_s=GONE_S, every_s=0.1)


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
    with harness("sandbox", tmp_path, {"fault": "disk-stall"}) as (process, run_id, pids):
        assert busy(run_id)
        process.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: not busy(run_id), within_s=HEALED_S)
        assert states(pids), "its lab is still there"
        process.kill()
        assert wait_until(lambda: not census(run_id), within_s=GONE_S, every_s=0.1), census(run_id)


@pytest.mark.sandbox
def test_nobody_hangs_on_a_disk_whose_harness_was_killed(tmp_path):
    needs_a_disk()
    with harness("sandbox", tmp_path, {"fault": "disk-stall"}) as (process, run_id, _pids):
        assert "D" in states(census(run_id)), "a write of ours hangs"
        process.kill()
        assert wait_until(lambda: not census(run_id), within_s=GONE_S, every_s=0.1), census(run_id)
