"""The page: one self-contained HTML file that needs no network and no script.

Every string is escaped by the template engine, styles are allowed by their hash alone, and
nothing in the page points anywhere but into the page.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from chaoskit.judge.result import RunResult, Verdict
from chaoskit.measure.timeline import Timeline
from chaoskit.report.detail import DETAILS
from chaoskit.report.facts import RunFacts
from chaoskit.report.page import Page, build_page

__all__ = ["LIMIT", "environment", "render_html", "render_template"]

LIMIT = 950_000
"""Bytes; the promise is 1 MB, so that a report can be mailed."""

_HERE = Path(__file__).parent
# What a viewer shows that drops the page's style; the same as the style's own, on white.
_VERDICT_COLOURS = {
    "PASS": "#17714a",
    "FAIL": "#b92b2b",
    "INCONCLUSIVE": "#8f5a00",
    "INVALID": "#6d3fae",
    "INTERRUPTED": "#55616e",
    "ABORTED": "#55616e",
    "ERROR": "#8f1f1f",
}
_OUTCOME_COLOURS = {
    "ok": "#5b8fbf",
    "ok_late": "#b57c00",
    "fail_definite": "#c93a24",
    "ambiguous": "#8246ad",
    "not_sent": "#66727f",
}


@cache
def environment() -> Environment:
    """Escapes always, whatever a template's file is called; an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(verdict_colours=_VERDICT_COLOURS, outcome_colours=_OUTCOME_COLOURS)
    return made


@cache
def _style() -> str:
    return (_HERE / "static" / "report.css").read_text(encoding="utf-8")


def _style_hash() -> str:
    digest = hashlib.sha256(_style().encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _icon(verdict: Verdict) -> str:
    """The verdict's sign as a data URI, for the browser's tab."""
    svg = environment().get_template("icon.svg.j2")
    text = svg.render(kind=verdict.value, colour=_VERDICT_COLOURS[verdict.value])
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()


def render_html(result: RunResult, timelines: Mapping[int, Timeline], facts: RunFacts) -> str:
    """The whole page, always below 1 MB: drawn with less detail until it fits.

    ``timelines`` is by trial number; trials without one have their rows in the tables.
    """
    text = ""
    for detail in DETAILS:
        text = render_page(build_page(result, timelines, facts, detail))
        if len(text.encode()) < LIMIT:
            break
    return text


def render_page(page: Page) -> str:
    """A built page as HTML."""
    return render_template("report.html.j2", page.verdict, page=page)


def render_template(name: str, verdict: Verdict, /, **words: object) -> str:
    """One of our templates with our style, allowed by its hash, and the verdict as its icon."""
    return (
        environment()
        .get_template(name)
        .render(
            style=Markup(_style()),  # noqa: S704 - our own file, no string of a run in it
            style_hash=_style_hash(),
            icon_uri=_icon(verdict),
            verdict=verdict,
            **words,
        )
    )
