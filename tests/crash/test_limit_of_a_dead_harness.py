"""A harness that is frozen or killed holds no limit of a node: the guardian gives all of it back."""

import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from chaoskit.clock import wait_until
from chaoskit.errors import LabError
from chaoskit.lab.cgroups import group_of
from chaoskit.lab.needs import missing

sys.path.insert(0, str(Path(__file__).parent))
from test_fault_of_a_dead_harness import GONE_S, HEALED_S, harness, left

LIMITS = (
    {"fault": "cpu", "cpus": 0.5},
    {"fault": "fd-exhaustion"},
)
"""Several at once, on one node, in the sandbox lab with a process of ours that holds its memory."""
CLOCK = {"fault": "clock", "jump": "1h"}
CONTROLLERS = ("cpu", "memory")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root here")


def limits(pid):
    """What the kernel says that the process may use, and in which groups it is."""
    groups = {name: group_of(pid, name) for name in CONTROLLERS}
    amounts = {name: group.limit() for name, group in groups.items() if group.path != "/"}
    paths = {name: group.path for name, group in groups.items()}
    return amounts, paths, resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def our_groups(run_id):
    found = []
    for name in CONTROLLERS:
        try:
            group = group_of("self", name)
        except LabError:
            continue
        found += list(group.mount.rglob(f"chaoskit_{run_id}_*"))
    return found


@pytest.mark.parametrize(
    ("kind", "frozen_first"),
    [
        pytest.param("sandbox", True, marks=pytest.mark.sandbox, id="sandbox-frozen"),
        pytest.param("sandbox", False, marks=pytest.mark.sandbox, id="sandbox-killed"),
        pytest.param("docker", True, marks=pytest.mark.docker, id="docker-frozen"),
    ],
)
def test_what_a_node_may_use_is_given_back(tmp_path, kind, frozen_first):
    for name in ("cgroup-cpu", "cgroup-memory"):
        if (reason := missing(name, object())) is not None:
            pytest.skip(reason)
    # In Docker libfaketime would have to be in the image.
    clock = (CLOCK,) if kind == "sandbox" and missing("libfaketime", object()) is None else ()
    # Docker's healthcheck asks for so much at once that the node could be ended for it.
    memory = {
        "fault": "memory",
        "spare": "24m" if kind == "sandbox" else "64m",
        "fill": kind == "sandbox",
    }
    with harness(kind, tmp_path, *clock, memory, *LIMITS) as (process, run_id, pids, other):
        held, free = limits(pids[0]), limits(other)
        assert held[0]["cpu"] == "50000 100000"
        assert int(held[0]["memory"]) < 1 << 30
        assert held[2] < free[2]
        assert bool(our_groups(run_id)) == (kind == "sandbox")
        shift = Path(f"/proc/{pids[0]}/root/tmp/faketime")
        assert shift.exists() == bool(clock)
        if frozen_first:
            process.send_signal(signal.SIGSTOP)
            # The other node was never touched and is what this one is to be like again: in Docker
            # each has a group of its own, in the sandbox lab they share one.
            same = (0, 2) if kind == "docker" else (0, 1, 2)

            def healed():
                now = limits(pids[0])
                return all(now[i] == free[i] for i in same) and not shift.exists()

            assert wait_until(healed, within_s=HEALED_S, every_s=0.1), limits(pids[0])
            assert left(kind, run_id), "its lab is still there"
        process.kill()
        assert wait_until(lambda: not left(kind, run_id), within_s=GONE_S, every_s=0.1)
        journals = tmp_path / "state" / run_id
        assert wait_until(lambda: not journals.exists(), within_s=GONE_S, every_s=0.05)
        assert our_groups(run_id) == []
