"""Files: whole or not at all."""

import json

import pytest

from chaoskit.judge.result import RunResult
from chaoskit.report import write, write_reports
from tests.unit.report import samples


def test_four_files_are_written_and_named(tmp_path):
    sample = samples.passing()
    written = write_reports(tmp_path, sample.result, sample.timelines, sample.facts)
    assert set(written) == {"result.json", "summary.md", "junit.xml", "report.html"}
    assert {p.name for p in tmp_path.iterdir()} == set(written)
    assert all(path.read_text(encoding="utf-8") for path in written.values())


def test_the_result_can_be_read_back(tmp_path):
    sample = samples.failing()
    path = write_reports(tmp_path, sample.result, sample.timelines, sample.facts)["result.json"]
    data = json.loads(path.read_text(encoding="utf-8"))
    assert RunResult.model_validate(data) == sample.result


def test_a_file_that_was_there_is_replaced(tmp_path):
    (tmp_path / "report.html").write_text("old")
    sample = samples.noop()
    write_reports(tmp_path, sample.result, sample.timelines, sample.facts)
    assert "old" not in (tmp_path / "report.html").read_text(encoding="utf-8")[:3]


def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    (tmp_path / "result.json").write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    sample = samples.noop()
    with pytest.raises(OSError, match="No space"):
        write_reports(tmp_path, sample.result, sample.timelines, sample.facts)
    assert (tmp_path / "result.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_the_result_is_kept_where_a_rendering_fails(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(write, "render_html", broken)
    sample = samples.noop()
    with pytest.raises(ZeroDivisionError):
        write_reports(tmp_path, sample.result, sample.timelines, sample.facts)
    assert (tmp_path / "result.json").exists()
