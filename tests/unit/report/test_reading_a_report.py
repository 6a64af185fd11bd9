"""docs/reading-a-report.md explains what the report prints, with figures that it would print."""

from pathlib import Path

import pytest

from chaoskit.judge.result import Verdict
from chaoskit.report.figures import CLASSES, DEFINITIONS, figure
from tests.unit.report import samples

DOC = (Path(__file__).parents[3] / "docs" / "reading-a-report.md").read_text(encoding="utf-8")


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
