"""Outages that may be no more than what there was before the fault miss no bound."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.verdict import Case, TrialInput, Verdict, judge_run, judge_trial
from chaoskit.measure.metrics import measure_trial

sys.path.insert(0, str(Path(__file__).parent))
from clients_script import S, script

OF_CLIENTS = ("worst", "median", "union", "intersection")


def verdict(history, *thresholds):
    """Of one trial; thresholds as they stand in an experiment."""
    case = Case("some", tuple(parse_threshold(text) for text in thresholds))
    return judge_run(case, [judge_trial(case, TrialInput(1, history))]).verdict


def refused(history, client, requests, after_s=2.0):
    """So many requests in a row of one client are refused some time after the fault."""
    records = np.sort(history.requests, order="due_ns")
    start = history.faults[0].acknowledged_ns + int(after_s * S)
    mine = (records["client"] == client) & (records["stream"] == 0) & (records["due_ns"] >= start)
    records["outcome"][np.flatnonzero(mine)[:requests]] = Outcome.FAIL_DEFINITE
    return replace(history, requests=records)


@pytest.fixture(scope="module")
def calm():
    return script([[]] * 4)[0]


def test_one_request_of_one_client_may_be_chance_and_five_are_none(calm):
    one, five = refused(calm, 2, 1), refused(calm, 2, 5)
    bound = "client_outage_worst < 1ms"
    found = measure_trial(one).clients
    assert found.worst_client == "c1"
    assert found.worst.value_s > 0.001
    assert found.worst.chance > 0.01
    assert "may be chance" in found.worst.note
    assert verdict(one, bound) is Verdict.INCONCLUSIVE
    assert measure_trial(five).clients.worst.chance is None
    assert verdict(five, bound) is Verdict.FAIL
    assert verdict(calm, bound) is Verdict.PASS


def test_of_twelve_clients_one_is_out_by_chance_more_often_than_the_only_one():
    only, many = (
        measure_trial(refused(script([[]] * n, rate=50.0 * n)[0], 1, 2)).clients for n in (1, 12)
    )
    assert only.by_client["c0"].chance is many.by_client["c0"].chance is None
    assert only.worst.chance is None
    assert many.worst_client == "c0"
    assert many.worst.chance > 0.01


def test_a_client_that_never_comes_back_is_no_chance():
    history, _ = script([[], [(1.0, float("inf"))]])
    found = measure_trial(history).clients
    assert found.worst.censored
    assert found.worst.chance is None


def test_lone_requests_all_over_are_together_no_chance(calm):
    """Each may be chance; of so many the sum of them is none."""
    history = calm
    for n in range(40):
        history = refused(history, n % 4 + 1, 1, after_s=0.2 + 0.1 * n)
    found = measure_trial(history).clients
    assert found.union.chance is None
    assert measure_trial(refused(calm, 1, 1)).clients.union.chance > 0.01


@pytest.mark.parametrize("of", OF_CLIENTS)
def test_an_outage_of_all_clients_is_no_chance(of):
    history, _ = script([[(0.1, 1.1)]] * 4)
    assert getattr(measure_trial(history).clients, of).chance is None
    assert verdict(history, f"client_outage_{of} < 500ms") is Verdict.FAIL
    assert verdict(history, f"client_outage_{of} < 2s") is Verdict.PASS


def test_half_of_the_clients_out_for_a_request_each_may_be_chance(calm):
    history = calm
    for client in (1, 2, 3):
        history = refused(history, client, 1, after_s=float(client))
    found = measure_trial(history).clients.median
    assert found.value_s > 0
    assert found.chance > 0.01


def test_a_failover_time_that_ends_with_a_lone_bad_request_may_be_none():
    """Nobody took over; one request was refused, a second after the fault."""
    history, _ = script([[]])
    one, five = refused(history, 1, 1, after_s=1.2), refused(history, 1, 5, after_s=1.2)
    bound = "failover_time < 1100ms"
    found = measure_trial(one).failover_time
    assert found.value_s == pytest.approx(1.2, abs=0.1)
    assert found.chance > 0.01
    assert "may be chance" in found.note
    assert verdict(one, bound) is Verdict.INCONCLUSIVE
    assert measure_trial(five).failover_time.chance is None
    assert verdict(five, bound) is Verdict.FAIL


def test_where_another_node_took_over_its_first_write_is_the_least_and_nothing_is_chance():
    history, _ = simulate(Scenario(outage_s=0.1, rate=15.0, after_s=4.0))
    found = measure_trial(history)
    assert found.client_outage.chance > 0.01, "one write of so few"
    assert found.failover_time.chance is None
    assert "may be chance" in found.failover_time.note
    assert 0 < found.failover_time.low_s <= found.failover_time.value_s


@pytest.mark.parametrize("of", OF_CLIENTS)
def test_an_outage_of_all_at_once_is_sure_though_each_of_them_lost_one_request(of):
    history, _ = script([[(1.0, 1.1)]] * 8, rate=100.0)
    found = measure_trial(history).clients
    assert max(found.bad.values()) <= 2
    assert getattr(found, of).chance is None
