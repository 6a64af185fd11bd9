"""The faults against a lab of plain objects: intervals, evidence, and heals that never forget."""

import signal
import time

import pytest
from unit.fakelab import FakeLab

from chaoskit.capabilities import CAPABILITIES, Action, Direction
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Targets
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.crash_loop import CrashLoop
from chaoskit.faults.ending import _kill_if_there
from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause
from chaoskit.faults.remove import Remove
from chaoskit.faults.restart import Restart


def on(lab, *names, **others):
    return Targets(
        tuple(lab.node(n) for n in names),
        {key: tuple(lab.node(n) for n in value) for key, value in others.items()},
    )


@pytest.mark.parametrize("fault", [Kill(), Partition(), Noop()], ids=lambda f: f.kind)
def test_a_fault_is_an_interval_in_order(fault):
    lab = FakeLab()
    with fault.inject(lab, on(lab, "a")) as hold:
        assert hold.commanded_ns <= hold.acknowledged_ns <= hold.verified_ns
        assert hold.healed_ns is None
    assert hold.verified_ns <= hold.heal_commanded_ns <= hold.healed_ns


def test_a_fault_that_says_it_ends_by_itself_is_healed_before_anybody_heals_it():
    lab = FakeLab()
    lab.stopping = lambda _: (signal.SIGTERM, 1.0)
    fault = Restart(down_s="20ms")
    assert (fault.ends_itself, Kill.ends_itself) == (True, False)
    with fault.inject(lab, on(lab, "a")) as hold:
        assert wait_until(lambda: hold.tend() or hold.healed_ns, within_s=5.0)
        healed_ns = hold.healed_ns
        assert healed_ns is not None
    assert hold.healed_ns == healed_ns


@pytest.mark.parametrize("fault", [Kill(), Partition()], ids=lambda f: f.kind)
def test_leaving_by_an_error_heals_too(fault):
    lab = FakeLab()
    with pytest.raises(ZeroDivisionError), fault.inject(lab, on(lab, "a")):
        raise ZeroDivisionError
    assert lab.identity(lab.node("a")) is not None
    assert lab.cut_now == {}


def test_kill_sends_the_signal_to_every_target_and_starts_each_again():
    lab = FakeLab()
    with Kill(signal="TERM").inject(lab, on(lab, "a", "b")):
        assert lab.done == [("kill", "a", signal.SIGTERM), ("kill", "b", signal.SIGTERM)]
    assert lab.done[2:] == [("start", "a"), ("start", "b")]


@pytest.mark.parametrize(
    ("fault", "module"), [(Kill(), "kill"), (CrashLoop(), "crash_loop")], ids=["kill", "crash-loop"]
)
def test_what_it_takes_to_see_the_end_is_no_part_of_what_the_kill_took(monkeypatch, fault, module):
    """An engine that is asked takes its time, while the system has long begun to fail over."""

    def asked(*_):
        time.sleep(0.2)
        return True

    monkeypatch.setattr(f"chaoskit.faults.{module}.all_gone", asked)
    lab = FakeLab()
    with fault.inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns - hold.acknowledged_ns >= 0.19 * 1e9
        assert hold.acknowledged_ns - hold.commanded_ns < 0.1 * 1e9


@pytest.mark.parametrize("fault", [Kill(), CrashLoop(), Remove()], ids=lambda fault: fault.kind)
def test_a_kill_is_acknowledged_when_its_signal_is_delivered(fault):
    """What is left of a container takes a while to go; its clients are cut off long before."""

    class Slow(FakeLab):
        def kill(self, node, signal):
            told_ns = super().kill(node, signal)
            time.sleep(0.2)
            return told_ns

        def prepare_removal(self, node):
            """Nothing to do."""

        def remove(self, node):
            return self.kill(node, signal.SIGKILL)

        def restore(self, node):
            self.start(node)

    lab = Slow()
    with fault.inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns - hold.acknowledged_ns >= 0.19 * 1e9
        assert hold.acknowledged_ns - hold.commanded_ns < 0.1 * 1e9


def test_a_kill_that_leaves_a_process_is_not_verified(monkeypatch):
    lab = FakeLab()
    monkeypatch.setattr("chaoskit.faults.kill.all_gone", lambda *_: False)
    lab.kill = lambda _node, _signal: now_ns()
    with Kill().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None


def test_a_node_that_does_not_start_again_is_said_and_the_others_are_started():
    lab = FakeLab(starts=False)
    said = r"a: no such program.*b: no such program"
    with pytest.raises(HealFailed, match=said), Kill().inject(lab, on(lab, "a", "b")):
        pass
    assert [entry for entry in lab.done if entry[0] == "start"] == [("start", "a"), ("start", "b")]


def test_a_kill_is_dialled_from_the_observer():
    lab = FakeLab()
    with Kill().inject(lab, on(lab, "a")) as hold:
        (dial,) = hold.dials
    assert (dial.source, dial.target, dial.port) == ("observer", "a", 8080)


def test_by_default_a_partition_cuts_off_everybody_but_the_observer():
    lab = FakeLab()
    with Partition().inject(lab, on(lab, "a")) as hold:
        ((_word, cuts),) = lab.done
        assert [peer.name for peer in cuts[0].peers] == ["b", "w", "client"]
        assert {dial.source for dial in hold.dials} == {"b", "w", "client"}
        assert all(dial.target == "a" for dial in hold.dials)


def test_a_partition_from_named_sides_cuts_only_those():
    fault = Partition.model_validate({"from": ["backup"], "direction": "send", "action": "reject"})
    assert fault.selectors() == {"from": ("backup",)}
    lab = FakeLab()
    with fault.inject(lab, on(lab, "a", **{"from": ["b", "a"]})):
        ((_word, cuts),) = lab.done
    assert [peer.name for peer in cuts[0].peers] == ["b"]
    assert (cuts[0].direction, cuts[0].action) == (Direction.SEND, Action.REJECT)


def test_a_partition_that_somebody_else_healed_loses_its_verification():
    lab = FakeLab()
    with Partition().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is not None
        lab.cut_now["h"] = False
    assert hold.verified_ns is None
    assert "gone before the heal" in hold.detail


def test_a_cut_that_is_not_there_is_not_verified():
    lab = FakeLab(cuts_hold=False)
    with Partition().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None


def test_a_pause_stands_still_and_goes_on_and_is_poked_from_the_observer():
    lab = FakeLab()
    with Pause().inject(lab, on(lab, "a", "b")) as hold:
        assert hold.verified_ns is not None
        assert lab.standing == {"a", "b"}
        assert {(d.source, d.target, bool(d.poke)) for d in hold.dials} == {
            ("observer", "a", True),
            ("observer", "b", True),
        }
    assert lab.standing == set()
    assert hold.heal_commanded_ns <= hold.healed_ns
    assert hold.verified_ns is not None


def test_a_pause_that_somebody_else_ended_loses_its_verification():
    lab = FakeLab()
    with Pause().inject(lab, on(lab, "a")) as hold:
        lab.standing.clear()
    assert hold.verified_ns is None
    assert "ran again before the heal" in hold.detail


def test_a_pause_that_does_not_end_is_said_and_the_others_go_on():
    lab = FakeLab(starts=False)
    with (
        pytest.raises(HealFailed, match=r"a: it stands still; b: it"),
        Pause().inject(lab, on(lab, "a", "b")),
    ):
        pass
    assert [one for one in lab.done if one[0] == "resume"] == [("resume", "a"), ("resume", "b")]


def test_every_need_names_a_capability_that_the_lab_can_be_asked_for():
    for fault in (Kill(), Partition(), Pause(), Noop()):
        assert all(isinstance(FakeLab(), CAPABILITIES[need]) for need in fault.needs)
    assert not isinstance(object(), CAPABILITIES["kill"])


@pytest.mark.parametrize("gone", [True, False])
def test_a_node_that_ends_by_itself_between_a_look_and_the_signal_is_no_problem(monkeypatch, gone):
    monkeypatch.setattr("chaoskit.faults.ending.all_gone", lambda *_: gone)
    lab = FakeLab()

    def kill(node, signal):
        raise LabError(f"{node.name} is not running")

    lab.kill = kill
    if gone:
        _kill_if_there(lab, lab.node("a"))
        return
    with pytest.raises(LabError, match="not running"):
        _kill_if_there(lab, lab.node("a"))
