"""The faults of disks against a lab of plain objects: what counts as evidence, and every heal."""

from dataclasses import replace

import pytest
from pydantic import ValidationError
from unit.fakelab import FakeLab

from chaoskit.clock import now_ns
from chaoskit.contracts import Targets
from chaoskit.disks import DISK_LABEL, Blackout, DiskTrial, Room
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.disk_full import DiskFull
from chaoskit.faults.disk_slow import DiskSlow
from chaoskit.faults.disk_stall import DiskStall
from chaoskit.faults.power_loss import PowerLoss

SIZE = 32 << 20


class DiskLab(FakeLab):
    """Disks that do what they are told, unless ``lies`` names what they leave out."""

    def __init__(self, lies=(), healthy=True):
        super().__init__()
        self.lies, self.healthy = lies, healthy
        self.full, self.pace, self.stuck = {}, {}, set()

    def ready_disk(self, node, path=""):
        return Room(SIZE, SIZE)

    def try_disk(self, node, size, patience_s, path=""):
        if not self.healthy:
            return DiskTrial(True, 0.001, "EIO")
        pace = self.pace.get(node.name)
        if node.name in self.full and "fill" not in self.lies:
            return DiskTrial(True, 0.001, "" if size <= self.full[node.name] else "ENOSPC")
        if pace and "pace" not in self.lies:
            took = patience_s if pace.stalled else 0.001 + 2 * pace.latency_s
            took += size / pace.rate if pace.rate else 0.0
            return DiskTrial(not pace.stalled, took)
        return DiskTrial(True, 0.001)

    def fill(self, node, leave, path=""):
        self.full[node.name] = leave
        return Room(SIZE, SIZE if "room" in self.lies else leave, SIZE)

    def filled(self, node, path=""):
        return node.name in self.full and "force" not in self.lies

    def drain(self, node, path=""):
        self._heal(node)
        self.full.pop(node.name, None)

    def hold_up(self, node, pace):
        self.pace[node.name] = pace

    def held_up(self, node):
        return node.name in self.pace and "force" not in self.lies

    def requests_waiting(self, node):
        stalled = node.name in self.pace and self.pace[node.name].stalled
        return int(stalled and "waiting" not in self.lies)

    def let_go(self, node):
        self._heal(node)
        self.pace.pop(node.name, None)

    def lose_power(self, nodes):
        for node in nodes:
            self.done.append(("power", node.name))
            if "power" not in self.lies:
                self.incarnation[node.name] = None
        return Blackout({node.name: 8192 for node in nodes}, now_ns())

    def _heal(self, node):
        self.done.append(node.name)
        if node.name in self.stuck:
            raise HealFailed("it does not obey")


FAULTS = [DiskFull(), DiskStall(), DiskSlow(), DiskSlow.model_validate({"rate": "1MB/s"})]


def on(lab, *names):
    return Targets(tuple(lab.node(name) for name in names))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.kind)
def test_evidence_comes_in_order_and_nothing_is_left(fault):
    lab = DiskLab()
    with fault.inject(lab, on(lab, "a", "b")) as hold:
        assert hold.commanded_ns <= hold.acknowledged_ns <= hold.verified_ns
        assert hold.in_force()
        assert not hold.outside
    assert hold.verified_ns <= hold.heal_commanded_ns <= hold.healed_ns
    assert (lab.full, lab.pace) == ({}, {})


@pytest.mark.parametrize(
    ("fault", "lie"),
    [
        (DiskFull(), "fill"),  # a write of ours fits
        (DiskFull(), "room"),  # statvfs counts free space
        (DiskFull(), "force"),  # nobody holds it
        (DiskStall(), "pace"),  # a write of ours returns
        (DiskStall(), "force"),
        (DiskSlow(), "pace"),  # a write of ours is as fast as before
        (DiskSlow(), "force"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_disk_that_only_pretends_is_not_verified(fault, lie):
    lab = DiskLab(lies=(lie,))
    with fault.inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None, hold.detail


def test_a_stall_of_which_the_kernel_knows_nothing_is_not_verified(monkeypatch):
    monkeypatch.setattr("chaoskit.faults.disk_stall._SEEN_S", 0.0)
    lab = DiskLab(lies=("waiting",))
    with DiskStall().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.kind)
def test_what_does_not_hold_until_the_end_is_not_verified(fault):
    lab = DiskLab()
    with fault.inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is not None
        lab.lies = ("force",)
    assert hold.verified_ns is None
    assert "not any more" in hold.detail


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.kind)
def test_a_disk_that_does_not_work_before_is_refused_and_left_alone(fault):
    lab = DiskLab(healthy=False)
    with pytest.raises(LabError, match="EIO"), fault.inject(lab, on(lab, "a")):
        pass
    assert lab.done == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.kind)
def test_a_heal_goes_on_past_one_that_fails_and_says_so(fault):
    lab = DiskLab()
    lab.stuck = {"a"}
    with pytest.raises(HealFailed, match="a: it does not obey"), fault.inject(lab, on(lab, *"ab")):
        pass
    assert lab.done == ["a", "b"]


@pytest.mark.parametrize("fault", [DiskStall(), DiskSlow()], ids=lambda f: f.kind)
def test_a_disk_that_does_not_work_after_the_heal_is_no_heal_unless_its_node_is_down(fault):
    lab = DiskLab()
    with fault.inject(lab, on(lab, "a")) as hold:
        lab.healthy = False
        lab.incarnation["a"] = None
    assert hold.healed_ns is not None
    lab = DiskLab()
    with pytest.raises(HealFailed, match="EIO"), fault.inject(lab, on(lab, "a")):
        lab.healthy = False


def test_a_slowness_that_cannot_be_told_from_the_disk_is_refused():
    lab = DiskLab()
    slow = DiskSlow.model_validate({"latency": "1ms"})
    with pytest.raises(LabError, match="prove nothing"), slow.inject(lab, on(lab, "a")):
        pass


@pytest.mark.parametrize(
    ("fault", "keys"),
    [
        (DiskFull, {"leave": "-1"}),
        (DiskFull, {"leave": 1.5}),
        (DiskFull, {"path": "data"}),
        (DiskFull, {"path": "/a/../b"}),
        (DiskStall, {"path": "/data"}),
        (DiskSlow, {"latency": "11s"}),
        (DiskSlow, {"latency": 0}),
        (DiskSlow, {"latency": 0, "rate": "4095B/s"}),
        (DiskSlow, {"rate": "2GB/s"}),
    ],
)
def test_what_makes_no_sense_is_refused(fault, keys):
    with pytest.raises(ValidationError):
        fault.model_validate(keys)


def test_the_bounds_themselves_are_taken():
    assert DiskSlow.model_validate({"latency": "10s"}).latency_s == 10
    assert DiskSlow.model_validate({"latency": 0, "rate": "4096B/s"}).rate == 4096
    assert DiskFull.model_validate({"leave": "64k"}).leave == 65536


# ---------------------------------------------------------------- power


def test_power_is_lost_by_all_in_one_act_and_each_is_started_again():
    lab = DiskLab()
    with PowerLoss().inject(lab, on(lab, "a", "b")) as hold:
        assert hold.commanded_ns <= hold.acknowledged_ns <= hold.verified_ns
        assert hold.detail == "a lost 8 KiB that were not synced, b lost 8 KiB that were not synced"
        assert lab.done == [("power", "a"), ("power", "b")]
    assert lab.done[2:] == [("start", "a"), ("start", "b")]
    assert hold.verified_ns <= hold.heal_commanded_ns <= hold.healed_ns


def test_a_node_that_lives_on_without_power_is_not_verified(monkeypatch):
    monkeypatch.setattr("chaoskit.faults.ending.GONE_WITHIN_S", 0.0)
    monkeypatch.setattr("chaoskit.faults.ending.all_gone.__defaults__", (0.0,))
    lab = DiskLab(lies=("power",))
    with PowerLoss().inject(lab, on(lab, "a")) as hold:
        assert hold.verified_ns is None


def test_a_disk_that_does_not_work_is_found_out_before_and_not_by_a_sync_at_the_fault():
    lab = DiskLab(healthy=False)
    lab._nodes = {
        n: replace(node, labels={DISK_LABEL: "/data 16m"}) for n, node in lab._nodes.items()
    }
    with pytest.raises(LabError, match="EIO"):
        PowerLoss().prepare(lab)
    lab.healthy, tried = True, []
    lab.try_disk = lambda node, *_: tried.append(node.name) or DiskTrial(True, 0.001)
    PowerLoss().prepare(lab)
    assert tried == ["a", "b", "w"]
    with PowerLoss().inject(lab, on(lab, "a")):
        assert tried == ["a", "b", "w"]
    assert tried == ["a", "b", "w", "a"], "after the heal it must work"


def test_a_disk_that_is_still_broken_after_the_heal_is_said():
    lab = DiskLab()
    with pytest.raises(HealFailed, match="EIO"), PowerLoss().inject(lab, on(lab, "a")):
        lab.healthy = False
