"""However a run dies, nothing of it is left: killed at every point, frozen, with its guardian.

The harness here is a small one (``harness.py``); the whole product is put through the same by the
sandbox and docker tests. What is left is counted by the census, which knows nothing of chaoskit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaoskit.lab.heal import heal
from chaoskit.lab.journal import read_journal

sys.path.insert(0, str(Path(__file__).parents[1]))
import census

pytestmark = [
    pytest.mark.nft,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make bare network namespaces"),
    pytest.mark.timeout(300),
]
HARNESS = str(Path(__file__).with_name("harness.py"))
LEASE_S = 1.0
GONE_WITHIN_S = 10.0


class Harness:
    def __init__(self, state: Path, run: str, *more: object, lease: float = 30.0):
        self.state, self.run = state, run
        argv = [sys.executable, HARNESS, str(state), run, str(lease), *map(str, more)]
        environment = {**os.environ, "CHAOSKIT_RUN": run, "XDG_STATE_HOME": str(state.parent)}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.said: list[str] = []

    def until_partition(self) -> list[int]:
        """The guardian's pid and those of the holders."""
        self.said = self.process.stdout.readline().split()
        assert self.said[0] == "partition"
        return list(map(int, self.said[1:]))

    def end(self) -> int:
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


def left(run: str, state: Path, within_s: float = GONE_WITHIN_S) -> list[str]:
    """What is left of the run, its journal included; the quick looks first, then everything."""
    deadline = time.monotonic() + within_s
    while True:
        items = [str(path) for path in (state / run,) if path.exists()]
        items += [str(item) for item in census.processes() if item.run == run]
        if not items:
            items = [str(item) for item in census.take(run)]
        if not items or time.monotonic() > deadline:
            return items
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    """Only journals are healed here: an engine may hold what a killed test session left on it."""
    monkeypatch.setattr("chaoskit.lab.docker_sweep.find_runs", dict)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "chaoskit"


def points(state: Path) -> int:
    """How many points there are: found out by a run to the end, not chosen."""
    harness = Harness(state, "count")
    out = harness.process.stdout.read()
    assert harness.end() == 0
    assert left("count", state) == []
    return int(out.split()[-1])


def test_sigkill_at_every_point_leaves_nothing(state):
    many = points(state)
    assert many > 40

    def one(number: int) -> list[str]:
        harness = Harness(state, f"p{number}", number, signal.SIGKILL.value)
        assert harness.process.wait(60) == -signal.SIGKILL
        harness.end()
        return left(f"p{number}", state)

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(range(1, many + 1), pool.map(one, range(1, many + 1)), strict=True))
    assert {number: items for number, items in found.items() if items} == {}
    assert heal(roots=[state]) == []


def test_sigkill_at_random_moments_leaves_nothing(state):
    dice = random.Random(42)

    def one(number: int) -> list[str]:
        harness = Harness(state, f"r{number}")
        time.sleep(dice.uniform(0.1, 1.2))
        harness.process.kill()
        harness.end()
        return left(f"r{number}", state)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(20)))
    # Between the journal's first line and the guardian's first look nothing has been done yet:
    # a kill in that moment leaves a journal without an entry, and the next heal tidies it away.
    bare = [str(state / f"r{number}") for number in range(20)]
    assert [items for items in found if items and not set(items) <= set(bare)] == []
    for items in found:
        for folder in items:
            assert read_journal(Path(folder) / "journal.jsonl").entries == ()
    assert not any(healed.failed for healed in heal(roots=[state]))
    assert [path for path in state.glob("*") if path.is_dir()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_harness_leaves_nothing(state, number):
    harness = Harness(state, "sig", -1, 0)
    harness.until_partition()
    harness.process.send_signal(number)
    assert harness.end() != 0
    assert left("sig", state) == []


def test_what_ends_the_harness_does_not_end_its_guardian(state):
    harness = Harness(state, "grp", -1, 0)
    guardian, *_ = harness.until_partition()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        os.kill(guardian, number)
    assert os.getpgid(guardian) != os.getpgid(harness.process.pid)
    harness.process.kill()
    harness.end()
    assert left("grp", state) == []


def test_a_frozen_harness_cannot_hold_a_fault_but_keeps_its_lab(state):
    harness = Harness(state, "ice", -1, 0, lease=LEASE_S)
    guardian, *_ = harness.until_partition()
    time.sleep(2 * LEASE_S)
    assert tables("ice")  # an idle harness that beats is not frozen
    harness.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while tables("ice") and time.monotonic() - began < GONE_WITHIN_S:
        time.sleep(0.02)
    assert not tables("ice")
    assert time.monotonic() - began > 0.5 * LEASE_S
    kinds = {item.detail for item in census.take("ice") if item.kind == "process"}
    assert "sleep" in kinds  # the lab itself
    assert heal(roots=[state]) == []  # and it is nobody else's to heal
    assert Path(f"/proc/{guardian}").exists()
    harness.process.kill()
    harness.end()
    assert left("ice", state) == []


def test_a_harness_that_thaws_ends_in_good_order(state):
    harness = Harness(state, "thaw", -1, 0, lease=LEASE_S)
    harness.until_partition()
    harness.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while tables("thaw") and time.monotonic() - began < GONE_WITHIN_S:
        time.sleep(0.02)
    harness.process.send_signal(signal.SIGCONT)
    harness.process.stdin.close()  # go on: join, close, undo, goodbye
    assert harness.process.stdout.read().startswith("points")
    assert harness.end() == 0
    assert left("thaw", state) == []


def test_harness_and_guardian_killed_the_partition_goes_by_itself_and_heal_does_the_rest(state):
    harness = Harness(state, "both", -1, 0)
    guardian, *_ = harness.until_partition()
    assert tables("both")
    os.kill(guardian, signal.SIGKILL)
    harness.process.kill()
    harness.end()
    deadline = time.monotonic() + GONE_WITHIN_S
    while tables("both") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not tables("both")  # the kernel, with no help
    assert left("both", state, 0) != []  # the rest is still there: this test can fail
    plan = heal(roots=[state], dry_run=True)
    assert [one.run_id for one in plan] == ["both"]
    assert any("end process" in what for what in plan[0].planned)
    assert left("both", state, 0) != []  # and a dry run changed nothing
    (healed,) = heal(roots=[state])
    assert not healed.failed
    assert left("both", state, 0) == []
    assert heal(roots=[state]) == []


def test_healing_touches_no_live_run(state):
    live = Harness(state, "live", -1, 0)
    dead = Harness(state, "dead", -1, 0)
    live.until_partition()
    guardian, *_ = dead.until_partition()
    os.kill(guardian, signal.SIGKILL)
    dead.process.kill()
    dead.end()
    before = census.take("live")
    assert [one.run_id for one in heal(roots=[state])] == ["dead"]
    assert left("dead", state, 0) == []
    assert census.diff(census.take("live"), before) == []
    assert tables("live")
    live.process.stdin.close()
    assert live.process.stdout.read().startswith("points")
    assert live.end() == 0


def test_eight_runs_at_once_do_not_undo_each_other(state):
    runs = [Harness(state, f"many{i}", -1, 0) for i in range(8)]
    for run in runs:
        run.until_partition()
    for run in runs[::2]:
        run.process.kill()
    for run in runs[::2]:
        run.end()
        assert left(run.run, state) == []
    assert heal(roots=[state]) == []
    for run in runs[1::2]:
        assert tables(run.run)
        run.process.stdin.close()
        assert run.process.stdout.read().startswith("points")
        assert run.end() == 0
        assert left(run.run, state) == []


def tables(run: str) -> bool:
    return any(item.kind == "nft table" and item.run == run for item in census.rules())
