"""No metric that a threshold may name is left without a plant."""

from pathlib import Path

import pytest

from chaoskit.experiment.catalogue import METRICS
from tests.planted.test_histories import THRESHOLDS

TESTS = Path(__file__).parents[1]
PHASES = "unit/measure/test_phases.py"
APPROVAL = "unit/measure/test_approval.py"
STEADY = "unit/measure/test_steady.py"
ELSEWHERE = {
    "failback_outage": (PHASES, "test_an_outage_on_the_way_back_is_measured_as_any_other"),
    "failback_time": (PHASES, "test_the_way_back_is_timed_from_the_heal_and_its_kind_told"),
    "time_to_approval": (APPROVAL, "test_who_waits_longer_for_an_operator_is_measured_so"),
    "failover_time_without_approval": (
        APPROVAL, "test_a_machine_that_is_slow_after_the_approval_is_told_from_a_slow_person",
    ),
    "stale_leader_reads": (
        "unit/measure/test_leader_reads.py",
        "test_a_deposed_primary_that_answers_from_the_past_and_claims_office_is_counted",
    ),
    "time_to_redundancy": (PHASES, "test_redundancy_is_back_when_the_last_node_is_whole_for_good"),
    "latency_overshoot": (STEADY, "test_overshoot_is_what_the_worst_second_has_above_the_baseline"),
    "lost_goodput": (STEADY, "test_lost_goodput_counts_what_each_second_is_short_of"),
    "metastable": (
        "unit/measure/test_metastable.py", "test_each_planted_history_gets_its_verdict",
    ),
    "promotions": (
        "unit/measure/test_takeovers.py",
        "test_a_failover_under_a_fault_has_a_cause_and_one_before_it_has_none",
    ),
}  # fmt: skip
"""Metric → file and test that plants it, where histories of its own kind are made."""


def unplanted(metrics):
    """Which of these no plant is known of."""
    return set(metrics) - {t.metric for t in THRESHOLDS} - set(ELSEWHERE)


def test_every_metric_that_a_threshold_may_name_is_planted_somewhere():
    assert unplanted(METRICS) == set()
    assert unplanted([*METRICS, "new_metric"]) == {"new_metric"}


def test_no_exception_is_left_over():
    assert set(ELSEWHERE) <= set(METRICS)
    assert set(ELSEWHERE).isdisjoint(t.metric for t in THRESHOLDS)


@pytest.mark.parametrize("metric", ELSEWHERE)
def test_what_is_planted_elsewhere_is(metric):
    file, test = ELSEWHERE[metric]
    assert f"def {test}(" in (TESTS / file).read_text("utf-8")
