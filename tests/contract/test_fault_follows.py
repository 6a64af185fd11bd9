"""A fault follows the service: through our own restarts without a gap, and never healed in silence.

Real labs, the real injector, and a peer that tries to connect all the while.
"""

import contextlib
import os
import random
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.experiment.model import Step
from chaoskit.faults.hang import Hang
from chaoskit.faults.kill import Kill
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause
from chaoskit.injection import Injector
from chaoskit.instruments import DialBoard, RoleBoard
from chaoskit.lab.docker import DockerLab
from chaoskit.lab.journal import Journal
from chaoskit.lab.netfilter import Netfilter

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
sys.path.insert(0, str(Path(__file__).parents[1] / "docker"))
from docker_stacks import web_pair
from sandbox_stacks import fresh_id, lab_of, server

PARTITION = Partition.model_validate({"from": ["b"]})
# Tries without a pause, so that a service that answers for a few milliseconds is caught at it.
TRY = """
import json, socket, sys, threading
told, address = {"opened": 0, "tried": 0}, sys.argv[1]
def answer():
    for _ in sys.stdin:
        print(json.dumps(told), flush=True)
def dial():
    while True:
        with socket.socket() as link:
            link.settimeout(0.05)
            told["tried"] += 1
            try:
                link.connect((address, 8080))
                told["opened"] += 1
            except OSError:
                threading.Event().wait(0.001)
threading.Thread(target=dial, daemon=True).start()
answer()
"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def lab(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("follows")
    if request.param == "sandbox":
        with lab_of(folder, server("a"), server("b")) as lab:
            lab.up()
            yield lab
        return
    run_id = fresh_id()
    (folder / "run").mkdir()
    with Journal.create(run_id, folder / "state") as journal:
        lab = DockerLab(web_pair(folder), run_id, folder / "run", journal)
        lab.up()
        try:
            yield lab
        finally:
            lab.down()
            journal.close()


@pytest.fixture
def injector(lab):
    """``injector(fault, ...)``: each fault a step on node a; everything is healed afterwards."""
    made = []

    def make(*faults):
        steps = [Step.model_validate({"at": "0s", "target": "a", "fault": f}) for f in faults]
        roles, dials, incidents = RoleBoard([], {"a": None, "b": None}), DialBoard(lab), []
        experiment = SimpleNamespace(steps=tuple(steps), max_targets=None)
        it = Injector(
            experiment, lab, roles, dials, random.Random(1), incidents.append, lambda *_: None
        )
        made.append((it, dials))
        return SimpleNamespace(it=it, incidents=incidents)

    yield make
    for it, dials in made:
        it.heal_all()
        dials.close()
    if lab.identity(lab.node("a")) is None:
        lab.start(lab.node("a"))


@contextlib.contextmanager
def trying(lab):
    """How often the peer b could connect to a since this began."""
    child = lab.spawn(lab.node("b"), ["python", "-c", TRY, lab.node("a").address])

    def told():
        child.send({})
        return child.receive(10)

    try:
        assert wait_until(lambda: told()["tried"] > 1, within_s=20)
        yield told
    finally:
        child.close()


def restart_by_hand(lab):
    """As an operator would, past the harness."""
    node = lab.node("a")
    if lab.name == "docker":
        lab._engine.client().api.restart(lab._id(node), timeout=0)
    else:
        os.kill(lab.first_pid(node), signal.SIGKILL)
        assert wait_until(lambda: lab.identity(node) is None, within_s=10)
        lab.start(node)


def test_a_cut_holds_without_a_gap_through_our_own_kill_and_start(lab, injector):
    rig = injector(PARTITION, Kill())
    with trying(lab) as told:
        assert wait_until(lambda: told()["opened"], within_s=20)
        rig.it.inject(0)
        before = told()["opened"]
        rig.it.inject(1)
        rig.it.heal(1)
        answers = lab.spawn(lab.node("observer"), ["python", "-c", TRY, lab.node("a").address])
        try:  # the new incarnation serves, but not its peer
            assert wait_until(lambda: answers.send({}) or answers.receive(5)["opened"], within_s=20)
        finally:
            answers.close()
        rig.it.look()
        since = told()
        assert since["opened"] == before
        rig.it.heal(0)
        assert wait_until(lambda: told()["opened"] > before, within_s=20)
    assert rig.incidents == []
    assert all(record.verified_ns for record in rig.it.records())


def test_a_cut_that_is_not_put_back_is_an_incident(lab, injector, monkeypatch):
    if lab.name == "sandbox":
        pytest.skip("here a node's network outlives its processes: there is nothing to put back")
    rig = injector(PARTITION, Kill())
    rig.it.inject(0)
    rig.it.inject(1)

    def fails(*_):
        raise LabError("planted")

    monkeypatch.setattr(Netfilter, "renew", fails)
    rig.it.heal(1)
    monkeypatch.undo()
    assert "partition was not in force again on a before a" in rig.incidents[0]


def test_a_cut_whose_peers_could_not_be_shielded_is_an_incident(lab, injector, monkeypatch):
    if lab.name == "sandbox":
        pytest.skip("here a node's network outlives its processes: there is nothing to shield")
    rig = injector(PARTITION, Kill())
    rig.it.inject(0)
    rig.it.inject(1)
    real = Netfilter.cut

    def fails(*_):
        raise LabError("planted")

    monkeypatch.setattr(Netfilter, "cut", fails)
    rig.it.heal(1)
    monkeypatch.setattr(Netfilter, "cut", real)
    assert "partition was not in force again on a before a" in rig.incidents[0]


@pytest.mark.parametrize("fault", [PARTITION, Pause(), Hang()], ids=lambda fault: fault.kind)
def test_a_restart_by_hand_is_never_a_silent_heal(lab, injector, fault):
    rig = injector(fault)
    rig.it.inject(0)
    restart_by_hand(lab)
    rig.it.heal(0)
    assert len(rig.incidents) == 1
    assert f"a was restarted by somebody else while {fault.kind} was on it" in rig.incidents[0]
    if fault is not PARTITION or lab.name == "docker":
        assert rig.it.records()[0].verified_ns is None


def test_a_cut_outlives_a_kill_that_is_still_on(lab, injector):
    rig = injector(PARTITION, Kill())
    rig.it.inject(0)
    rig.it.inject(1)
    rig.it.heal(0)
    rig.it.heal(1)
    assert rig.incidents == []
    assert all(record.verified_ns for record in rig.it.records())
    with trying(lab) as told:
        assert wait_until(lambda: told()["opened"], within_s=20)
