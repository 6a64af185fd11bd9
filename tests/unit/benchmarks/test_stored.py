"""The benchmarks of stored runs read what is there, and say so when something is missed."""

import sys

import pytest
from support import ROOT, benchmark

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
