"""The stored example run is judged and rendered again from its raw records, and compared."""

import json
import shutil
from pathlib import Path

import pytest
from support import chaoskit

EXAMPLE = Path(__file__).resolve().parent.parent / "reports" / "example"
MADE = ("result.json", "report.html", "summary.md", "junit.xml")
HINT = "if the change is meant: chaoskit judge reports/example"


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    copy = tmp_path_factory.mktemp("runs") / "example"
    shutil.copytree(EXAMPLE, copy)
    for name in MADE:
        (copy / name).unlink()
    ran = chaoskit("judge", copy)
    assert ran.code == 0, ran.err
    return copy


def test_the_verdict_and_every_figure_are_the_same(judged):
    before = json.loads((EXAMPLE / "result.json").read_text("utf-8"))
    assert json.loads((judged / "result.json").read_text("utf-8")) == before, HINT
    assert before["verdict"] == "PASS"
    assert [trial["verdict"] for trial in before["trials"]] == ["PASS"] * 3


@pytest.mark.parametrize("name", ["report.html", "summary.md", "junit.xml"])
def test_the_reports_are_the_same(judged, name):
    assert (judged / name).read_text("utf-8") == (EXAMPLE / name).read_text("utf-8"), HINT


def test_a_record_that_was_changed_changes_the_result(judged, tmp_path):
    copy = tmp_path / "changed"
    shutil.copytree(judged, copy)
    finals = sorted((copy / "trials" / "01" / "final").glob("*.npy"))
    for final in finals:  # as if the last thousand tokens had never been stored
        final.write_bytes(forget(final, 1000))
    ran = chaoskit("judge", copy)
    result = json.loads((copy / "result.json").read_text("utf-8"))
    assert (ran.code, result["verdict"]) == (1, "FAIL")
    assert result["trials"][0]["metrics"]["lost_writes"]["count"] > 0


def forget(path, rows):
    import io

    import numpy as np

    out = io.BytesIO()
    np.save(out, np.load(path)[:-rows])
    return out.getvalue()


def test_the_example_names_no_place_of_the_machine_that_made_it():
    for name in ("run.json", "result.json", "report.html", "summary.md", "junit.xml"):
        text = (EXAMPLE / name).read_text("utf-8")
        for place in ("/home/", "/root/", "/work/", "/tmp/"):
            assert place not in text, f"{name} names {place}"
