"""One table of all cells of a matrix: JSON, Markdown, JUnit and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from chaoskit.judge.matrix import CellResult, MatrixResult
from chaoskit.report.format import NONE, clean, interval
from chaoskit.report.html import render_template
from chaoskit.report.junit import ELEMENT
from chaoskit.report.markdown import SIGNS, as_text
from chaoskit.report.scale import Axis, Range, Tick, place, time_axis
from chaoskit.report.write import write_text

__all__ = [
    "Ladder",
    "build_ladders",
    "render_matrix_junit",
    "render_matrix_markdown",
    "write_matrix",
]

_HEIGHT = 190.0
_TOP = 12.0
_FEWEST = 3  # numbers on an axis, for a chart to say more than the table


@dataclass(frozen=True)
class Rung:
    """One cell in a chart: its share with its interval, places in percent and pixels."""

    x: str
    y: str
    top: str
    height: str
    title: str


@dataclass(frozen=True)
class Ladder:
    """P(failover) against an axis of numbers, the other axes held still."""

    title: str
    axis: Axis
    marks: tuple[Tick, ...]  # vertical: 0 %, 50 %, 100 %
    rungs: tuple[Rung, ...]
    height: str
    bottom: str


def write_matrix(folder: Path, result: MatrixResult) -> None:
    """Write the four files, each whole or not at all. Raises ``OSError``."""
    write_text(folder, "matrix.json", result.model_dump_json(indent=1) + "\n")
    write_text(folder, "matrix.md", render_matrix_markdown(result))
    write_text(folder, "matrix-junit.xml", render_matrix_junit(result))
    write_text(folder, "matrix.html", render_matrix_html(result))


def cells_row(cell: CellResult) -> tuple[str, ...]:
    """Trials, P(failover), outage, failover, lost: what the table says of a cell."""
    found = cell.failed_over
    return (
        str(cell.trials),
        f"{found.k} of {found.n} ({found.low:.0%} to {found.high:.0%})" if found.n else NONE,
        interval(cell.summary.get("client_outage")),
        interval(cell.summary.get("failover_time")) if found.k else NONE,
        str(cell.lost_writes) if cell.trials else NONE,
    )


COLUMNS = ("trials", "failed over (95 %)", "client outage", "failover time", "lost")


def render_matrix_markdown(result: MatrixResult) -> str:
    """GitHub's flavour, without HTML; no string of the run can add any."""
    axes = list(result.axes)
    lines = [
        f"## {SIGNS[result.verdict]} {result.verdict.value} {as_text(result.experiment)}",
        "",
        f"**{as_text(result.sentence)}**",
        "",
        *([f"Question: {as_text(result.question)}", ""] if result.question else []),
        "| cell | "
        + " | ".join(as_text(axis) for axis in axes)
        + " | verdict | "
        + " | ".join(COLUMNS)
        + " | missed |",
        "|" + " --- |" * (len(axes) + len(COLUMNS) + 3),
    ]
    for cell in result.cells:
        row = [
            str(cell.n),
            *(as_text(cell.at.get(axis, "")) for axis in axes),
            f"{SIGNS[cell.verdict]} {cell.verdict.value}",
            *(as_text(text) for text in cells_row(cell)),
            as_text("; ".join(cell.missed)) or NONE,
        ]
        lines.append("| " + " | ".join(row) + " |")
    lines += [
        "",
        f"Lab {as_text(result.lab)}, seed {result.seed}. Medians over the valid trials.",
        "",
    ]
    return "\n".join(lines)


def render_matrix_junit(result: MatrixResult) -> str:
    """A suite for each cell, a case for each threshold, one more where they do not say it all."""
    root = ET.Element("testsuites", {"name": f"chaoskit {clean(result.experiment)}"})
    for cell in result.cells:
        place_ = ", ".join(f"{axis}={value}" for axis, value in cell.at.items())
        name = clean(f"{result.experiment} [{place_}]", 300)
        suite = ET.SubElement(root, "testsuite", {"name": name})
        element, kind = ELEMENT.get(cell.verdict, (None, ""))
        outcomes: list[str | None] = []
        for expression in cell.thresholds:
            bad = expression in cell.missed
            outcomes.append(element if bad else None)
            _case(suite, name, expression, (element, kind) if bad else (None, ""), cell.sentence)
        if not outcomes or (element and element not in outcomes):
            outcomes.append(element)
            _case(suite, name, "verdict", (element, kind), cell.sentence)
        suite.set("tests", str(len(outcomes)))
        for key, what in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(key, str(outcomes.count(what)))
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(
    suite: ET.Element, name: str, expression: str, what: tuple[str | None, str], message: str
) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": name, "name": clean(expression, 300)})
    if what[0] is not None:
        ET.SubElement(case, what[0], {"message": clean(message), "type": what[1]})


def render_matrix_html(result: MatrixResult) -> str:
    """The page: the table, and a chart where an axis is made of numbers."""
    rows = [
        (cell, tuple(clean(cell.at.get(axis, "")) for axis in result.axes), cells_row(cell))
        for cell in result.cells
    ]
    return render_template(
        "matrix.html.j2",
        result.verdict,
        name=clean(result.experiment),
        sentence=clean(result.sentence),
        question=clean(result.question),
        facts_line=f"{clean(result.lab)} lab, seed {result.seed}, {len(rows)} cells",
        axes=[clean(axis, 60) for axis in result.axes],
        columns=COLUMNS,
        rows=rows,
        ladders=build_ladders(result),
    )


def build_ladders(result: MatrixResult) -> tuple[Ladder, ...]:
    """A chart for each axis of numbers and each combination of the other axes."""
    found = []
    for axis in result.axes:
        numbered = [c for c in result.cells if axis in c.scale and c.failed_over.n]
        groups: dict[tuple[str, ...], list[CellResult]] = {}
        for cell in numbered:
            others = tuple(f"{a}={v}" for a, v in cell.at.items() if a != axis)
            groups.setdefault(others, []).append(cell)
        for others, cells in groups.items():
            if len({cell.scale[axis] for cell in cells}) >= _FEWEST:
                found.append(_ladder(axis, others, cells))
    return tuple(found)


def _ladder(axis: str, others: Sequence[str], cells: Sequence[CellResult]) -> Ladder:
    cells = sorted(cells, key=lambda cell: cell.scale[axis])
    scale = Range(0.0, cells[-1].scale[axis] * 1.06)
    bottom = _HEIGHT - 22.0

    def y(share: float) -> float:
        return bottom - share * (bottom - _TOP)

    rungs = []
    for cell in cells:
        found = cell.failed_over
        top, low = y(found.high), y(found.low)
        said = f"{found.k} of {found.n} failed over, {found.low:.0%} to {found.high:.0%}"
        title = f"{clean(cell.at[axis])}: {said}"
        x = scale.x(cell.scale[axis])
        rungs.append(Rung(x, place(y(found.k / found.n)), place(top), place(low - top), title))
    where = f" ({clean(', '.join(others))})" if others else ""
    return Ladder(
        title=f"How often it failed over, by {clean(axis, 60)}{where}",
        axis=time_axis(scale, clean(axis, 60), 8),
        marks=tuple(Tick(place(y(s)), f"{s:.0%}") for s in (0.0, 0.5, 1.0)),
        rungs=tuple(rungs),
        height=place(_HEIGHT),
        bottom=place(bottom),
    )
