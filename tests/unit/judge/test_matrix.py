"""Several cells, one table: the worst of them counts, every share has its exact interval."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from scipy.stats import binomtest

from chaoskit.crossing import chosen_cells
from chaoskit.errors import BadInput
from chaoskit.judge.matrix import MatrixResult, judge_cell, judge_matrix, share
from chaoskit.judge.result import Verdict
from chaoskit.report.matrix import build_ladders, render_matrix_junit, write_matrix
from tests.unit.report import samples
from tests.unit.report.hostile import PAYLOADS


def cell(n, sample, *, at=None, scale=None, recovery=None):
    result = sample.result
    if recovery is not None:
        trials = tuple(
            t.model_copy(update={"metrics": t.metrics.model_copy(update={"recovery": recovery})})
            for t in result.trials
        )
        result = result.model_copy(update={"trials": trials})
    at = at or {"fault": f"f{n}"}
    return judge_cell(n, at, scale or {}, f"cells/{n:02d}", result)


def table(*cells, axes=None):
    axes = axes or {"fault": [c.at.get("fault", "") for c in cells]}
    return judge_matrix("m", "Which?", axes, cells, lab="sandbox", seed=1)


@pytest.mark.parametrize(
    ("made", "verdict", "code"),
    [
        ([samples.passing, samples.passing], Verdict.PASS, 0),
        ([samples.passing, samples.failing], Verdict.FAIL, 1),
        ([samples.passing, samples.invalid], Verdict.INVALID, 3),
        ([samples.inconclusive, samples.passing], Verdict.INCONCLUSIVE, 3),
        ([samples.invalid, samples.failing], Verdict.FAIL, 1),
    ],
)
def test_the_worst_cell_is_the_verdict(made, verdict, code):
    found = table(*(cell(n, make()) for n, make in enumerate(made, start=1)))
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert f"{len(made)} cells" in found.sentence
    bad = [c for c in found.cells if c.exit_code]
    assert all(next(iter(c.at.values())) in found.sentence for c in bad)


@pytest.mark.parametrize(("k", "n"), [(0, 3), (1, 3), (3, 3), (7, 30), (59, 59), (0, 1)])
def test_a_share_has_its_clopper_pearson_interval(k, n):
    found = share(k, n)
    exact = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)


def test_without_a_valid_trial_a_share_may_be_anything():
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)
    only_invalid = cell(1, samples.invalid())
    assert only_invalid.failed_over.n == only_invalid.trials < len(samples.invalid().result.trials)


def ladder(lengths, moved):
    return table(
        *(
            cell(n, samples.passing(), at={"pause": f"{s}"}, scale={"pause": s}, recovery=kind)
            for n, (s, kind) in enumerate(zip(lengths, moved, strict=True), start=1)
        ),
        axes={"pause": [str(s) for s in lengths]},
    )


def test_a_ladder_is_drawn_in_the_order_of_its_numbers_whatever_that_of_its_cells():
    found = ladder([0.4, 0.1, 0.2], ["failover", "none", "none"])
    (drawn,) = build_ladders(found)
    assert [float(rung.x) for rung in drawn.rungs] == sorted(float(r.x) for r in drawn.rungs)
    heights = [float(rung.y) for rung in drawn.rungs]  # counted from the top
    assert heights[0] == heights[1] > heights[2]
    for rung in drawn.rungs:
        assert float(rung.top) <= float(rung.y) <= float(rung.top) + float(rung.height)


@pytest.mark.parametrize("lengths", [[0.1, 0.2], [0.1, 0.1, 0.1]])
def test_two_numbers_are_no_ladder(lengths):
    assert build_ladders(ladder(lengths, ["none"] * len(lengths))) == ()


def test_every_file_is_written_and_says_the_same(tmp_path):
    found = ladder([0.1, 0.2, 0.3], ["none", "none", "failover"])
    write_matrix(tmp_path, found)
    again = MatrixResult.model_validate(json.loads((tmp_path / "matrix.json").read_text("utf-8")))
    assert again == found
    page = (tmp_path / "matrix.html").read_text("utf-8")
    assert page.count("<circle") >= 3
    assert all(f'href="cells/0{n}/report.html"' in page for n in (1, 2, 3))
    rows = [r for r in (tmp_path / "matrix.md").read_text("utf-8").splitlines() if "PASS" in r]
    assert len(rows) == 2 + 3
    ET.parse(tmp_path / "matrix-junit.xml")


def test_junit_is_red_exactly_where_the_verdict_is():
    found = table(
        cell(1, samples.passing()), cell(2, samples.failing()), cell(3, samples.invalid())
    )
    root = ET.fromstring(render_junit_of(found))
    suites = root.findall("testsuite")
    assert [int(s.get("failures")) > 0 for s in suites] == [False, True, False]
    assert [int(s.get("errors")) > 0 for s in suites] == [False, False, True]
    assert int(root.get("tests")) == sum(len(s.findall("testcase")) for s in suites)
    wanted = len(samples.passing().result.expectations)
    assert len(suites[0].findall("testcase")) == wanted


def render_junit_of(found):
    return render_matrix_junit(found).encode()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_string_of_a_run_becomes_markup(payload, tmp_path):
    hostile = samples.failing()
    result = hostile.result.model_copy(update={"sentence": payload})
    one = judge_cell(1, {payload: payload}, {}, "cells/01", result)
    found = judge_matrix(payload, payload, {payload: [payload]}, [one], lab=payload, seed=1)
    write_matrix(tmp_path, found)
    page = (tmp_path / "matrix.html").read_text("utf-8")
    for tag in ("script", "img", "iframe", "object", "form", "base"):
        assert f"<{tag}" not in page.lower(), tag
    links = re.findall(r'href="([^"]*)"', page)
    assert [link for link in links if not link.startswith("data:image/svg+xml;base64,")] == [
        "cells/01/report.html"
    ]
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", page, re.IGNORECASE)
    ET.parse(tmp_path / "matrix-junit.xml")


class Cell:
    def __init__(self, **at):
        self.cell = at


def test_a_cell_is_chosen_by_its_number_or_its_values():
    cells = [Cell(fault=f, length=v) for f in ("kill", "pause") for v in ("1s", "2s")]
    numbers = lambda *asked: [n for n, _ in chosen_cells(cells, asked)]  # noqa: E731
    assert numbers() == [1, 2, 3, 4]
    assert numbers("3") == [3]
    assert numbers("fault=pause") == [3, 4]
    assert numbers("fault=pause,length=1s", "1") == [1, 3]
    for wrong in ("5", "fault=stop", "fault", "0"):
        with pytest.raises(BadInput, match="no such cell"):
            numbers(wrong)
