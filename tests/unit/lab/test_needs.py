"""What a fault needs is asked for before anything starts, and answered in one sentence."""

import subprocess
from types import SimpleNamespace

import pytest
from unit.fakelab import FakeLab

from chaoskit.capabilities import CAPABILITIES
from chaoskit.choosing import Choice, refuse_unmet
from chaoskit.errors import Refused
from chaoskit.faults.disk_full import DiskFull
from chaoskit.faults.disk_slow import DiskSlow
from chaoskit.faults.disk_stall import DiskStall
from chaoskit.faults.kill import Kill
from chaoskit.faults.partition import Partition
from chaoskit.lab import needs
from chaoskit.lab.sandbox import SandboxLab


class Bare:
    name = "bare"


class Wants(Kill):
    def features(self):
        return frozenset({"netem"})


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that answers as told, and what it was asked."""
    asked = []

    def run(argv, **_):
        asked.append(argv)
        return SimpleNamespace(returncode=kernel.status, stderr="Error: kind is\nunknown.")

    kernel = SimpleNamespace(asked=asked, status=2)
    monkeypatch.setattr(needs.subprocess, "run", run)
    needs.feature.cache_clear()
    yield kernel
    needs.feature.cache_clear()


def test_a_capability_that_the_lab_lacks_is_named_for_its_class_and_its_object():
    for lab in (Bare, Bare()):
        assert needs.missing("cut", lab) == "the bare lab cannot 'cut'"
        assert needs.unmet(Partition(), lab) == "partition: the bare lab cannot 'cut'"


def test_a_capability_that_the_lab_has_is_not_missing():
    for lab in (FakeLab, FakeLab()):
        assert all(needs.missing(need, lab) is None for need in ("kill", "cut", "pause"))
    assert needs.unmet(Kill(), FakeLab()) is None


def test_a_kernel_without_the_feature_is_one_sentence_with_a_way_out(kernel):
    said = needs.unmet(Wants(), FakeLab())
    assert said.startswith("kill: this kernel cannot do delay")
    assert "kind is unknown; load it" in said
    assert "modprobe sch_netem" in said
    assert "\n" not in said
    needs.unmet(Wants(), FakeLab())
    assert len(kernel.asked) == 1  # it is tried once
    assert "netem delay 1ms" in kernel.asked[0][-1]


def test_a_kernel_with_the_feature_is_taken(kernel):
    kernel.status = 0
    assert needs.unmet(Wants(), FakeLab()) is None


def test_a_kernel_that_does_not_answer_is_said(kernel, monkeypatch):
    def never(*_, **__):
        raise subprocess.TimeoutExpired("tc", 10)

    monkeypatch.setattr(needs.subprocess, "run", never)
    assert "could not be found out" in needs.missing("netem", FakeLab())


def test_a_need_that_nobody_knows_is_said():
    assert needs.missing("telepathy", FakeLab()) == "nothing is known that is called 'telepathy'"


def test_a_program_that_is_missing_is_said_with_its_package(monkeypatch):
    needs.feature.cache_clear()
    monkeypatch.setattr(needs, "program", lambda name: None if name == "tc" else name)
    assert "tc is not installed: apt-get install iproute2" in needs.missing("tbf", FakeLab())
    needs.feature.cache_clear()


@pytest.mark.parametrize("name", ["sandbox", "docker"])
def test_an_experiment_is_refused_as_a_whole_before_anything_starts(kernel, name):
    choice = Choice(name, "it was asked for")
    refuse_unmet(choice, [Kill(), Partition()])
    with pytest.raises(Refused) as said:
        refuse_unmet(choice, [Kill(), Wants(), Wants()])
    assert str(said.value).count("\n") == 0


def test_both_labs_have_every_capability_that_a_partition_needs():
    assert set(Partition.needs) <= set(CAPABILITIES)


def test_no_feature_has_the_name_of_a_capability_which_would_be_asked_in_its_place():
    assert not set(needs.FEATURES) & set(CAPABILITIES)


def test_a_disk_that_cannot_be_had_is_refused_beforehand_with_the_reason(monkeypatch):
    monkeypatch.setattr(needs, "no_devices", lambda: "only root can make one")
    needs.feature.cache_clear()
    try:
        for fault in (DiskStall(), DiskSlow()):
            assert needs.unmet(fault, SandboxLab) == f"{fault.kind}: only root can make one"
        assert needs.unmet(DiskFull(), SandboxLab) is None
    finally:
        needs.feature.cache_clear()
