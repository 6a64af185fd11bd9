"""The table of planted defects: what it reads from a result, and what it prints."""

import pytest
from support import ROOT, benchmark

from chaoskit.experiment.loader import load_experiment
from chaoskit.judge.findings import FINDINGS, OWNED
from chaoskit.reference.defects import DEFECTS

defects = benchmark("defects")


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=lambda d: d.name)
def test_each_defects_experiment_has_a_threshold_on_what_must_find_it(defect):
    experiment = load_experiment(ROOT / "experiments" / f"{defect.experiment}.yaml")
    metrics = {t.metric for t in experiment.thresholds}
    assert set(defect.metrics) & (metrics | set(FINDINGS))


def test_no_defect_is_found_by_an_outage_that_says_nothing_of_its_property():
    assert all("client_outage" not in d.metrics for d in DEFECTS.values())


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


@pytest.mark.parametrize(("missed", "good"), [(OWNED, True), ("client_outage < 2s", False)])
def test_a_shard_without_owner_is_found_by_the_finding_that_says_so(monkeypatch, missed, good):
    monkeypatch.setattr(defects, "run", lambda *_: result(missed))
    assert defects.catch(DEFECTS["shard-without-owner"], cap=1).good is good


@pytest.fixture
def sound(monkeypatch):
    """The row of a sound run that came to this result, and the page's line of it."""

    def made(said):
        monkeypatch.setattr(defects, "run", lambda *_: said)
        row = defects.clean("active-passive-kill", "active-passive", 2)
        page = defects.page([row])
        return row, next(line for line in page.splitlines() if "`active-passive-kill`" in line)

    return made


def test_a_threshold_that_the_sound_system_misses_is_a_false_alarm(sound):
    row, line = sound(result("flaps == 1"))
    assert not row.good
    assert "**open**: flaps == 1 (7)" in line


def test_a_sound_run_that_passes_is_clean(sound):
    row, line = sound(result(verdict="PASS"))
    assert (row.good, row.trials) == (True, 2)
    assert line == "| `active-passive-kill` | 2 | none |"


def test_a_sound_run_that_could_not_be_told_is_not_clean(sound):
    said = result(verdict="INCONCLUSIVE")
    said["expectations"].append(
        {"expression": "dual_primary == 0", "observed": "0 s to 0.1 s", "verdict": "INCONCLUSIVE"}
    )
    row, line = sound(said)
    assert (row.good, row.trials, row.found) == (False, 2, "dual_primary == 0")
    assert "**open**: dual_primary == 0 (0 s to 0.1 s)" in line


@pytest.mark.parametrize("verdict", ["INVALID", "ERROR", "INTERRUPTED", "ABORTED"])
def test_a_sound_run_that_says_nothing_is_not_clean(sound, verdict):
    row, line = sound(result(verdict=verdict))
    assert not row.good
    assert "**open**" in line


def test_a_sound_run_that_is_invalid_although_some_trials_are_valid_is_not_clean(sound):
    said = result(verdict="INVALID")
    said["trials"].append({"invalid_because": []})
    row, line = sound(said)
    assert (row.good, row.trials, row.found) == (False, 1, "INVALID")
    assert "**open**: INVALID |" in line


@pytest.mark.parametrize("experiment", defects.ALSO)
def test_what_else_the_sound_system_must_pass_is_an_experiment_that_no_defect_needs(experiment):
    assert (ROOT / "experiments" / f"{experiment}.yaml").exists()
    assert experiment not in {d.experiment for d in DEFECTS.values()}
    assert defects.ALSO[experiment] in {d.shape for d in DEFECTS.values()}


def test_also_asks_for_so_many_sound_trials_of_each_of_them(monkeypatch):
    asked = {}

    def run(experiment, defect, seed, trials=1):
        asked[experiment] = trials
        return result("lost_writes == 0") if defect else result(verdict="PASS")

    monkeypatch.setattr(defects, "run", run)
    list(defects.rows(["loses-in-flight"], 1, 1, 0, 0))
    assert asked == {"active-passive-kill": 1}
    list(defects.rows(["loses-in-flight"], 1, 1, 0, 3))
    assert asked == {"active-passive-kill": 1, **dict.fromkeys(defects.ALSO, 3)}
