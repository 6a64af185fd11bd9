"""The benchmarks of stored runs read what is there, and say so when something is missed."""

import sys

import numpy as np
import pytest
from support import ROOT, benchmark

from chaoskit.history.reader import read_trial
from chaoskit.history.records import Op
from chaoskit.measure.metrics import measure_trial

sys.path.insert(0, str(ROOT / "benchmarks"))
overhead = benchmark("bench_overhead")
injection = benchmark("bench_injection")
judge = benchmark("bench_judge")
stored = benchmark("stored")
sys.path.remove(str(ROOT / "benchmarks"))
EXAMPLE = ROOT / "reports" / "example"


@pytest.fixture
def example():
    ((_, result),) = stored.runs([])
    return result


def test_the_steps_of_a_trial_add_up_to_what_it_spent_around_the_measurement(example):
    found = overhead.steps(example)
    together = found.pop("together")
    assert len(together) == 3
    for n, total in enumerate(together):
        assert total == pytest.approx(sum(spent[n] for spent in found.values()))
    assert "lab up" in found


def test_a_trial_that_takes_too_long_around_the_measurement_is_called_missed(example):
    assert overhead.table(example).endswith("kept")
    example["trials"][1]["overhead_s"]["lab up"] = 3.0
    assert overhead.table(example).endswith("MISSED")


def test_the_stages_of_a_fault_follow_one_another():
    found = injection.collected(EXAMPLE)
    for n in range(3):
        stages = [found["kill", stage][n] for stage in ("acknowledged", "verified", "bitten")]
        assert 0 < stages[0] <= stages[1] <= stages[2]


def test_a_directory_that_no_run_has_written_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"no result\.json"):
        stored.runs([str(tmp_path)])


def test_a_directory_that_is_named_twice_is_taken_once(tmp_path):
    (tmp_path / "latest").symlink_to(EXAMPLE)
    assert len(stored.runs([str(EXAMPLE), str(tmp_path / "latest")])) == 1


def test_the_spread_is_the_median_and_the_worst():
    assert stored.spread([3.0, 1.0, 2.0]).split() == ["2.00", "3.00"]
    assert stored.spread([3.0, 1.0], 1e-3).split() == ["2000.00", "3000.00"]


def test_a_simulated_run_of_so_many_requests_is_judged_in_a_process_of_its_own(tmp_path):
    judge.make(tmp_path, 100_000, shuffled=True)
    cost = judge.judge(tmp_path, 100_000)
    assert cost.exit_code == 0
    assert 0 < cost.report_bytes < judge.MOST_REPORT
    assert 0 < cost.peak_bytes < judge.MOST_BYTES


def test_what_is_judged_is_what_the_load_asks_with_several_clients_and_registers(tmp_path):
    judge.make(tmp_path, 20_000)
    history = read_trial(tmp_path / "trials" / "01")
    requests, pinned = history.requests, np.isin(history.requests["stream"], history.pinned)
    assert requests.size == pytest.approx(20_000, rel=0.02)
    ours = requests[~pinned]
    share = {op: np.count_nonzero(ours["op"] == op) / ours.size for op in Op}
    assert share[Op.GET] == pytest.approx(0.5, abs=0.01)
    assert share[Op.PUT] == pytest.approx(0.1, abs=0.01)
    assert share[Op.APPEND] == pytest.approx(0.4, abs=0.01)
    assert {(s.op, s.pinned) for s in history.streams if s.pinned} == {
        (op, node) for op in ("write", "read") for node in ("node-a", "node-b")
    }
    for column, many in (("client", judge.CLIENTS), ("key", judge.REGISTERS)):
        assert set(np.unique(ours[column]).tolist()) - {0} == set(range(1, many + 1))
    for client in range(1, judge.CLIENTS + 1):  # nobody has a register alone
        mine = ours[(ours["client"] == client) & (ours["op"] == Op.GET)]
        assert len(set(mine["key"].tolist())) == judge.REGISTERS
    found = measure_trial(history)
    for name in ("stale_reads", "session_violations", "stale_leader_reads"):
        assert (getattr(found, name).checked, getattr(found, name).count) == (True, 0), name
    assert len(found.clients.by_client) == judge.CLIENTS
