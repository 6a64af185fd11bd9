"""docs/reading-a-report.md explains what the report prints, with figures that it would print."""

import json
import re
from pathlib import Path

import pytest

from chaoskit.experiment.catalogue import METRICS
from chaoskit.judge.result import RunResult, Verdict
from chaoskit.report.definitions import DEFINITIONS
from chaoskit.report.figures import CLASSES, figure, figures
from tests.unit.report import samples

DOC = (Path(__file__).parents[3] / "docs" / "reading-a-report.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parents[2] / "golden" / "async-loss" / "expected.json"


@pytest.mark.parametrize("key", ["client_outage", "failover_time", "dropped_requests"])
def test_the_worked_example_is_what_the_report_would_print(key):
    metrics = samples.passing().result.trials[0].metrics
    label = next(d.label for d in DEFINITIONS if d.key == key)
    assert f"**{label}** `{figure(metrics, key)}`" in DOC


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_explained(verdict):
    assert f"| {verdict.value} |" in DOC


def test_every_figure_and_class_is_explained():
    words = [d.label.removesuffix(" writes").removesuffix(", reads") for d in DEFINITIONS]
    words += [f"| {word} | `{kind}` |" for kind, word, _ in CLASSES if kind != "ok"]
    assert [word for word in words if word not in DOC] == []


def shown():
    """Figure → print, of the stored trial that the document goes through."""
    stored = json.loads(GOLDEN.read_text("utf-8"))
    del stored["timeline"]
    (trial,) = RunResult.model_validate(stored).trials
    return dict(figures(trial))


def rows():
    """Figure → its cells, of the table that goes through it."""
    section = DOC.split("## Every figure of one trial")[1].split("\n## ")[0]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in section.splitlines()]
    return {row[0]: row[1:] for row in cells if len(row) == 4 and row[0] not in ("figure", "---")}


def family(name):
    """``latency.p50`` for each phase, ``write`` for each class, and so on."""
    return re.sub(
        r"@(baseline|fault|impact|outage|recover(y|ed)|run)$|^(write) \w+|(?<=: )\w+$|(?<=^dropped, ).*",
        "",
        name,
    )


def test_the_document_goes_through_a_trial_with_the_figures_that_it_has():
    found = shown()
    assert {name: cells[1] for name, cells in rows().items()} == {
        name: found.get(name) for name in rows()
    }


def test_no_figure_of_the_trial_is_left_out():
    told = {family(name) for name in rows()}
    assert [name for name in shown() if family(name) not in told] == []


def test_every_name_that_a_threshold_may_use_is_in_the_table():
    named = {name for cells in rows().values() for name in re.findall(r"`(\w+)`", cells[0])}
    clients = DOC.split("## Each client on its own")[1].split("\n## ")[0]  # the trial has but one
    named |= set(re.findall(r"^\|[^|]*`(\w+)` \|", clients, re.MULTILINE))
    assert set(METRICS) - named == set()
    assert all(cells[2] for cells in rows().values()), "each figure is explained"
