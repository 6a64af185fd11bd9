"""The faults that limit a node keep their promises in the Docker lab, and leave other limits be."""

import json
import sys
from pathlib import Path

import pytest

from chaoskit.contracts import Targets
from chaoskit.faults.cpu import Cpu
from chaoskit.faults.memory import Memory
from chaoskit.lab.cgroups import group_of
from chaoskit.lab.needs import missing, unmet
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import ROOT, docker_lab, write_stack
from fault_cases import name_of
from resource_cases import CASES, CLOCK_ENVIRONMENT, FAKETIME, WORKER, Observer

pytestmark = pytest.mark.docker
HAS_FAKETIME = Path(FAKETIME).is_dir()


def stack(folder):
    """One worker, with limits of its own; libfaketime is this machine's, of the same Debian."""
    lines = [f"- {FAKETIME}:{FAKETIME}:ro"] if HAS_FAKETIME else []
    mounts = "".join(f"\n              {line}" for line in lines)
    environment = CLOCK_ENVIRONMENT if HAS_FAKETIME else {}
    return write_stack(
        folder,
        f"""
        services:
          a:
            image: chaoskit/reference
            build:
              context: {ROOT}
              dockerfile: compose/images/reference/Dockerfile
            command: {json.dumps(["python3", "-c", WORKER])}
            labels: {{chaoskit.endpoint: "http://:8080"}}
            environment: {json.dumps(environment)}
            cpus: 1.5
            mem_limit: 600m
            volumes: {"[]" if not lines else ""}{mounts}
        """,
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with docker_lab(folder, stack(folder)) as lab:
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_it_bites_and_heals_twice_and_the_node_itself_says_so(lab, case):
    fault, felt = case
    lacking = unmet(fault, lab)
    if lacking is None and fault.kind == "clock":
        lacking = missing("libfaketime", object())  # this machine's, which the container mounts
    if lacking is not None:
        pytest.skip(lacking)
    check_fault(fault, lab, ["a"], felt=getattr(Observer(lab), felt))


def test_the_limits_that_a_container_has_are_restored_exactly(lab):
    node = lab.node("a")
    pid = lab.first_pid(node)

    def limits():
        return {kind: group_of(pid, kind).limit() for kind in ("cpu", "memory")}

    before = limits()
    assert before["cpu"] == "150000 100000"
    assert int(before["memory"]) == 600 << 20
    spare = Memory.model_validate({"spare": "64m"})
    with (
        Cpu(cpus=0.5).inject(lab, Targets((node,))),
        spare.inject(lab, Targets((node,))),
    ):
        during = limits()
        assert during["cpu"] == "50000 100000"
        assert int(during["memory"]) < 600 << 20
    assert limits() == before
