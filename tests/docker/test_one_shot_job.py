"""A stack with a job that is done before anything is broken: faults and their evidence pass it by."""

import pytest
from support import ROOT

JOB = """
  once:
    image: chaoskit/reference:local
    build: *build
    command: ["python3", "-c", "print('prepared')"]
    labels: {chaoskit.endpoint: "http://:8080"}
    networks: [pair]
"""
LABS = [
    pytest.param("sandbox", marks=pytest.mark.sandbox),
    pytest.param("docker", marks=pytest.mark.docker),
]


@pytest.fixture
def stack(tmp_path):
    text = (ROOT / "compose" / "active-passive" / "compose.yaml").read_text("utf-8")
    text = text.replace("context: ../..", f"context: {ROOT}")
    job, after = f"services:{JOB}", "condition: service_completed_successfully"
    text = text.replace("services:\n", f"{job}\n", 1)
    text = text.replace("  node-b:\n", f"  node-b:\n    depends_on: {{once: {{{after}}}}}\n", 1)
    file = tmp_path / "compose.yaml"
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("lab", LABS)
def test_a_primary_is_cut_off_from_everybody_beside_it(run_until_valid, experiment, stack, lab):
    steps = "[{at: 3s, fault: partition, target: primary, for: 2s}]"
    ran = run_until_valid(experiment(stack=str(stack), steps=steps), "--lab", lab)
    assert ran.result["verdict"] == "PASS", (ran.stdout, ran.stderr)
    (fault,) = ran.result["trials"][0]["faults"]
    assert fault["node"] == "node-a"
    assert fault["bitten_ns"]
    assert fault["felt_healed_ns"]


@pytest.mark.parametrize("lab", LABS)
def test_it_is_no_target(run_until_valid, experiment, stack, lab):
    steps = "[{at: 3s, fault: kill, target: once, for: 1s}]"
    ran = run_until_valid(experiment(stack=str(stack), steps=steps), "--lab", lab)
    assert ran.result["verdict"] == "INVALID", (ran.stdout, ran.stderr)
    (reason,) = ran.result["trials"][0]["invalid_because"][:1]
    assert "kill cannot strike once: it does not run, and no step has ended it" in reason
