"""Groups of both versions, on trees that are made of files: no kernel is asked."""

import pytest

from chaoskit.errors import LabError
from chaoskit.lab import cgroups
from chaoskit.lab.cgroups import Group, group_of, make_group

V1 = {
    "cpu.cfs_quota_us": "-1\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.stat": "nr_periods 7\nnr_throttled 3\nthrottled_time 9\n",
    "memory.limit_in_bytes": "9223372036854771712\n",
    "memory.usage_in_bytes": "8192\n",
    "memory.failcnt": "4\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "cgroup.procs": "12\n0\n13\n",
}
V2 = {
    "cpu.max": "max 100000\n",
    "cpu.stat": "usage_usec 5\nnr_throttled 6\n",
    "memory.max": "max\n",
    "memory.current": "4096\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n",
    "cgroup.procs": "",
}


def tree(tmp_path, version, *, groups, controllers=("cpu", "memory")):
    """A /proc and mounted hierarchies; process 7 is in ``/lab/node`` of each."""
    proc = tmp_path / "proc"
    (proc / "7").mkdir(parents=True)
    (proc / "self").mkdir()
    lines, mounts = [], []
    roots = {}
    if version == 2:
        where = tmp_path / "cg"
        where.mkdir()
        (where / "cgroup.controllers").write_text(" ".join(controllers))
        lines.append("0::/lab/node")
        mounts.append(f"30 24 0:26 / {where} rw,nosuid - cgroup2 cgroup2 rw")
        roots = dict.fromkeys(controllers, where)
    else:
        for number, name in enumerate(controllers, start=2):
            where = tmp_path / f"cg-{name}"
            where.mkdir()
            lines.append(f"{number}:{name}:/lab/node")
            mounts.append(f"3{number} 24 0:26 / {where} rw - cgroup cgroup rw,{name}")
            roots[name] = where
        lines.append("0::/")
    for where in set(roots.values()):
        for path in groups:
            (where / path).mkdir(parents=True)
            for file, text in (V2 if version == 2 else V1).items():
                (where / path / file).write_text(text)
    (proc / "7" / "cgroup").write_text("\n".join(lines) + "\n")
    (proc / "self" / "mountinfo").write_text("\n".join(mounts) + "\n")
    return proc


def text(group, name):
    return (group.folder / name).read_text().strip()


def test_version_1_has_a_hierarchy_for_each(tmp_path):
    proc = tree(tmp_path, 1, groups=["lab/node"])
    cpu, memory = group_of(7, "cpu", proc), group_of(7, "memory", proc)
    assert cpu.version == memory.version == 1
    assert cpu.folder != memory.folder
    assert cpu.limit() == "max 100000"
    cpu.set_limit("10000 100000")
    assert cpu.limit() == "10000 100000"
    assert text(cpu, "cpu.cfs_quota_us") == "10000"
    cpu.set_limit("5000 50000")
    assert cpu.limit() == "5000 50000"
    cpu.set_limit("max 100000")
    assert (text(cpu, "cpu.cfs_quota_us"), text(cpu, "cpu.cfs_period_us")) == ("-1", "100000")
    memory.set_limit("65536")
    assert memory.limit() == "65536"
    assert (cpu.met(), memory.met(), memory.used()) == (3, 6, 8192)
    assert cpu.pids() == [12, 13]


def test_version_2_has_one_for_all(tmp_path):
    proc = tree(tmp_path, 2, groups=["lab/node"])
    cpu, memory = group_of(7, "cpu", proc), group_of(7, "memory", proc)
    assert cpu.version == 2
    assert cpu.folder == memory.folder
    assert (cpu.limit(), memory.limit()) == ("max 100000", "max")
    cpu.set_limit("10000 100000")
    memory.set_limit("65536")
    assert (text(cpu, "cpu.max"), text(memory, "memory.max")) == ("10000 100000", "65536")
    assert (cpu.met(), memory.met(), memory.used()) == (6, 6, 4096)


def test_a_group_of_ours_is_inside_in_version_1_and_beside_in_version_2(tmp_path):
    assert Group("cpu", 1, tmp_path, "/lab/node").beside("x").path == "/lab/node/x"
    assert Group("cpu", 1, tmp_path, "/").beside("x").path == "/x"
    assert Group("cpu", 2, tmp_path, "/lab/node").beside("x").path == "/lab/x"
    assert Group("cpu", 2, tmp_path, "/").beside("x").path == "/x"


def test_a_hierarchy_of_which_only_a_part_is_mounted(tmp_path):
    proc = tree(tmp_path, 2, groups=["node"])
    mounts = proc / "self" / "mountinfo"
    mounts.write_text(mounts.read_text().replace(" / ", " /lab ", 1))
    assert group_of(7, "cpu", proc).limit() == "max 100000"


def test_a_machine_without_the_controller_is_said(tmp_path):
    for version in (1, 2):
        proc = tree(tmp_path / str(version), version, groups=["lab/node"], controllers=("cpu",))
        assert group_of(7, "cpu", proc).version == version
        with pytest.raises(LabError, match=r"no control group hierarchy .* 'memory'; mount one"):
            group_of(7, "memory", proc)


def test_a_process_that_is_gone_is_told_from_a_machine_without_groups(tmp_path):
    proc = tree(tmp_path, 1, groups=["lab/node"])
    with pytest.raises(ProcessLookupError):
        group_of(8, "cpu", proc)


def test_a_controller_that_is_not_switched_on_is_said_with_the_way_and_nothing_stays(tmp_path):
    group = Group("memory", 2, tmp_path, "/node")
    with pytest.raises(LabError, match=r"not switched on .*: echo \+memory > "):
        make_group(group)  # an empty folder: nobody has put memory.max into it
    assert not group.folder.exists()


def test_a_group_that_is_there_already_is_nobody_elses_to_take(tmp_path):
    (tmp_path / "node").mkdir()
    with pytest.raises(LabError, match="there is a control group /node already"):
        make_group(Group("cpu", 1, tmp_path, "/node"))


def test_what_the_kernel_refuses_is_said_with_its_words(tmp_path):
    with pytest.raises(LabError, match=r"the kernel refuses 'x' for memory\.max of /node: No such"):
        Group("memory", 2, tmp_path, "/node").set_limit("x")


def test_kills_of_the_whole_machine_are_counted(tmp_path):
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 11\n")
    assert cgroups.oom_kills(tmp_path) == 11
    assert cgroups.oom_kills(tmp_path / "nowhere") == 0
