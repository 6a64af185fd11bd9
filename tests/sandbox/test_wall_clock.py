"""The wall clock is stepped to and fro while a run is under way, and no figure shows it.

Only what the processes of this run are told is stepped: Python's ``time.time`` in the harness and
in every child, by an hour forth and back each half second. The machine's own clock is left alone.
"""

import json
import shutil
from pathlib import Path

import pytest
from support import chaoskit

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "reports" / "example"

STEPPING = '''\
import os
import sys
import time

_time, _time_ns, _monotonic = time.time, time.time_ns, time.monotonic
_seen = False


def _offset_s():
    """0, an hour forth, an hour back, every half second another."""
    global _seen
    offset = (0, 3600, -3600)[int(_monotonic() * 2) % 3]
    if offset and not _seen:
        _seen = True
        with open(os.path.join({folder!r}, str(os.getpid())), "w") as file:
            file.write(" ".join(sys.orig_argv))
    return offset


time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 10**9
'''


def test_steps_of_an_hour_change_no_figure(experiment, run_until_valid, tmp_path):
    patch, asked = tmp_path / "patch", tmp_path / "asked"
    patch.mkdir()
    asked.mkdir()
    (patch / "sitecustomize.py").write_text(STEPPING.format(folder=str(asked)))
    ran = run_until_valid(experiment(), "--lab", "sandbox", env={"PYTHONPATH": str(patch)})
    assert ran.code == 0, ran.err
    stepped = [path.read_text() for path in asked.iterdir()]
    assert any("chaoskit.load.child" in argv for argv in stepped), stepped
    trial = ran.trial()
    assert trial["invalid_because"] == []
    found = trial["metrics"]
    for name in ("client_outage", "failover_time", "time_to_detect", "goodput_gap"):
        assert 0 < found[name]["low_s"] <= found[name]["high_s"] < 3, name
    assert found["lost_writes"]["count"] == found["dual_primary"]["low_s"] == 0
    longest = max(end - start for start, end in found["spans_s"].values())
    assert longest < 60
    assert ran.result["trials"][0]["overhead_s"], "what the harness spent is measured, too"
    assert all(0 <= spent < 60 for spent in trial["overhead_s"].values())


@pytest.mark.parametrize("year", ["2001", "2044"])
def test_the_label_of_a_stored_run_says_nothing_to_its_judge(tmp_path, year):
    copy = tmp_path / "example"
    shutil.copytree(EXAMPLE, copy)
    run = json.loads((copy / "run.json").read_text("utf-8"))
    run["started_utc"] = year + run["started_utc"][4:]
    (copy / "run.json").write_text(json.dumps(run), "utf-8")
    assert chaoskit("judge", copy).code == 0
    before, after = (json.loads((f / "result.json").read_text()) for f in (EXAMPLE, copy))
    assert after == before
    assert year in (copy / "report.html").read_text("utf-8")
