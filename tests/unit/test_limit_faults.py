"""The faults that limit a node: what they ask for, what they refuse, when they have bitten."""

import pytest
from pydantic import ValidationError
from unit.fakelab import FakeLab

from chaoskit import resources
from chaoskit.contracts import OBSERVER, Targets
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.clock import Clock
from chaoskit.faults.cpu import Cpu
from chaoskit.faults.fd_exhaustion import FdExhaustion
from chaoskit.faults.memory import Memory
from chaoskit.stack.label_words import LabelError, a_clock, clock_problem


class Limiting(FakeLab):
    """Limits are notes; ``met`` is what the kernel would count, ``holds`` what it would read."""

    def __init__(self, *, holds=True, off_s=0.0, stuck=False):
        super().__init__()
        self.on, self.met, self.holds, self.tightened = {}, False, holds, 0
        self.off_s, self.stuck, self.ahead = off_s, stuck, {}

    def limit(self, limits):
        self.on["h"] = tuple(limits)
        return "h"

    def limited(self, handle):
        return self.holds and handle in self.on

    def limit_met(self, handle):
        return self.met and handle in self.on

    def tighten(self, handle):
        self.tightened += 1

    def unlimit(self, handle):
        self.on.pop(handle)

    def shift_clock(self, shifts):
        self.ahead = {one.node.name: one.offset_s for one in shifts}
        return "h"

    def move_clock(self, handle, offset_s):
        self.ahead = dict.fromkeys(self.ahead, offset_s)

    def clock_shifted(self, handle):
        return bool(self.ahead)

    def clock_offset(self, node):
        return self.ahead.get(node.name, 0.0) * (1 - self.off_s) + 0.004

    def unshift_clock(self, handle):
        self.ahead = {} if not self.stuck else self.ahead


def on(lab, *names):
    return Targets(tuple(lab.node(name) for name in names))


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        (Cpu, {}),
        (Cpu, {"cpus": 0}),
        (Cpu, {"cpus": -0.1}),
        (Cpu, {"cpus": float("nan")}),
        (Cpu, {"cpus": 0.009}),  # 0.9 ms of 100 ms
        (Cpu, {"cpus": 0.5, "period": "900us"}),
        (Cpu, {"cpus": 0.5, "period": "1001ms"}),
        (FdExhaustion, {"left": -1}),
        (FdExhaustion, {"left": 1_000_001}),
        (Memory, {"limit": "64m", "spare": "1m"}),
        (Memory, {"limit": "1023k"}),
        (Memory, {"spare": "1023k"}),
        (Memory, {"limit": "64 mice"}),
        (Clock, {}),
        (Clock, {"jump": "199ms"}),
        (Clock, {"jump": "4000d"}),
        (Clock, {"drift": "110%"}),
        (Clock, {"jump": "1s", "way": "sideways"}),
    ],
)
def test_what_cannot_be_meant_is_refused(fault, data):
    with pytest.raises(ValidationError):
        fault.model_validate(data)


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        (Cpu(cpus=0.01), {"quota_us": 1000, "period_us": 100_000}),
        (Cpu.model_validate({"cpus": 2, "period": "1s"}), {"quota_us": 2_000_000}),
        (Cpu.model_validate({"cpus": 1, "period": "1ms"}), {"quota_us": 1000, "period_us": 1000}),
        (Memory(), {"limit": None, "spare": 16 << 20, "fill": False}),
        (Memory.model_validate({"limit": "1m"}), {"limit": 1 << 20}),
        (Memory.model_validate({"spare": "1m", "fill": True}), {"spare": 1 << 20, "fill": True}),
        (FdExhaustion(), {"left": 0}),
        (FdExhaustion(left=7), {"left": 7}),
    ],
)
def test_what_is_asked_of_the_lab_and_gone_afterwards(fault, limit):
    lab = Limiting()
    with fault.inject(lab, on(lab, "a", "b")) as hold:
        assert [one.node.name for one in lab.on["h"]] == ["a", "b"]
        assert all(
            getattr(one, key) == value for one in lab.on["h"] for key, value in limit.items()
        )
        assert hold.verified_ns is not None
        hold.tend()
        hold.tend()  # not again within a twentieth of a second
        assert lab.tightened == 1
    assert lab.on == {}
    assert hold.verified_ns is not None
    assert hold.heal_commanded_ns <= hold.healed_ns


def test_it_has_bitten_when_the_kernel_says_so_and_not_before():
    lab = Limiting()
    with Cpu(cpus=0.1).inject(lab, on(lab, "a")) as hold:
        assert not hold.outside
        assert not hold.felt()
        lab.met = True
        assert hold.felt()


def test_without_a_descriptor_a_connection_shows_it_and_with_some_left_the_kernel():
    lab = Limiting()
    with FdExhaustion().inject(lab, on(lab, "a")) as hold:
        assert [(dial.source, dial.target) for dial in hold.dials] == [(OBSERVER, "a")]
        assert all(dial.poke for dial in hold.dials)
        assert hold.felt is None
    with FdExhaustion(left=2).inject(lab, on(lab, "a")) as hold:
        assert hold.dials == ()
        assert hold.felt is not None


def test_a_limit_that_cannot_be_read_back_is_not_verified():
    lab = Limiting(holds=False)
    with Cpu(cpus=0.1).inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None


@pytest.mark.parametrize("fault", [Cpu(cpus=0.1), Memory(), FdExhaustion()])
def test_a_limit_that_somebody_else_took_away_loses_its_verification(fault):
    lab = Limiting()
    with fault.inject(lab, on(lab, "a")) as hold:
        lab.holds = False
    assert hold.verified_ns is None
    assert "not in force any more" in hold.detail


def test_a_node_that_the_kernel_ended_for_memory_is_started_again_and_the_fault_held():
    lab = Limiting()
    with Memory().inject(lab, on(lab, "a")) as hold:
        assert hold.may_end
        lab.incarnation["a"], lab.holds = None, False
    assert hold.verified_ns is not None
    assert ("start", "a") in lab.done


@pytest.mark.parametrize(
    "fault", [Cpu(cpus=0.1), Memory(), FdExhaustion(), Clock.model_validate({"jump": "1m"})]
)
def test_the_labs_own_nodes_are_never_limited(fault):
    lab = Limiting()
    with (
        pytest.raises(LabError, match="the lab's own node"),
        fault.inject(lab, on(lab, OBSERVER)),
    ):
        pass
    assert lab.on == {}


def test_a_jump_is_verified_by_reading_the_clock():
    lab = Limiting()
    with Clock.model_validate({"jump": "1m", "way": "behind"}).inject(lab, on(lab, "a")) as hold:
        assert lab.ahead == {"a": -60.0}
        assert hold.verified_ns is not None
    assert hold.verified_ns is not None
    assert lab.ahead == {}


def test_a_clock_that_did_not_move_is_found_out(monkeypatch):
    monkeypatch.setattr("chaoskit.faults.clock._READ_S", 0.05)
    lab = Limiting(off_s=1.0)
    with Clock.model_validate({"jump": "1m"}).inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None
    assert "not as wrong as it should be" in hold.detail


def test_a_clock_that_does_not_go_right_again_is_said(monkeypatch):
    monkeypatch.setattr("chaoskit.faults.clock._READ_S", 0.05)
    lab = Limiting(stuck=True)
    with (
        pytest.raises(HealFailed, match="does not read right"),
        Clock.model_validate({"jump": "1m"}).inject(lab, on(lab, "a")),
    ):
        pass


def test_a_drift_grows_by_what_was_asked_for():
    assert Clock.model_validate({"drift": "10%"}).offset_s(20) == pytest.approx(2)
    behind = Clock.model_validate({"jump": "1s", "drift": "50%", "way": "behind"})
    assert (behind.offset_s(0), behind.offset_s(2)) == (-1.0, -2.0)


def test_every_limit_names_its_node():
    node = FakeLab().node("a")
    for one in (
        resources.Cpu(node, 1000, 1000),
        resources.Memory(node),
        resources.Descriptors(node),
    ):
        assert one.node is node


GOOD = {
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "FAKETIME_TIMESTAMP_FILE": "/tmp/faketime",
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


def test_a_service_that_has_all_that_the_label_says_is_taken():
    assert a_clock("faketime") == "faketime"
    assert clock_problem(GOOD) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"LD_PRELOAD": "libc.so.6"}, "LD_PRELOAD"),
        ({"FAKETIME_TIMESTAMP_FILE": "faketime"}, "FAKETIME_TIMESTAMP_FILE"),
        ({"FAKETIME_TIMESTAMP_FILE": "/tmp/../etc/x"}, "FAKETIME_TIMESTAMP_FILE"),
        ({"FAKETIME_TIMESTAMP_FILE": "/tmp/a b"}, "FAKETIME_TIMESTAMP_FILE"),
        ({"FAKETIME_NO_CACHE": ""}, "FAKETIME_NO_CACHE"),
        ({"FAKETIME_DONT_FAKE_MONOTONIC": "0"}, "FAKETIME_DONT_FAKE_MONOTONIC"),
        ({"FAKETIME": "+1d"}, "leave it out"),
    ],
)
def test_one_that_lacks_something_is_told_before_the_run(change, said):
    assert said in clock_problem({**GOOD, **change})


def test_an_unknown_way_to_shift_a_clock_is_refused():
    with pytest.raises(LabelError, match="write faketime"):
        a_clock("timens")
