"""Undo operations are a closed list of typed data: everything else is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.lab.ops import (
    ContinueProcess,
    ContinueProcesses,
    DockerStart,
    DockerUnpause,
    KillProcess,
    ReleaseDisk,
    RemoveDockerRun,
    RemoveNeighbour,
    RemoveQdisc,
    RemoveTree,
    RestoreNames,
    describe,
    from_data,
    to_data,
)
from chaoskit.lab.ops_limits import LeaveGroup, RestoreClock, RestoreFileLimit, RestoreLimit

BOOT = "01234567-89ab-cdef-0123-456789abcdef"
GOOD = [
    KillProcess(2, 0, BOOT, "sandbox lab"),
    RemoveDockerRun("r_1"),
    DockerStart("0f" * 32),
    DockerUnpause("0f" * 32),
    ContinueProcess(2, 0, BOOT),
    ContinueProcesses(2, 0, BOOT),
    RemoveTree("lab/root"),
    RemoveQdisc(2, 0, BOOT, "eth0", 0xC001),
    RemoveNeighbour(2, 0, BOOT, "eth0", "198.18.0.2", "02:ca:00:11:22:33"),
    RestoreNames(2, 0, BOOT, "r_1"),
    RestoreLimit(2, 0, BOOT, "cpu", "max 100000"),
    RestoreLimit(2, 0, BOOT, "memory", "9223372036854771712"),
    LeaveGroup("memory", "/lab/0f/chaoskit_r_1_2", "/lab/0f"),
    LeaveGroup("cpu", "/chaoskit_r_1_2", "/"),
    RestoreFileLimit(2, 0, BOOT, 1024, 9, True),
    RestoreClock(2, 0, BOOT, "/tmp/faketime", "r_1", "+0\n"),
    ReleaseDisk(2, 0, BOOT),
]


@pytest.mark.parametrize("op", GOOD)
def test_an_operation_survives_the_way_through_json(op):
    assert from_data(json.loads(json.dumps(to_data(op)))) == op
    assert describe(op)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("kill-process", "pid", 0),
        ("release-disk", "pid", 1),
        ("release-disk", "boot_id", ""),
        ("kill-process", "pid", 1),
        ("kill-process", "pid", -1),
        ("kill-process", "pid", True),
        ("kill-process", "pid", "77"),
        ("kill-process", "pid", 77.0),
        ("kill-process", "pid", 1 << 40),
        ("kill-process", "starttime", -1),
        ("kill-process", "starttime", None),
        ("kill-process", "boot_id", "x"),
        ("kill-process", "boot_id", BOOT + "\n"),
        ("kill-process", "what", "a\nb"),
        ("continue-process", "pid", 1),
        ("continue-process", "starttime", -1),
        ("continue-process", "boot_id", "x"),
        ("kill-process", "what", "\u202eevil"),
        ("kill-process", "what", "x" * 201),
        ("remove-qdisc", "pid", 1),
        ("remove-qdisc", "device", "eth0; reboot"),
        ("remove-qdisc", "device", "-all"),
        ("remove-qdisc", "device", ""),
        ("remove-qdisc", "major", 1),
        ("remove-qdisc", "major", "c001"),
        ("remove-neighbour", "address", "198.18.0.2 dev eth1"),
        ("remove-neighbour", "address", "198.18.0.02"),
        ("remove-neighbour", "link", "52:54:00:11:22:33"),
        ("remove-neighbour", "starttime", -1),
        ("restore-names", "run_id", "a/b"),
        ("restore-names", "boot_id", "x"),
        ("remove-docker-run", "run_id", "a;b"),
        ("remove-docker-run", "run_id", ""),
        ("remove-docker-run", "run_id", ["a"]),
        ("docker-start", "container_id", "ab"),
        ("docker-unpause", "container_id", "ab"),
        ("continue-processes", "pid", 1),
        ("continue-processes", "starttime", -1),
        ("continue-processes", "boot_id", "x"),
        ("docker-start", "container_id", "../" + "0" * 61),
        ("remove-tree", "path", "/etc"),
        ("remove-tree", "path", "../x"),
        ("remove-tree", "path", "a/../../x"),
        ("remove-tree", "path", ""),
        ("remove-tree", "path", "."),
        ("remove-tree", "path", "a\0b"),
        ("remove-tree", "path", 7),
        ("restore-limit", "pid", 1),
        ("restore-limit", "controller", "devices"),
        ("restore-limit", "value", "max\n"),
        ("restore-limit", "value", "a *:* rwm"),
        ("leave-group", "controller", "freezer"),
        ("leave-group", "path", "/lab/0f"),
        ("leave-group", "path", "chaoskit_r_1_2"),
        ("leave-group", "path", "/lab/../chaoskit_r_1_2"),
        ("leave-group", "path", "/lab/chaoskit_r_1_2/"),
        ("leave-group", "home", "/lab/.."),
        ("leave-group", "home", "lab"),
        ("leave-group", "home", ""),
        ("restore-file-limit", "soft", -2),
        ("restore-file-limit", "ours", "9"),
        ("restore-file-limit", "family", 1),
        ("restore-clock", "path", "/tmp/../etc/passwd"),
        ("restore-clock", "path", "faketime"),
        ("restore-clock", "before", "+5"),
        ("restore-clock", "run_id", "a/b"),
    ],
)
def test_a_field_of_a_wrong_value_is_refused(kind, field, value):
    data = next(to_data(op) for op in GOOD if op.kind == kind) | {field: value}
    with pytest.raises(ValueError, match="undo operation"):
        from_data(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "kill-process",
        {},
        {"kind": "run-command", "argv": ["rm"]},
        {"kind": ["kill-process"]},
        {"kind": "remove-docker-run"},
        {"kind": "remove-docker-run", "run_id": "a", "extra": 1},
        {"kind": "remove-docker-run", "run_id": "a", "self": 1},
    ],
)
def test_anything_but_a_known_operation_is_refused(data):
    with pytest.raises(ValueError, match="undo operation"):
        from_data(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(GOOD), st.dictionaries(st.text(max_size=12), json_values, max_size=3))
def test_arbitrary_data_makes_an_operation_or_a_value_error(op, changes):
    data = to_data(op) | changes
    try:
        made = from_data(data)
    except ValueError:
        return
    assert to_data(made) == data
