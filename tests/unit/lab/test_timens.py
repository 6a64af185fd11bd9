"""A process with a clock of its own is found, whoever started it."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chaoskit
from chaoskit.clock import time_namespace
from chaoskit.lab.timens import own_clock, shifted

SHIFT = ["unshare", "--time", "--monotonic", "5000", "--boottime", "5000", "--fork", "--kill-child"]
LINE = "import sys, time; print(time.monotonic(), flush=True); sys.stdin.read()"


def started(*prefix):
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", LINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    return process, process.stdout.readline()


def ended(process):
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def can_shift():
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    return subprocess.run([*SHIFT, "true"], capture_output=True, check=False).returncode == 0


shifting = pytest.mark.skipif(not can_shift(), reason="no time namespaces for us here")


@shifting
def test_a_process_in_a_time_namespace_is_found_through_its_parent():
    process, line = started(*SHIFT)
    try:
        assert float(line) > time.monotonic() + 4000, "the clock is really another"
        assert shifted(process.pid) == "CLOCK_MONOTONIC off by 5000 s"
    finally:
        ended(process)


def test_a_process_with_our_clock_is_not():
    process, _line = started()
    try:
        assert shifted(process.pid) is None
    finally:
        ended(process)
    assert shifted(process.pid) is None, "nor one that ended"


def test_a_child_that_says_another_namespace_than_ours_does_not_read_our_clock():
    assert own_clock(time_namespace()) is None
    assert own_clock(None) is None
    if time_namespace() is not None:
        assert "time namespace of its own" in own_clock("time:[1]")


@shifting
def test_a_probe_child_under_a_shifted_clock_says_so():
    ask = "from chaoskit.clock import time_namespace; print(time_namespace())"
    said = subprocess.run(
        [*SHIFT, sys.executable, "-c", ask], capture_output=True, text=True, check=True
    )
    assert own_clock(said.stdout.strip()) is not None


WALL = re.compile(r"\btime\.time(_ns)?\(|CLOCK_REALTIME|datetime\.(now|utcnow|today)\(|time\.ctime")


def wall_readers(sources):
    return {name for name, text in sources if WALL.search(text)}


def test_no_module_that_makes_figures_reads_the_wall_clock():
    root = Path(chaoskit.__file__).parent
    areas = ("measure", "history", "load", "probes", "judge", "lab")
    files = [p for area in areas for p in (root / area).rglob("*.py")]
    files.remove(root / "lab" / "heal.py")  # compares ages of folders; makes no figure
    files.remove(root / "lab" / "resources.py")  # compares a node's clock with ours; likewise
    files += [root / f"{n}.py" for n in ("trial", "injection", "instruments", "children")]
    found = wall_readers((str(p.relative_to(root)), p.read_text("utf-8")) for p in files)
    assert not found
    clock = (root / "clock.py").read_text("utf-8")
    assert len(WALL.findall(clock)) == 1, "the label of a run, and nothing else"


def test_a_reader_of_the_wall_clock_would_be_found():
    assert wall_readers(
        [("planted", "import time\nnow = time.time_ns()\n"), ("clean", "x = 1")]
    ) == {"planted"}
