"""SIGKILL of the harness: the load dies with it, and the guardian removes the lab."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.lab.docker_sweep import MARK, leftovers, remove_run

sys.path.insert(0, str(Path(__file__).parent))
from docker_stacks import sleepers

pytestmark = pytest.mark.docker

HARNESS = Path(__file__).parent / "harness.py"
LOAD_DEAD_S = 0.5 * 3  # the promise, times what a machine busy with other tests may add
GONE_S = 10.0


@pytest.fixture
def harness(tmp_path):
    """Start the harness on two sleeping services; it and its guardian are ended afterwards."""
    run_id = f"h{os.getpid() % 100_000}{int(time.monotonic() * 1000) % 1_000_000}"
    stack = sleepers(tmp_path, a="", b="depends_on: [a]")
    process = subprocess.Popen(
        [sys.executable, str(HARNESS), run_id, str(tmp_path), str(stack.file)],
        stdout=subprocess.PIPE,
        env={**os.environ, "CHAOSKIT_RUN": run_id},
    )
    process.run_id, process.folder = run_id, tmp_path
    process.guardian = int(process.stdout.readline().split()[1])
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
    if not wait_until(lambda: not leftovers(run_id) or None, within_s=30, every_s=0.2):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.guardian, signal.SIGKILL)
    remove_run(run_id)


def await_line(process, word):
    for line in process.stdout:
        if line.split() == [word.encode()]:
            return
    raise AssertionError(f"the harness ended before it said {word}")


def compose_at_work(run_id):
    mark = f"{MARK}={run_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def test_the_load_stops_within_half_a_second_and_the_lab_is_gone_within_ten(harness):
    await_line(harness, "up")
    assert len(leftovers(harness.run_id)) == 5
    beats = [harness.folder / "run" / name for name in ("beat", "beat-beside")]
    before = [int(beat.read_text()) for beat in beats]
    killed_ns = time.monotonic_ns()
    harness.kill()
    gone = wait_until(lambda: not leftovers(harness.run_id) or None, within_s=GONE_S)
    took_s = (time.monotonic_ns() - killed_ns) / 1e9
    assert gone, leftovers(harness.run_id)
    for beat, earlier in zip(beats, before, strict=True):
        last = int(beat.read_text())
        assert last > earlier, "it was busy until the end"
        assert (last - killed_ns) / 1e9 < LOAD_DEAD_S, beat.name
    print(f"all gone after {took_s:.2f} s")


def test_the_load_dies_with_the_harness_even_without_a_guardian(harness):
    await_line(harness, "up")
    beats = [harness.folder / "run" / name for name in ("beat", "beat-beside")]
    os.kill(harness.guardian, signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    harness.kill()
    time.sleep(LOAD_DEAD_S + 0.5)
    for beat in beats:
        assert (int(beat.read_text()) - killed_ns) / 1e9 < LOAD_DEAD_S, beat.name
    # The next day's heal finds the rest by its label.
    assert leftovers(harness.run_id)
    remove_run(harness.run_id)
    assert leftovers(harness.run_id) == ()


@pytest.mark.parametrize("after_s", [0.0, 0.4, 0.9, 1.5])
def test_a_harness_killed_while_the_stack_comes_up_leaves_nothing(harness, after_s):
    await_line(harness, "prepared")
    time.sleep(after_s)
    harness.kill()
    gone = wait_until(
        lambda: not (compose_at_work(harness.run_id) or leftovers(harness.run_id)) or None,
        within_s=GONE_S,
    )
    assert gone, (compose_at_work(harness.run_id), leftovers(harness.run_id))
    # Nothing may come late either: what was under way in the engine has ended.
    time.sleep(1.0)
    assert leftovers(harness.run_id) == ()
