"""A lab that stays up: broken by hand, healed by whatever ends the hand, gone when it is told to."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from census import left, take
from support import COMMAND, chaoskit

ROOT = Path(__file__).resolve().parent.parent.parent
STACK = ROOT / "compose" / "active-passive" / "compose.yaml"
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]


class Hand:
    """The commands of somebody with a state folder of his own."""

    def __init__(self, state):
        self.env = {"XDG_STATE_HOME": str(state)}
        self.labs = state / "chaoskit-labs"

    def __call__(self, *args):
        return chaoskit(*args, env=self.env)

    def start(self, *args):
        return subprocess.Popen(
            [*COMMAND, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self.env},
        )

    def status(self):
        ran = self("lab", "status", "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)["labs"]

    def faults(self):
        return [fault["fault"] for lab in self.status() for fault in lab["faults"]]

    def keeper(self):
        return json.loads((self.labs / "active-passive" / "lab.json").read_text("utf-8"))["pid"]


def assert_soon(look, within_s=15.0):
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@pytest.fixture
def hand(tmp_path):
    before = take()
    found = Hand(tmp_path)
    up = found("lab", "up", STACK, "--lab", "sandbox")
    assert up.code == 0, up.err
    assert "chaoskit lab down" in up.out
    yield found
    found("halt", "--lift")
    if found.status():
        assert found("lab", "down").code == 0
    assert left(before) == []


def test_a_fault_by_hand_is_verified_felt_and_healed_and_the_rest_is_refused(hand):
    (lab,) = hand.status()
    assert {node["name"] for node in lab["nodes"]} == {"node-a", "node-b", "witness"}
    ran = hand("inject", "kill", "primary", "--for", "1s")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert re.match(r"kill on node-[ab]: SIGKILL .*verified after \d+ ms", lines[0])
    assert lines[1].startswith("felt from outside after")
    assert lines[2] == "healed; felt"
    for others in ("from=client,witness", "from=[client, witness]"):
        ran = hand("inject", "partition", "node-b", others, "action=reject", "--for", "1s")
        assert ran.code == 0, ran.err
        assert "cut from client, witness" in ran.out
    assert hand.faults() == []
    for args, said in (
        (("kil", "primary"), "did you mean 'kill'"),
        (("kill",), "whom does kill strike"),
        (("kill", "node-c"), "nothing in the stack is called"),
        (("kill", "primary", "--for", "5"), "unit"),
        (("kill", "primary", "sgnal=SIGTERM"), "did you mean 'signal'"),
        (("kill", "primary", "signal"), "KEY=VALUE"),
        (("kill", "primary", "--in", "nowhere"), "no lab called"),
        (("kill", "client"), "kill cannot strike it"),
        (("partition", "node-b", "from=client,witnes"), "'witnes'; did you mean 'witness'?"),
        (("partition", "node-b", "from=client witness"), "called 'client witness'"),
        (("partition", "node-b", "groups=node-a,client"), "must be a list"),
        (("partition", "node-b", "action=drop,reject"), "must be 'drop', 'reject'"),
        (("arp", "node-b", "on=link:x"), "declares no link"),
        (("approve", "node-a"), "chaoskit.operator"),
        (("kill", "primary", "for=3s"), "write --for 3s"),
        (("kill", "primary", "at=3s"), "'at' belongs to a step of an experiment"),
    ):
        wrong = hand("inject", *args)
        assert wrong.code == 2, args
        assert said in wrong.err, wrong.err
        assert "Traceback" not in wrong.err
    assert hand("lab", "up", STACK, "--lab", "sandbox").code == 2
    assert "witness on" in hand("lab", "logs", "witness").out
    assert hand("lab", "logs", "nobody").code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_hand_heals(hand, number):
    first = hand.start("inject", "pause", "node-b")
    assert_soon(lambda: hand.faults() == ["pause"])
    clash = hand("inject", "pause", "node-b", "--for", "1s")
    assert clash.code == 2
    assert "both need" in clash.err
    first.send_signal(number)
    said, _ = first.communicate(timeout=15)
    assert_soon(lambda: hand.faults() == [])
    if number != signal.SIGKILL:
        assert first.returncode == 0
        assert "healed; felt" in said


def test_a_keeper_that_is_killed_leaves_nothing(hand):
    first = hand.start("inject", "partition", "node-a")
    assert_soon(lambda: hand.faults() == ["partition"])
    os.kill(hand.keeper(), signal.SIGKILL)
    first.communicate(timeout=15)
    assert_soon(lambda: hand.status() == [])


def test_the_lever_takes_every_lab_down_and_ends_its_faults_at_once(hand):
    first = hand.start("inject", "pause", "node-b")
    assert_soon(lambda: hand.faults() == ["pause"])
    ran = hand("halt", "a", "test")
    assert ran.code == 0, ran.err
    assert "no fault is on" in ran.out
    first.communicate(timeout=15)
    assert first.returncode == 4
    assert_soon(lambda: hand.status() == [])
    assert hand("lab", "up", STACK, "--lab", "sandbox").code == 2


SLOW = """
services:
  slow:
    image: chaoskit-base
    command: [python3, -c, "import time; time.sleep(600)"]
    healthcheck:
      test: [CMD, "false"]
      interval: 1s
      retries: 600
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_lab_that_is_still_starting_is_told_of_and_ends_with_who_asked_for_it(tmp_path, ending):
    """Killed outright it cannot clean up: its keeper does when its lab cannot become healthy."""
    before = take()
    file = tmp_path / "slow" / "compose.yaml"
    file.parent.mkdir()
    file.write_text(SLOW)
    found = Hand(tmp_path / "state")
    starting = found.labs / "slow" / "starting"
    with found.start("lab", "up", file, "--lab", "sandbox") as up:
        try:
            assert_soon(starting.exists)
            assert_soon(lambda: json.loads(starting.read_text())[0] != up.pid)
            assert "slow: still starting" in found("lab", "status").out
            again = found("lab", "up", file, "--lab", "sandbox")
            assert (again.code, "is starting already" in again.err) == (2, True), again.err
            assert "slow: still starting" in found("lab", "down", "slow").err
            up.send_signal(ending)
            up.wait(60)
            if ending == signal.SIGKILL:
                assert "slow: still starting" in found("lab", "status").out, "its keeper goes on"
        finally:
            up.kill()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(json.loads(starting.read_text())[0], signal.SIGTERM)
    assert_soon(lambda: "still starting" not in found("lab", "status").out)
    assert not (found.labs / "slow").exists()
    assert_soon(lambda: left(before) == [])
