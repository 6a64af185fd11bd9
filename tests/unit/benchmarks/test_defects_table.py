"""The table of planted defects: what it reads from a result, and what it prints."""

import pytest
from support import ROOT, benchmark

from chaoskit.experiment.loader import load_experiment
from chaoskit.reference.defects import DEFECTS

defects = benchmark("defects")


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=lambda d: d.name)
def test_each_defects_experiment_has_a_threshold_on_what_must_find_it(defect):
    experiment = load_experiment(ROOT / "experiments" / f"{defect.experiment}.yaml")
    assert set(defect.metrics) & {t.metric for t in experiment.thresholds}


@pytest.mark.parametrize(
    ("expression", "metric"),
    [
        ("failover_time < 2s", "failover_time"),
        ("lost_writes == 0", "lost_writes"),
        ("latency.p99@recovered <= 250ms", "latency"),
        ("P(failover_time > 5s) <= 10%", "failover_time"),
        ("availability@run >= 99%", "availability"),
    ],
)
def test_the_metric_of_a_threshold(expression, metric):
    assert defects.metric_of(expression) == metric


def result(*missed, verdict="FAIL"):
    rows = [{"expression": m, "observed": "7", "verdict": "FAIL"} for m in missed]
    passed = {"expression": "client_outage < 2s", "observed": "1 s", "verdict": "PASS"}
    trials = [{"invalid_because": ["late"] if verdict == "INVALID" else []}] * 2
    return {"verdict": verdict, "expectations": [*rows, passed], "trials": trials}


def test_a_defect_is_caught_only_by_what_must_find_it(monkeypatch):
    lost = DEFECTS["acks-before-replicating"]
    said = iter([result("failover_time < 2s"), result("lost_writes == 0", "failover_time < 2s")])
    monkeypatch.setattr(defects, "run", lambda *_: next(said))
    row = defects.catch(lost, cap=3)
    assert (row.good, row.trials, row.found) == (True, 2, "lost_writes == 0")


def test_a_defect_that_only_fails_otherwise_stays_open(monkeypatch):
    monkeypatch.setattr(defects, "run", lambda *_: result("failover_time < 2s"))
    row = defects.catch(DEFECTS["acks-before-replicating"], cap=2)
    assert (row.good, row.trials) == (False, 2)
    page = defects.page([row])
    assert "**open**: not by lost_writes" in page
    assert "more than 2" in page


def test_a_threshold_that_the_sound_system_misses_is_a_false_alarm(monkeypatch):
    monkeypatch.setattr(defects, "run", lambda *_: result("flaps == 1"))
    assert not defects.clean("active-passive-kill", "active-passive", 2).good
    monkeypatch.setattr(defects, "run", lambda *_: result(verdict="PASS"))
    row = defects.clean("active-passive-kill", "active-passive", 2)
    assert (row.good, row.trials) == (True, 2)
    assert "| `active-passive-kill` | 2 | none |" in defects.page([row])
    monkeypatch.setattr(defects, "run", lambda *_: result(verdict="INVALID"))
    assert not defects.clean("active-passive-kill", "active-passive", 2).good, "nothing was shown"
