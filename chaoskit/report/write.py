"""Reports into the run's directory: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from chaoskit.judge.result import RunResult
from chaoskit.measure.timeline import Timeline
from chaoskit.report.facts import RunFacts
from chaoskit.report.html import render_html
from chaoskit.report.junit import render_junit
from chaoskit.report.markdown import render_markdown

__all__ = ["write_reports", "write_text"]


def write_reports(
    folder: Path, result: RunResult, timelines: Mapping[int, Timeline], facts: RunFacts
) -> dict[str, Path]:
    """Write result.json, summary.md, junit.xml and report.html; file name → path.

    ``timelines`` is by trial number. A reader never sees half a file. ``result.json`` is
    written before the rest is rendered: should a rendering fail, the result is kept.
    Raises ``OSError`` if the folder cannot be written.
    """
    stored = result.model_dump_json(indent=1) + "\n"
    written = {"result.json": write_text(folder, "result.json", stored)}
    texts = {
        "summary.md": render_markdown(result, facts),
        "junit.xml": render_junit(result, facts),
        "report.html": render_html(result, timelines, facts),
    }
    written.update({name: write_text(folder, name, text) for name, text in texts.items()})
    return written


def write_text(folder: Path, name: str, text: str) -> Path:
    """Write beside, flush to the disk, rename over: atomic on one file system."""
    path = folder / name
    handle, beside = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(beside).chmod(0o644)  # a CI often serves reports as another user
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return path
