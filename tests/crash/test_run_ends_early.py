"""A run that is ended early, at any moment and however rudely, leaves nothing behind."""

import contextlib
import random
import signal
import subprocess

import census
import pytest
from support import Running, newest_run

LABS = [
    pytest.param("sandbox", marks=pytest.mark.sandbox),
    pytest.param("docker", marks=pytest.mark.docker),
]
GONE_WITHIN_S = 10.0
pytestmark = pytest.mark.timeout(240)


def left_by(run, before):
    """What this run left, or what appeared beside it and cannot be attributed to another."""
    return [item for item in census.left(before, GONE_WITHIN_S) if item.run in (run, None)]


def start(experiment, lab, out):
    return Running(experiment(), "--lab", lab, "--trials", 1, "--seed", 3, out=out)


def mark(run):
    return run.run_mark().decode().partition("=")[2]


@pytest.mark.parametrize("lab", LABS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_heals_reports_and_exits_with_its_number(experiment, tmp_path, lab, number):
    before = census.take()
    run = start(experiment, lab, tmp_path / "out")
    run.wait_for("kill -> ", within_s=90)
    name = mark(run)
    run.send(number)
    code = run.finish(within_s=60)
    assert code == 128 + number, "".join(run.lines)
    assert left_by(name, before) == []
    result = run.result()
    assert (result["verdict"], result["exit_code"]) == ("INTERRUPTED", code)
    assert (newest_run(run.out) / "report.html").exists()
    assert (newest_run(run.out) / "journal.jsonl").exists()


@pytest.mark.parametrize("lab", LABS)
def test_a_killed_harness_leaves_nothing_while_a_fault_is_on(experiment, tmp_path, lab):
    before = census.take()
    run = start(experiment, lab, tmp_path / "out")
    run.wait_for("kill -> ", within_s=90)
    name = mark(run)
    run.send(signal.SIGKILL)
    run.finish(within_s=10)
    assert left_by(name, before) == []


@pytest.mark.parametrize("lab", LABS)
def test_a_killed_harness_leaves_nobody_standing_still(experiment, tmp_path, lab):
    before = census.take()
    file = experiment(steps="[{at: 3s, fault: pause, target: primary, for: 3s}]")
    run = Running(file, "--lab", lab, "--trials", 1, "--seed", 3, out=tmp_path / "out")
    run.wait_for("pause -> ", within_s=90)
    name = mark(run)
    run.send(signal.SIGKILL)
    run.finish(within_s=10)
    assert left_by(name, before) == []


@pytest.mark.sandbox
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_harness_leaves_nothing_at_any_moment(experiment, tmp_path, seed):
    before = census.take()
    run = start(experiment, "sandbox", tmp_path / "out")
    run.wait_for("trial 1 of 1")
    moment = random.Random(seed).uniform(0.05, 9.0)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(moment)
    name = mark(run) if run.process.poll() is None else None
    run.send(signal.SIGKILL)
    run.finish(within_s=10)
    assert left_by(name, before) == []


@pytest.mark.sandbox
def test_a_second_signal_skips_the_report_but_never_the_heal(experiment, tmp_path):
    before = census.take()
    run = start(experiment, "sandbox", tmp_path / "out")
    run.wait_for("kill -> ")
    name = mark(run)
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    code = run.finish(within_s=60)
    assert code in (130, 143)
    assert left_by(name, before) == []
