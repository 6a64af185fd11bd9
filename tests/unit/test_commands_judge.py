"""``judge --threshold`` and ``compare`` as a user calls them, on stored runs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaoskit.cli import cli
from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.judging import replaced

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example"


def call(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stored(folder, outages, **changed):
    """A run with one simulated trial for each outage, as if it had been made by the example."""
    facts = json.loads((EXAMPLE / "run.json").read_text("utf-8"))
    facts |= {"trials": len(outages), **changed}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    for n, outage in enumerate(outages, start=1):
        scenario = Scenario(outage_s=outage, after_s=2.5, seed=n)
        store(folder / "trials" / f"{n:02d}", simulate(scenario)[0])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    base = [0.40, 0.41, 0.42, 0.43, 0.44]
    return {
        "base": stored(root / "base", base),
        "again": stored(root / "again", [outage + 0.003 for outage in base]),
        "slow": stored(root / "slow", [outage + 0.3 for outage in base]),
        "gone": stored(root / "gone", [*base[:3], float("inf"), float("inf")]),
        "renamed": stored(root / "renamed", base, experiment="another", lab="docker"),
    }


@pytest.fixture
def example(tmp_path):
    return shutil.copytree(EXAMPLE, tmp_path / "example")


# ---------------------------------------------------------------- judge --threshold


def test_another_threshold_changes_the_outcome_and_no_file(example):
    before = contents(example)
    ran = call("judge", example, "--threshold", "failover_time < 100ms")
    assert ran.exit_code == 1
    assert ran.output.startswith("FAIL active-passive-kill")
    assert ran.output.rstrip().endswith("-> nothing written")
    assert contents(example) == before


def test_a_looser_one_replaces_the_stored_one(example):
    tight = ("--threshold", "failover_time < 100ms")
    loose = ("--threshold", "failover_time <= 9s")
    assert call("judge", example, *tight, *loose).exit_code == 0
    ran = call("judge", example, *loose, "--json")
    said = [e["expression"] for e in json.loads(ran.output)["expectations"]]
    assert "failover_time <= 9s" in said
    assert "failover_time < 2s" not in said
    assert len(said) == 5


def test_with_out_the_reports_go_there_and_name_the_thresholds(example, tmp_path):
    before, there = contents(example), tmp_path / "what" / "if"
    ran = call("judge", example, "--threshold", "failover_time < 100ms", "--out", there)
    assert ran.exit_code == 1
    assert contents(example) == before
    names = {p.name for p in there.iterdir()}
    assert names == {"result.json", "report.html", "summary.md", "junit.xml"}
    assert json.loads((there / "result.json").read_text("utf-8"))["verdict"] == "FAIL"
    assert "set: thresholds" in (there / "report.html").read_text("utf-8")
    assert str(there) in ran.output.replace("\n", "")


def test_reports_of_a_stored_run_are_never_replaced_by_those_of_other_thresholds(example):
    before = contents(example)
    ran = call("judge", example, "--threshold", "failover_time < 100ms", "--out", example)
    assert (ran.exit_code, contents(example)) == (2, before)
    assert "holds a stored run" in ran.output


def test_a_wrong_threshold_is_refused_with_its_column(example):
    ran = call("judge", example, "--threshold", "failover < 2s", "--threshold", "client_outage 2s")
    assert ran.exit_code == 2
    assert "--threshold 'failover < 2s', column 1: unknown metric" in ran.output
    assert "--threshold 'client_outage 2s', column 15: a comparison is missing" in ran.output


@pytest.mark.parametrize("name", ["missing", "no-trials"])
def test_a_folder_that_holds_no_run_is_one_sentence(name, example):
    if name == "no-trials":
        shutil.rmtree(example / "trials")
        ran = call("judge", example)
    else:
        ran = call("judge", example / "nothing")
    assert ran.exit_code == 2
    assert len(ran.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("stored_text", "more", "left"),
    [
        ("failover_time < 2s", "failover_time <= 1s", ["failover_time <= 1s"]),
        ("failover_time < 2s", "failover_time > 1s", None),
        ("failover_time < 2s", "failover_time.median < 1s", None),
        ("failover_time < 2s", "P(failover_time > 2s) <= 10%", None),
        ("lost_writes == 0", "lost_writes <= 5", None),
        ("error_rate@outage < 2%", "error_rate@run < 1%", None),
        (
            "P(failover_time > 2s) <= 20%",
            "P(failover_time > 2s) <= 10%",
            ["P(failover_time > 2s) <= 10%"],
        ),
        ("P(failover_time > 2s) <= 20%", "P(failover_time > 5s) <= 10%", None),
    ],
)
def test_what_replaces_what(stored_text, more, left):
    stored_text = stored_text.replace(".median", ".p50")
    more = more.replace(".median", ".p50")
    found = replaced([parse_threshold(stored_text)], [parse_threshold(more)])
    assert [t.text for t in found] == (left or [stored_text, more])


# ---------------------------------------------------------------- compare


def test_the_same_run_twice_is_inconclusive_with_three_trials(example):
    ran = call("compare", EXAMPLE, example)
    last = ran.output.splitlines()[-1]
    assert ran.exit_code == 3
    assert last.startswith("INCONCLUSIVE: ")
    assert "3 against 3 trials can show nothing at 95 %" in last


def test_a_run_that_is_as_fast_passes_and_nothing_is_written(runs):
    before = contents(runs["base"])
    ran = call("compare", runs["base"], runs["again"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[-1].startswith("PASS: client_outage is worse by at most")
    assert contents(runs["base"]) == before


def test_a_slower_run_fails_and_the_other_way_round_it_passes(runs):
    ran = call("compare", runs["base"], runs["slow"])
    assert ran.exit_code == 1, ran.output
    assert "failover_time is worse by +0.3" in ran.output.splitlines()[-1]
    back = call("compare", runs["slow"], runs["base"])
    assert back.exit_code == 0
    assert "is better by at least" in back.output


def test_the_margin_decides(runs):
    wide = call("compare", runs["base"], runs["slow"], "--fail-if", "failover_time +500ms")
    assert wide.exit_code == 0, wide.output
    assert "client_outage" not in wide.output
    small = call("compare", runs["base"], runs["again"], "--fail-if", "failover_time +0%")
    assert small.exit_code != 0
    assert "less than one slot of the load" in small.output


def test_trials_that_never_ended_leave_the_end_unbounded(runs):
    ran = call("compare", runs["base"], runs["gone"], "--metric", "client_outage")
    assert ran.exit_code == 3, ran.output
    assert "2 without end" in ran.output
    assert "to unbounded" in ran.output


def test_invalid_trials_are_left_out_and_counted(runs, tmp_path):
    mixed = stored(tmp_path / "mixed", [0.40, 0.41, 0.42, 0.43, 0.44, 5.0])
    folder = mixed / "trials" / "06"
    shutil.rmtree(folder)
    history = simulate(Scenario(outage_s=5.0, after_s=2.5, seed=6))[0]
    store(folder, replace(history, faults=(replace(history.faults[0], verified_ns=None),)))
    ran = call("compare", runs["base"], mixed, "--json")
    found = json.loads(ran.output)
    assert ran.exit_code == 0, ran.output
    assert "NEW: 1 trial of 6 invalid, left out" in found["notes"]
    assert [m["new"]["n"] for m in found["metrics"]] == [5, 5]


def test_of_a_run_that_ended_early_the_finished_trials_count(runs, tmp_path):
    early = shutil.copytree(runs["base"], tmp_path / "early")
    ending = {"verdict": "INTERRUPTED", "exit_code": 130, "ending": "Interrupted by signal 2."}
    (early / "result.json").write_text(json.dumps(ending), encoding="utf-8")
    marks = early / "trials" / "05" / "marks.jsonl"
    lines = marks.read_text("utf-8").splitlines()
    marks.write_text("\n".join(line for line in lines if '"window"' not in line), "utf-8")
    found = json.loads(call("compare", runs["base"], early, "--json").output)
    assert "NEW ended early, its finished trials count: Interrupted by signal 2." in found["notes"]
    assert found["metrics"][0]["new"]["n"] == 4


def planted(base, folder, change):
    """The same run, with something planted in the record of its third trial."""
    shutil.copytree(base, folder)
    trial = folder / "trials" / "03"
    shutil.rmtree(trial)
    store(trial, change(simulate(Scenario(outage_s=0.42, after_s=2.5, seed=3))[0]))
    return folder


def _two_acknowledge(history):
    requests = history.requests.copy()
    after = requests["due_ns"] > history.faults[0].acknowledged_ns + 1_500_000_000
    old = list(history.servers).index("node-a")
    requests["server"][after & (requests["token"] % 2 == 0)] = old
    return replace(history, requests=requests)


def _one_differs(history):
    held = history.finals["node-b"]
    shorter = replace(held, tokens=held.tokens[1:], counts=held.counts[1:])
    return replace(history, finals={**history.finals, "node-b": shorter})


def _same(history):
    return history


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (_two_acknowledge, 1, "s of dual primary in 1 of 5 trials of NEW, none in 5 trials"),
        (_one_differs, 1, "1 divergent writes in 1 of 5 trials of NEW, none in 5 trials of BASE"),
        (_same, 0, "PASS: client_outage is worse by at most"),
    ],
)
def test_what_new_violates_in_one_trial_fails_it(runs, tmp_path, change, code, says):
    new = planted(runs["base"], tmp_path / "new", change)
    ran = call("compare", runs["base"], new)
    assert ran.exit_code == code, ran.output
    assert says in ran.output.splitlines()[-1]


def test_counts_and_latencies_can_be_compared_too(runs):
    ran = call("compare", runs["base"], runs["slow"], "--metric", "dropped_requests")
    assert ran.exit_code == 1, ran.output
    same = ("--fail-if", "latency.p50@baseline +10%", "--fail-if", "error_rate@run +500%")
    ran = call("compare", runs["base"], runs["slow"], *same)
    assert ran.exit_code == 0, ran.output


def test_different_runs_are_refused_unless_it_is_asked_for(runs):
    ran = call("compare", runs["base"], runs["renamed"])
    assert ran.exit_code == 2
    assert len(ran.output.strip().splitlines()) == 1
    assert "experiment 'active-passive-kill' in BASE, 'another' in NEW; lab" in ran.output
    anyway = call("compare", runs["base"], runs["renamed"], "--anyway")
    assert "note: compared anyway: experiment" in anyway.output
    assert anyway.exit_code == 0


def test_another_load_is_refused(runs, tmp_path):
    streams = json.loads((EXAMPLE / "run.json").read_text("utf-8"))["streams"]
    other = stored(tmp_path / "other", [0.4], streams=[{**streams[0], "rate": 50.0}])
    ran = call("compare", runs["base"], other)
    assert ran.exit_code == 2
    assert "load 'write 200.0/s" in ran.output


def test_json_says_the_same(runs):
    ran = call("compare", runs["base"], runs["slow"], "--json")
    found = json.loads(ran.output)
    assert (found["verdict"], found["exit_code"], ran.exit_code) == ("FAIL", 1, 1)
    assert [m["metric"] for m in found["metrics"]] == ["client_outage", "failover_time"]
    shift = found["metrics"][1]
    assert shift["shift_low"] < 0.3 < shift["shift_high"]
    assert shift["cliffs_delta"] == 1.0


def test_every_wrong_argument_is_named_with_its_column(runs):
    ran = call(
        *("compare", runs["base"], runs["slow"], "--fail-if", "failover_time 10%"),
        *("--fail-if", "flops +1", "--metric", "latency.p99", "--metric", "lost_writes"),
    )
    assert ran.exit_code == 2
    assert "--fail-if 'failover_time 10%', column 15: a + and an amount are missing" in ran.output
    assert "--fail-if 'flops +1', column 1: unknown metric 'flops'" in ran.output
    assert "--metric 'latency.p99': say how much worse is too much" in ran.output
    assert "--metric 'lost_writes', column 1: lost_writes has no margin" in ran.output


def test_a_folder_without_a_run_cannot_be_compared(runs, tmp_path):
    ran = call("compare", runs["base"], tmp_path)
    assert ran.exit_code == 2
    assert "is not a stored run" in ran.output


# ---------------------------------------------------------------- a planted flaw


def test_the_result_says_that_a_flaw_was_planted_and_where(runs, tmp_path):
    planted = {"node-a": "no-fencing", "node-b": "no-fencing"}
    bad = stored(tmp_path / "bad", [0.4, 0.4, 0.4], planted=planted)
    assert json.loads(call("judge", bad, "--json").stdout)["planted"] == planted
    assert json.loads(call("judge", runs["base"], "--json").stdout)["planted"] == {}
