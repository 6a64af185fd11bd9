"""The main job as a user runs it: real processes, in the sandbox lab."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import Running

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

FAULT_FIELDS = {
    "fault",
    "target",
    "node",
    "commanded_ns",
    "acknowledged_ns",
    "verified_ns",
    "bitten_ns",
    "healed_ns",
}


def test_a_killed_primary_fails_over_and_the_result_says_by_how_much(experiment, run_until_valid):
    ran = run_until_valid(experiment(), "--lab", "sandbox", "--seed", 5)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("PASS short")
    assert ran.out.strip().endswith("report.html")
    result = ran.result
    assert result["schema_version"] == 1
    assert (result["experiment"], result["lab"], result["seed"]) == ("short", "sandbox", 5)
    (fault,) = ran.trial()["faults"]
    assert set(fault) >= FAULT_FIELDS
    assert fault["target"] == "primary"
    assert fault["node"] == "node-a"
    assert (
        fault["commanded_ns"]
        <= fault["acknowledged_ns"]
        <= fault["verified_ns"]
        < fault["healed_ns"]
    )
    assert fault["commanded_ns"] <= fault["bitten_ns"] < fault["healed_ns"]
    metrics = ran.trial()["metrics"]
    outage = metrics["client_outage"]
    assert 0 < outage["low_s"] <= outage["value_s"] <= outage["high_s"]
    assert metrics["failover_time"]["value_s"] > 0
    assert metrics["recovery"] == "failover"
    assert metrics["dropped_requests"]["count"] > 0
    assert metrics["lost_writes"]["count"] == 0
    for tally in metrics["tally"].values():
        assert tally["due"] == sum(n for name, n in tally.items() if name != "due")


def test_a_stored_run_is_judged_to_the_same_result_from_its_records_alone(
    experiment, run_until_valid, command, tmp_path
):
    ran = run_until_valid(experiment(), "--lab", "sandbox")
    copy = tmp_path / "copy"
    shutil.copytree(ran.folder, copy)
    for made in ("result.json", "report.html", "summary.md", "junit.xml"):
        (copy / made).unlink()
    again = command("judge", copy)
    assert again.code == ran.code, again.err
    assert json.loads((copy / "result.json").read_text()) == ran.result
    assert (copy / "report.html").stat().st_size < 1_000_000
    assert (copy / "junit.xml").exists()


def test_a_partition_of_the_primary_is_verified_and_felt_and_loses_nothing(
    experiment, run_until_valid
):
    steps = "[{at: 3s, fault: partition, target: primary, for: 2s}]"
    ran = run_until_valid(experiment(steps=steps), "--lab", "sandbox")
    assert ran.code == 0, ran.err
    (fault,) = ran.trial()["faults"]
    assert fault["verified_ns"] is not None
    assert fault["bitten_ns"] > fault["acknowledged_ns"]
    assert ran.trial()["metrics"]["lost_writes"]["count"] == 0


@pytest.mark.parametrize(
    ("length", "recovery"),
    [
        pytest.param("120ms", {"in-place restart", "none"}, id="below the detector's threshold"),
        pytest.param("2s", {"failover"}, id="above it"),
    ],
)
def test_a_pause_is_felt_and_decides_by_its_length(experiment, run_until_valid, length, recovery):
    steps = f"[{{at: 3s, fault: pause, target: primary, for: {length}}}]"
    file = experiment(steps=steps, thresholds="[lost_writes == 0, dual_primary == 0]")
    ran = run_until_valid(file, "--lab", "sandbox")
    assert ran.code == 0, ran.err
    (fault,) = ran.trial()["faults"]
    assert fault["verified_ns"] is not None
    assert fault["acknowledged_ns"] < fault["bitten_ns"] < fault["healed_ns"]
    assert fault["felt_healed_ns"] > fault["bitten_ns"]
    assert ran.trial()["metrics"]["recovery"] in recovery


def test_two_primaries_are_proven_by_their_own_acknowledgements(experiment, run_until_valid):
    steps = "[{at: 3s, fault: partition, target: primary, from: [backup, witness], for: 2s}]"
    file = experiment(steps=steps, run_for="7s", thresholds="[dual_primary == 0]")
    sound = run_until_valid(file, "--lab", "sandbox")
    assert sound.code == 0, sound.err
    split = run_until_valid(file, "--lab", "sandbox", env={"CHAOSKIT_DEFECT": "no-fencing"})
    assert (split.code, split.result["verdict"]) == (1, "FAIL"), split.err
    found = split.trial()["metrics"]
    assert 0.5 < found["dual_primary"]["low_s"] <= found["dual_primary"]["high_s"] < 7
    assert found["fencing_latency"]["value_s"] > found["dual_primary"]["low_s"]
    assert found["lost_writes"]["count"] > 0


def test_nothing_injected_shows_nothing(experiment, run_until_valid):
    thresholds = "[client_outage < 50ms, dropped_requests < 1%, lost_writes == 0]"
    steps = "[{at: 3s, fault: noop}]"
    file = experiment(steps=steps, run_for="5s", thresholds=thresholds)
    ran = run_until_valid(file, "--lab", "sandbox")
    assert ran.code == 0, ran.err
    assert ran.trial()["metrics"]["client_outage"]["value_s"] == 0
    assert ran.trial()["metrics"]["dropped_requests"]["count"] == 0


def test_a_service_that_ends_by_itself_before_the_fault_is_told_of_and_not_blamed_on_it(
    experiment, run_until_valid, tmp_path
):
    """Nobody asks it for a role, so that only its process shows that it has gone."""
    pair = (ROOT / "compose" / "active-passive" / "compose.yaml").read_text("utf-8")
    gone = "  helper: {command: [sh, -c, 'sleep 2; exit 3'], labels: {chaoskit.data: 'false'}}\n"
    (tmp_path / "compose.yaml").write_text(pair.replace("services:\n", f"services:\n{gone}", 1))
    ran = run_until_valid(experiment(stack="compose.yaml"), "--lab", "sandbox")
    assert (ran.code, ran.result["verdict"]) == (1, "FAIL"), ran.err
    assert "helper had ended by itself before the first step" in ran.out
    assert ran.trial()["metrics"]["recovery"] == "failover"


def test_a_failover_time_where_nothing_failed_over_is_invalid_not_a_pass(
    experiment, run_until_valid
):
    steps = "[{at: 3s, fault: noop}]"
    file = experiment(steps=steps, run_for="4s", thresholds="[failover_time < 5s]")
    ran = run_until_valid(file, "--lab", "sandbox")
    assert (ran.code, ran.result["verdict"]) == (3, "INVALID"), ran.err
    assert "failover_time" in " ".join(ran.trial()["invalid_because"])


def test_a_backup_that_never_takes_over_fails_with_the_outage_censored(experiment, run_until_valid):
    file = experiment(steps="[{at: 3s, fault: kill, target: primary}]", run_for="6s")
    ran = run_until_valid(file, "--lab", "sandbox", env={"CHAOSKIT_DEFECT": "never-promotes"})
    assert (ran.code, ran.result["verdict"]) == (1, "FAIL"), ran.err
    outage = ran.trial()["metrics"]["client_outage"]
    assert outage["censored"]
    assert outage["value_s"] > 1


def test_acknowledged_writes_that_are_lost_are_named(experiment, run_until_valid):
    file = experiment(thresholds="[lost_writes == 0]")
    ran = run_until_valid(
        file, "--lab", "sandbox", env={"CHAOSKIT_DEFECT": "acks-before-replicating"}
    )
    assert (ran.code, ran.result["verdict"]) == (1, "FAIL"), ran.err
    lost = ran.trial()["metrics"]["lost_writes"]
    assert lost["count"] > 0
    example = lost["examples"][0]
    finals = [np.load(p) for p in (ran.folder / "trials").glob("*/final/*.npy")]
    assert all(example["token"] not in table[:, 0] for table in finals)
    assert example["acknowledged_ns"] > 0


def test_a_run_whose_load_died_is_invalid(experiment, tmp_path):
    run = Running(experiment(), "--lab", "sandbox", "--trials", 1, out=tmp_path / "out")
    run.wait_for("kill -> ")
    run.kill_child("chaoskit.load.child")
    code = run.finish(within_s=120)
    result = run.result()
    first = result["trials"][0]
    assert first["verdict"] == "INVALID"
    assert "load" in " ".join(first["invalid_because"])
    assert code in (0, 3)  # the repeat of an invalid trial may well pass


@pytest.mark.skipif(not os.environ.get("CI"), reason="slow; the demo itself, in CI only")
@pytest.mark.timeout(400)
def test_the_experiments_of_the_demo_pass(run_until_valid):
    for name in ("active-passive-kill", "active-passive-partition", "active-passive-noop"):
        ran = run_until_valid(ROOT / "experiments" / f"{name}.yaml", "--lab", "sandbox")
        assert ran.code == 0, ran.err
