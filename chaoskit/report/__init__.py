"""Renderings of a judged run: HTML, JUnit XML, Markdown, JSON. Pure: no clock, no socket.

Nothing here measures or judges: what a page shows stands in the result, the timelines and the
facts that it was given.
"""

from __future__ import annotations

from chaoskit.report.facts import RunFacts
from chaoskit.report.html import render_html
from chaoskit.report.junit import render_junit
from chaoskit.report.markdown import render_markdown
from chaoskit.report.write import write_reports

__all__ = ["RunFacts", "render_html", "render_junit", "render_markdown", "write_reports"]
