"""The faults of disks bite and heal in the sandbox lab, and what is not a node's own is left alone."""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit.contracts import Targets
from chaoskit.errors import LabError
from chaoskit.faults.disk_full import DiskFull
from chaoskit.faults.disk_stall import DiskStall
from chaoskit.lab.needs import unmet
from chaoskit.lab.ops import ReleaseDisk
from chaoskit.lab.undo import undo_entry
from chaoskit.stack.model import Mount
from chaoskit.testing import check_fault

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))
from disk_cases import CASES, LABEL, WRITER, Felt, name_of
from sandbox_stacks import lab_of, server

pytestmark = pytest.mark.sandbox


def writer(name):
    plain = server(name, WRITER)
    return replace(plain, labels={**plain.labels, **LABEL})


@pytest.fixture
def lab(tmp_path):
    scratch = (Mount("/scratch", None, "tmpfs", size=16 << 20),)
    other = server("b", WRITER, mounts=scratch)
    with lab_of(tmp_path, writer("a"), other) as lab:
        lab.up()
        yield lab


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fault_bites_and_heals_twice(lab, case):
    fault, slow = case
    lacking = unmet(fault, lab)
    if lacking is not None:
        pytest.skip(lacking)
    felt = Felt(lab, "a", slow=slow)
    try:
        check_fault(fault, lab, ["a"], felt=felt)
    finally:
        felt.close()


@pytest.mark.parametrize(
    ("node", "path", "said"),
    [
        ("b", "", "b has no disk of its own: give it the label chaoskit.disk"),
        ("b", "/", "root of the node's files"),
        ("b", "/tmp", "left alone"),
        ("b", "/run", "no bound"),
        ("b", "/proc/1/root", "/proc/1/root"),
        ("b", "/none", "No such file"),
    ],
)
def test_what_is_not_a_nodes_own_is_left_alone(lab, node, path, said):
    fault = DiskFull.model_validate({"path": path})
    with pytest.raises(LabError, match=said), fault.inject(lab, Targets((lab.node(node),))):
        pass


def test_a_node_that_is_started_again_still_has_the_fault_and_its_files(lab):
    node = lab.node("a")
    with DiskFull().inject(lab, Targets((node,))) as hold:
        before = lab.ready_disk(node)
        lab.kill(node, signal.SIGKILL)
        lab.start(node)
        assert hold.in_force()
        assert lab.ready_disk(node) == before
    assert lab.ready_disk(node).held == 0


def test_memory_with_a_size_is_filled_up_and_is_not_full_any_more_once_it_is_new(lab):
    node = lab.node("b")
    fault = DiskFull.model_validate({"path": "/scratch", "leave": "1m"})
    with fault.inject(lab, Targets((node,))) as hold:
        assert hold.verified_ns is not None, hold.detail
        assert lab.ready_disk(node, "/scratch").free == 1 << 20
    assert lab.ready_disk(node, "/scratch").free > 15 << 20
    with fault.inject(lab, Targets((node,))) as hold:
        lab.kill(node, signal.SIGKILL)
        lab.start(node)
        assert not hold.in_force()
    assert hold.verified_ns is None


def test_a_fault_is_noticed_to_be_gone_when_somebody_else_heals_it(lab):
    lacking = unmet(DiskStall(), lab)
    if lacking is not None:
        pytest.skip(lacking)
    with DiskStall().inject(lab, Targets((lab.node("a"),))) as hold:
        assert hold.in_force()
        (entry,) = (e for e in lab._journal.open_entries() if isinstance(e.op, ReleaseDisk))
        undo_entry(entry, Path("/nowhere"))
        assert not hold.in_force()
    assert hold.verified_ns is None
