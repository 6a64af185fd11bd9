"""A machine that cannot run the sandbox is told why, and what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_stacks import census, fresh_id

from chaoskit.clock import wait_until
from chaoskit.lab import sandbox_probe

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install-sandbox-tools"
# What a container without rights is like: root, but no more network namespaces.
DENIED = [
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"',
    "sh",
]


def test_missing_programs_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(sandbox_probe, "program", lambda name: None if name == "nft" else name)
    reason = sandbox_probe.sandbox_available.__wrapped__()
    assert "nft not found: install nftables" in reason
    assert "scripts/install-sandbox-tools" in reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("setting", "value", "way_out"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "userns=0'"),
        ("kernel/unprivileged_userns_clone", "0", "clone=1'"),
        ("user/max_user_namespaces", "0", "namespaces=15000'"),
    ],
)
def test_denied_namespaces_are_one_sentence_with_two_ways_out(
    tmp_path, monkeypatch, setting, value, way_out
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file = tmp_path / setting
    file.parent.mkdir()
    file.write_text(value + "\n")
    reason = sandbox_probe.explain("EPERM", tmp_path)
    assert "unprivileged user namespaces are denied" in reason
    assert "sudo sysctl -w" in reason
    assert way_out in reason
    assert "or run as root" in reason
    file.write_text("7\n")
    assert "EPERM" in sandbox_probe.explain("EPERM", tmp_path)


@pytest.mark.sandbox
def test_a_machine_that_can_says_nothing_and_leaves_nothing():
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert sandbox_probe.sandbox_available.__wrapped__() is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not census("probe")


@pytest.mark.sandbox
def test_a_root_without_rights_is_told_so():
    code = "from chaoskit.lab.sandbox_probe import sandbox_available as a; print(a())"
    done = subprocess.run(
        [*DENIED, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "the kernel denies what a sandbox needs" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.sandbox
def test_the_tools_script_is_content_with_a_machine_that_has_everything():
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.sandbox
def test_the_tools_script_says_in_one_sentence_that_namespaces_are_denied():
    done = subprocess.run([*DENIED, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "may not make namespaces" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_tools_script_says_what_to_install_where_it_cannot(tmp_path):
    for name in ("bash", "id", "sort", "env"):
        (tmp_path / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["/bin/bash", SCRIPT],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "util-linux" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_census_of_these_tests_sees_a_planted_leak():
    run_id = fresh_id()
    leak = subprocess.Popen(["sleep", "60"], env={**os.environ, "CHAOSKIT_RUN": run_id})
    try:
        # Popen returns once the program is chosen; its environment is there a moment later.
        assert wait_until(lambda: leak.pid in census(run_id), within_s=5.0)
    finally:
        leak.kill()
        leak.wait()
    assert not census(run_id)
