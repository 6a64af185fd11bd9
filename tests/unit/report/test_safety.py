"""What must be 0: nodes that differ are a finding where a threshold asks, else a fact."""

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import FinalRead
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.report.detail import DETAILS
from chaoskit.report.sections import build_safety

LOST = Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count")
APART = Threshold("divergent_writes == 0", "divergent_writes", "==", 0.0, "count")


@pytest.fixture(scope="module")
def apart():
    """One node lacks what the other has; nothing is lost."""
    history, _ = simulate(Scenario(outage_s=0.5))
    held = history.finals["node-b"]
    finals = {
        **history.finals,
        "node-b": FinalRead("node-b", held.tokens[4:], np.ones(held.tokens.size - 4, np.uint64)),
    }
    return TrialInput(1, type(history)(**{**vars(history), "finals": finals}))


def judged(trial, *thresholds):
    result = judge_histories(Case("split", thresholds), [trial])
    (row,) = [r for r in build_safety(result, DETAILS[0]) if r.label == "divergent writes"]
    return result, row


def test_nodes_that_differ_fail_by_name_and_the_writes_are_shown(apart):
    result, row = judged(apart, LOST, APART)
    verdicts = {e.expression: e.verdict for e in result.expectations}
    assert verdicts == {"lost_writes == 0": Verdict.PASS, "divergent_writes == 0": Verdict.FAIL}
    assert result.exit_code == 1
    assert "divergent_writes == 0 (4)" in result.sentence
    assert (row.total, row.holds, len(row.examples)) == ("4", False, 4)
    assert row.examples[0][-1] == "on node-a, not on node-b"
    assert row.notes == ("node-b lacks 4; 4 of them had been acknowledged",)


def test_where_no_threshold_asks_it_is_told_and_not_judged(apart):
    result, row = judged(apart, LOST)
    assert result.verdict is Verdict.PASS
    assert (row.total, row.holds) == ("4", None)
    told = [text for text in result.not_checked if "divergent_writes" in text]
    assert told == [
        "data nodes differ in the end, by up to 4 writes, and no threshold speaks of divergent_writes"
    ]


def test_nodes_that_agree_are_no_matter():
    trial = TrialInput(1, simulate(Scenario(outage_s=0.5))[0])
    result, row = judged(trial, LOST)
    assert (row.total, row.holds) == ("0", True)
    assert not any("divergent" in text for text in result.not_checked)
