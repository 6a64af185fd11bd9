"""The whole contract again as a user without any rights."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sandbox_stacks
from sandbox_stacks import census, fresh_id, gone_within

NOBODY = 65534
NEEDED = (
    "chaoskit",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_inspection",
    "ruamel.yaml",
)
SINGLE = ("typing_extensions",)


def as_nobody(*argv: str) -> list[str]:
    """Through a shell: setpriv itself still executes with the rights of root."""
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *ids, "--", "sh", "-c", 'exec "$@"', "sh", *argv]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that nobody owns and can reach, with what chaoskit needs to be imported."""
    folder = Path(tempfile.mkdtemp(prefix="unprivileged-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        for name in NEEDED:
            source = Path(importlib.util.find_spec(name).origin).parent
            to = folder.joinpath("lib", *name.split("."))
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("image"))
        for name in SINGLE:
            shutil.copy(importlib.util.find_spec(name).origin, folder / "lib")
        shutil.copy(sandbox_stacks.__file__, folder / "lib")
        (folder / "home").mkdir()
        os.chown(folder / "home", NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def interpreter(home: Path) -> str:
    """A Python that nobody may execute and that loads the compiled parts of the copy."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            as_nobody(candidate, "-c", "import chaoskit.contracts"),
            env=environment(home),
            cwd="/",
            capture_output=True,
            check=False,
        )
        if tried.returncode == 0:
            return candidate
    pytest.skip(f"no Python {sys.version_info.major}.{sys.version_info.minor} that nobody can run")


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",  # an ordinary user's: no sbin
        "HOME": str(home / "home"),
        "PYTHONPATH": str(home / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(home: Path, *argv: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        as_nobody(*argv),
        env=environment(home),
        cwd=home / "home",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.unprivileged
def test_the_sandbox_lab_keeps_the_contract_for_an_unprivileged_user(home, interpreter):
    run_id = fresh_id()
    program = str(home / "lib" / "sandbox_stacks.py")
    done = run(home, interpreter, program, "check", str(home / "home"), run_id)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["checked"] is True
    assert said["uid"] == NOBODY
    assert "user namespace" in said["lab"]
    assert not census(run_id)


@pytest.mark.unprivileged
def test_nothing_is_left_when_an_unprivileged_harness_is_killed(home, interpreter):
    run_id = fresh_id()
    argv = (str(home / "lib" / "sandbox_stacks.py"), "hold", str(home / "home"), run_id)
    with subprocess.Popen(
        as_nobody(interpreter, *argv),
        env=environment(home),
        cwd=home / "home",
        stdout=subprocess.PIPE,
    ) as harness:
        assert harness.stdout.readline()
        assert len(census(run_id)) >= 8
        harness.kill()
        assert not gone_within(run_id, 10.0)


SERVICE = """
import os, pathlib
for path in ("/etc/new-file", "/data/x", "/var/lib/new-folder/x", "/opt/app/x"):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text("x")
print(os.getuid(), os.listdir("/data"), flush=True)
"""
WRITES = f"""
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from sandbox_stacks import SERVICE_CODE, TINY_SERVER, lab_of, server
from chaoskit.errors import Refused
from chaoskit.stack.model import Mount
folder = pathlib.Path(sys.argv[1])
one = server("one", {SERVICE!r} + TINY_SERVER, mounts=(Mount("/data", "data", "volume"),))
with lab_of(folder, one) as lab:
    lab.up()
    lab.save_logs(str(folder / "logs"))
print((folder / "logs" / "one.log").read_text())
try:
    with lab_of(folder, server("two", user="redis")):
        pass
except Refused as error:
    print(error)
""".replace("SERVICE_CODE, ", "")


@pytest.mark.unprivileged
def test_an_unprivileged_lab_writes_in_its_overlay_and_refuses_other_users(home, interpreter):
    done = run(home, interpreter, "-c", WRITES, str(home / "home"), str(home / "lib"))
    assert done.returncode == 0, done.stderr
    assert "0 ['x']" in done.stdout
    assert "user: redis needs the sandbox lab to be run as root" in done.stdout
    for path in ("/etc/new-file", "/data", "/var/lib/new-folder", "/opt/app"):
        assert not Path(path).exists()


DISK = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from dataclasses import replace
from sandbox_stacks import TINY_SERVER, lab_of, server
from chaoskit.contracts import Targets
from chaoskit.faults.disk_full import DiskFull
from chaoskit.faults.disk_stall import DiskStall
from chaoskit.lab.needs import unmet
one = server("one", "open('/data/x', 'w').close()\\n" + TINY_SERVER)
one = replace(one, labels={**one.labels, "chaoskit.disk": "/data 16m"})
with lab_of(pathlib.Path(sys.argv[1]), one) as lab:
    lab.up()
    targets = Targets((lab.node("one"),))
    with DiskFull().inject(lab, targets) as hold:
        print("full", hold.verified_ns is not None, hold.detail)
        assert hold.in_force()
    print("healed", lab.ready_disk(lab.node("one")).held)
    print(unmet(DiskStall(), lab))
"""


@pytest.mark.unprivileged
def test_without_rights_a_disk_is_memory_that_can_be_filled_up_and_no_more(home, interpreter):
    done = run(home, interpreter, "-c", DISK, str(home / "home"), str(home / "lib"))
    assert done.returncode == 0, done.stderr
    assert "full True" in done.stdout, done.stdout
    assert "ENOSPC" in done.stdout
    assert "healed 0" in done.stdout
    assert "disk-stall: a disk that can be held up needs a loop device" in done.stdout
