"""What must be 0: nodes that differ are a finding where a threshold asks, else a fact."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.report.detail import DETAILS
from chaoskit.report.sections import build_safety

MS = 1_000_000
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


# ---------------------------------------------------------------- two primaries


TWO = Threshold("dual_primary == 0", "dual_primary", "==", 0.0, "s")
LABEL = "writes to two primaries"


def row_of(history, *thresholds):
    result = judge_histories(Case("two", thresholds), [TrialInput(1, history)])
    return result, next((r for r in build_safety(result, DETAILS[0]) if r.label == LABEL), None)


@pytest.fixture(scope="module")
def stepped_down():
    """node-a is out at 0, refuses from then on, and node-b serves from 500 ms on."""
    return simulate(Scenario(outage_s=0.5, pinned=50.0))[0]


@pytest.fixture(scope="module")
def both(stepped_down):
    """The same, but node-a acknowledges its pinned writer for 800 ms more."""
    requests = stepped_down.requests.copy()
    since = requests["due_ns"] - stepped_down.faults[0].acknowledged_ns
    chosen = (requests["stream"] == 1) & (since >= 0) & (since < 800 * MS)
    requests["outcome"][chosen], requests["error"][chosen] = Outcome.OK, 0
    return replace(stepped_down, requests=requests)


def test_the_first_ten_writes_that_prove_two_primaries_are_shown(both):
    result, row = row_of(both, TWO)
    assert result.verdict is Verdict.FAIL
    (trial,) = result.trials
    dual = trial.metrics.dual_primary
    # Of each within the other's reign: 15 of node-a's own, and all that node-b took meanwhile.
    assert row.total == str(dual.writes)
    assert (row.holds, len(row.examples), row.left_out) == (False, 10, dual.writes - 10)
    assert f"trial 1: {dual.writes}" in row.where
    names = {e[4] for e in row.examples}
    assert names == {"node-a", "node-b"}
    records = {int(r["token"]): r for r in both.requests}
    for _, token, sent, done, who, words in row.examples:
        mine, other = records[int(token)], {"node-a": "node-b", "node-b": "node-a"}[who]
        assert both.servers[mine["server"]] == who
        assert 0.49 < float(sent.removesuffix(" s")) <= float(done.removesuffix(" s")) < 0.81
        before, after = (
            records[int(n)]
            for n in words.split()
            if n.rstrip(",").isdigit()
            for n in [n.rstrip(",")]
        )
        assert words.startswith(f"{other} had acknowledged ")
        assert {both.servers[r["server"]] for r in (before, after)} == {other}
        assert before["done_ns"] < mine["sent_ns"] < mine["done_ns"] < after["sent_ns"]


def test_nobody_is_shown_where_one_follows_the_other(stepped_down):
    _, row = row_of(stepped_down, TWO)
    assert (row.total, row.holds, row.examples) == ("0", True, ())


def test_what_nobody_asked_is_no_zero():
    _, row = row_of(simulate(Scenario(outage_s=0.5))[0], LOST)
    assert (row.holds, row.where) == (None, "not checked")
    assert row.notes == ("only through the front door: there are no pinned writers",)


def test_where_several_are_meant_to_acknowledge_there_is_no_such_row(stepped_down):
    assert row_of(replace(stepped_down, notes={"sharing": {"spread": True}}), LOST)[1] is None
