"""Commands, requests and the death of one process: felt by an observer, taken back, in both labs."""

import sys
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.contracts import Targets
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.exec import Exec
from chaoskit.faults.hang import Hang
from chaoskit.faults.http import Http
from chaoskit.faults.kill import Kill
from chaoskit.lab.docker import DockerLab
from chaoskit.lab.journal import Journal
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import ROOT, write_stack
from operator_cases import CASES, SWITCH, observer_of
from sandbox_stacks import fresh_id, lab_of, server


def stack(folder):
    (folder / "switch.py").write_text(SWITCH)
    return write_stack(
        folder,
        f"""
        services:
          a:
            image: chaoskit/reference
            build: {{context: {ROOT}, dockerfile: compose/images/reference/Dockerfile}}
            command: [python3, /switch.py]
            volumes: ["./switch.py:/switch.py:ro"]
            labels: {{chaoskit.endpoint: "http://:8080"}}
        """,
    )


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def lab(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operator")
    if request.param == "sandbox":
        with lab_of(folder, server("a", SWITCH)) as lab:
            lab.up()
            yield lab
        return
    run_id = fresh_id()
    (folder / "run").mkdir()
    with Journal.create(run_id, folder / "state") as journal:
        lab = DockerLab(stack(folder), run_id, folder / "run", journal)
        lab.up()
        try:
            yield lab
        finally:
            lab.down()
            journal.close()


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.kind)
def test_what_it_does_is_seen_from_outside_and_taken_back_twice(lab, fault):
    child, felt = observer_of(lab, fault)
    try:
        check_fault(fault, lab, ["a"], felt=felt)
    finally:
        child.close()


def targets(lab):
    return Targets((lab.node("a"),))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Exec(argv=("sh", "-c", "echo no such luck; exit 3"), harmless=True), "3, 'no such luck'"),
        (
            Exec.model_validate({"argv": ["sleep", "60"], "harmless": True, "timeout": "200ms"}),
            "no end within 200ms",
        ),
        (Http(method="GET", path="/nothing-there", harmless=True), "status 404"),
        (Http(method="GET", path="/", port=81, harmless=True), "refused"),
    ],
)
def test_what_did_not_work_is_not_verified_and_says_why(lab, fault, said):
    with fault.inject(lab, targets(lab)) as hold:
        assert hold.verified_ns is None
        assert said in hold.detail
    sleepers = [p for p in lab.processes(lab.node("a")) if p.line == "sleep 60"]
    assert sleepers == []


def test_an_undo_that_fails_is_not_passed_over(lab):
    fault = Exec(argv=("true",), undo=("false",))
    said = "false did not undo it on a: status 1"
    with pytest.raises(HealFailed, match=said), fault.inject(lab, targets(lab)) as hold:
        assert hold.verified_ns is not None
    call = Http.model_validate({"method": "GET", "path": "/", "undo": UNDO_NOTHING})
    said = "did not undo it on a: status 501"
    with pytest.raises(HealFailed, match=said), call.inject(lab, targets(lab)):
        pass


UNDO_NOTHING = {"method": "PATCH", "path": "/"}


@pytest.mark.parametrize("fault", [Kill(process="nobody-here"), Hang(process="nobody-*")])
def test_a_name_that_no_process_has_is_an_error_and_touches_nothing(lab, fault):
    before = lab.identity(lab.node("a"))
    said = r"no process of a is called 'nobody-.*there runs.*python3"
    with pytest.raises(LabError, match=said), fault.inject(lab, targets(lab)):
        pass
    assert lab.identity(lab.node("a")) == before


def test_only_the_named_process_hangs_and_it_goes_on(lab):
    fault = Hang.model_validate({"process": "*the-worker", "felt_at": "nowhere"})
    assert wait_until(
        lambda: any(p.line.endswith("the-worker") for p in lab.processes(lab.node("a"))),
        within_s=10,
    )
    with fault.inject(lab, targets(lab)) as hold:
        assert hold.verified_ns is not None
        states = {p.line: lab.hangs(p) for p in lab.processes(lab.node("a"))}
        assert [hung for line, hung in states.items() if line.endswith("the-worker")] == [True]
        assert sum(states.values()) == 1
    assert hold.verified_ns is not None
    assert not any(lab.hangs(p) for p in lab.processes(lab.node("a")))
