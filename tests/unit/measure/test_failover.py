"""Failover time, its parts, and what kind of recovery it was."""

import math
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.answered import Hands
from chaoskit.measure.cause import writer_changed
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.phases import split
from chaoskit.measure.roles import primaries, promotion, spells
from chaoskit.measure.view import View

MS = 1_000_000


def test_the_low_end_counts_from_verified_and_the_high_end_from_commanded():
    history, truth = simulate(Scenario(outage_s=0.8))
    fault = replace(
        history.faults[0],
        commanded_ns=truth.begin_ns - 30 * MS,
        verified_ns=truth.begin_ns + 20 * MS,
    )
    found = measure_trial(replace(history, faults=(fault,))).failover_time
    assert found.value_s == pytest.approx(0.8, abs=0.01)
    assert found.value_s - found.low_s == pytest.approx(0.020, abs=1e-6)
    assert found.high_s - found.value_s == pytest.approx(0.030, abs=1e-6)


def test_the_generators_lag_is_added_to_both_ends():
    history, _ = simulate(Scenario(outage_s=0.8, lag_s=0.004))
    sharp, _ = simulate(Scenario(outage_s=0.8))
    found, bare = measure_trial(history).failover_time, measure_trial(sharp).failover_time
    assert found.high_s - found.low_s > bare.high_s - bare.low_s + 0.006


def test_the_first_good_write_ends_it_and_not_the_first_late_answer():
    history, truth = simulate(Scenario(style="stall", timeout_s=2.0, deadline_s=0.01))
    found = measure_trial(history).failover_time
    good = history.requests[
        (history.requests["outcome"] == Outcome.OK) & (history.requests["done_ns"] > truth.end_ns)
    ]
    first = (good["done_ns"].min() - history.faults[0].acknowledged_ns) / 1e9
    assert found.value_s == pytest.approx(first, abs=1e-9)


def test_nothing_failed_over_where_nothing_was_out_and_the_writer_stayed():
    found = measure_trial(simulate(Scenario(outage_s=0.0))[0])
    assert not found.failover_time.applicable
    assert found.failover_time.value_s is None
    assert found.phases == {}
    assert found.recovery == "none"


def test_a_role_that_moved_without_an_outage_did_fail_over():
    history, truth = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    requests["server"][requests["done_ns"] > truth.begin_ns + 300 * MS] = 2
    found = measure_trial(replace(history, requests=requests))
    assert found.client_outage.value_s == 0
    assert found.failover_time.value_s == pytest.approx(0.3, abs=0.01)
    assert found.recovery == "failover"


def test_a_noop_never_fails_anything_over_not_even_where_a_request_was_slow():
    history, truth = simulate(Scenario(outage_s=0.0, bites=False))
    requests = history.requests.copy()
    slow = np.argmax(requests["due_ns"] * (requests["due_ns"] < truth.begin_ns + 2 * 10**9))
    requests["outcome"][slow] = Outcome.OK_LATE
    requests["done_ns"][slow] = requests["due_ns"][slow] + 150 * MS
    found = measure_trial(replace(history, requests=requests))
    assert found.client_outage.value_s > 0
    assert not found.failover_time.applicable


def test_a_service_that_stays_away_is_censored_and_failed():
    found = measure_trial(simulate(Scenario(outage_s=math.inf))[0])
    assert found.recovery == "failed"
    assert found.failover_time.censored
    assert found.failover_time.high_s is None
    assert found.phases == {}


@pytest.mark.parametrize(("fails_over", "kind"), [(True, "failover"), (False, "in-place restart")])
def test_the_kind_of_recovery_is_told_by_who_writes_after_it(fails_over, kind):
    assert measure_trial(simulate(Scenario(fails_over=fails_over))[0]).recovery == kind


def told(history, **act):
    """The same, with what an operator did."""
    return replace(history, notes={**history.notes, "operator": [act]})


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        ({"event": "operator-reject", "detail": "node-b: accepted"}, "rejected"),
        ({"event": "operator-reject", "detail": "node-b: 409, too late"}, "in-place restart"),
        ({"event": "operator-approve", "detail": "node-b: accepted"}, "in-place restart"),
    ],
)
def test_a_refused_failover_is_a_kind_of_its_own_where_the_refusal_was_heard(act, kind):
    history = simulate(Scenario(fails_over=False))[0]
    assert measure_trial(told(history, **act)).recovery == kind


@pytest.mark.parametrize(
    ("detail", "kind"), [("node-b: accepted", "rejected"), ("node-b: 409, too late", "failed")]
)
def test_who_refuses_the_failover_of_a_primary_that_stays_dead_is_told_apart(detail, kind):
    history = simulate(Scenario(outage_s=math.inf))[0]
    found = measure_trial(told(history, event="operator-reject", detail=detail))
    assert found.recovery == kind
    assert found.client_outage.censored, "a decision, not a recovery"


def test_who_fails_over_all_the_same_was_not_held_back_by_a_refusal():
    history = simulate(Scenario(fails_over=True))[0]
    act = {"event": "operator-reject", "detail": "node-b: accepted"}
    assert measure_trial(told(history, **act)).recovery == "failover"


def test_the_parts_are_those_observed_and_sum_to_the_whole():
    found = measure_trial(simulate(Scenario())[0])
    assert list(found.phases) == ["mask", "detect+elect+promote", "reroute"]
    total = sum(p.value_s for p in found.phases.values())
    assert total == pytest.approx(found.failover_time.value_s, abs=1e-9)
    assert found.phases["detect+elect+promote"].value_s == pytest.approx(0.95, abs=0.04)


def test_parts_that_nobody_observed_are_merged():
    history, _ = simulate(Scenario())
    found = measure_trial(replace(history, observations=()))
    assert list(found.phases) == ["mask", "detect+elect+promote+reroute"]
    assert found.time_to_detect is None
    total = sum(p.value_s for p in found.phases.values())
    assert total == pytest.approx(found.failover_time.value_s, abs=1e-9)


def test_marks_outside_are_moved_to_the_ends():
    parts = split(100, [("mask", 50), ("promote", 500), ("reroute", 300)], 300)
    assert parts == [("mask", 0), ("promote", 200), ("reroute", 0)]


@pytest.mark.parametrize("detected", [0.01, 0.5, 0.94])
def test_where_no_node_tells_a_promotion_says_only_by_when_the_fault_was_detected(detected):
    history, truth = simulate(Scenario(outage_s=1.0))
    found = measure_trial(history).time_to_detect
    promoted = 0.95  # the simulated backup says primary 50 ms before clients get through
    assert found.at_most
    assert found.low_s <= detected < promoted <= found.value_s == found.high_s
    assert found.high_s <= promoted + 0.05 + 0.005
    assert found.note.startswith("at most")
    change = promotion(history, truth.begin_ns, history.window.observe_end_ns)
    assert change.node == "node-b"
    assert change.after_ns < truth.begin_ns + 950 * MS <= change.seen_ns


def test_no_promotion_is_seen_where_nobody_was_primary_before_or_after():
    history, truth = simulate(Scenario(fails_over=False))
    assert promotion(history, truth.begin_ns, history.window.observe_end_ns) is None
    assert promotion(replace(history, observations=()), truth.begin_ns, 1 << 62) is None


def test_roles_are_joined_into_spells():
    history, truth = simulate(Scenario(outage_s=0.5))
    seen = [(s.node, s.role) for s in spells(history)]
    assert seen == [
        ("node-a", "primary"),
        ("node-a", None),
        ("node-a", "backup"),
        ("node-b", "backup"),
        ("node-b", "primary"),
    ]
    assert primaries(history, truth.begin_ns) == {"node-a"}
    assert "node-b" in primaries(history, history.window.observe_end_ns)


def test_a_straggler_is_not_a_writer():
    history, _ = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    requests["server"][np.argmax(requests["due_ns"])] = 2
    view = View(replace(history, requests=requests))
    assert view.writers_after == {"node-a"}
    assert not writer_changed(view)


def test_a_write_that_the_new_primary_took_proves_its_promotion_before_a_poll_does():
    history, truth = simulate(Scenario(outage_s=1.0))
    seldom = tuple(
        o
        for o in history.observations
        if not truth.begin_ns + 900 * MS < o.sent_ns < truth.end_ns + 300 * MS
    )
    found = measure_trial(replace(history, observations=seldom))
    assert found.time_to_detect.value_s <= found.failover_time.high_s
    assert found.time_to_detect.low_s <= 0.95 <= found.time_to_detect.high_s
    assert found.time_to_detect.high_s < 1.01


# ---------------------------------------------------------------- an outage that the heal brings


def out_again(history, start_s, end_s):
    """Every request due so long after the fault is refused."""
    requests, zero = history.requests.copy(), history.faults[0].acknowledged_ns
    due = requests["due_ns"] - zero
    chosen = (due >= start_s * 1_000_000_000) & (due < end_s * 1_000_000_000)
    requests["outcome"][chosen], requests["server"][chosen] = Outcome.FAIL_DEFINITE, 0
    return replace(history, requests=requests)


def test_an_outage_that_the_heal_brings_is_the_clients_and_no_part_of_the_failover():
    history, _ = simulate(Scenario(outage_s=0.5, after_s=6.0))  # healed 1.5 s after the fault
    once = measure_trial(history)
    twice = measure_trial(out_again(history, 1.6, 3.0))
    assert once.failover_time.value_s == pytest.approx(0.5, abs=0.02)
    assert twice.failover_time.value_s == once.failover_time.value_s
    assert twice.client_outage.value_s == pytest.approx(1.4, abs=0.02)
    assert "came with the heal" in twice.failover_time.note
    assert once.failover_time.note is None
    assert list(twice.phases) == list(once.phases)
    assert twice.recovery == "failover"


def served_by(history, number, from_s):
    """Whoever answers since so long after the fault is that server."""
    requests, zero = history.requests.copy(), history.faults[0].acknowledged_ns
    later = (requests["done_ns"] - zero >= from_s * 1_000_000_000) & (requests["server"] > 0)
    requests["server"][later] = number
    return replace(history, requests=requests)


def out_under_the_fault(history):
    """And again from half a second before the heal on, for longer than the first time."""
    return out_again(history, 1.0, 3.0)


def test_a_longer_one_after_which_the_same_node_goes_on_is_no_part_of_the_failover():
    history, _ = simulate(Scenario(outage_s=0.5, after_s=6.0))
    found = measure_trial(out_under_the_fault(history))
    assert found.failover_time.value_s == pytest.approx(0.5, abs=0.02)
    assert found.client_outage.value_s == pytest.approx(2.0, abs=0.02)
    assert "left the same node in office" in found.failover_time.note
    assert sum(p.value_s for p in found.phases.values() if p.value_s) >= 0.48


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(lambda h: served_by(h, 1, 2.9), id="the office changes hands in both"),
        pytest.param(lambda h: served_by(h, 1, 0.0), id="it is not seen to change hands in any"),
        pytest.param(lambda h: served_by(h, 0, -60.0), id="nobody says who answers"),
    ],
)
def test_of_those_that_are_alike_the_longest_is_the_failover_s(served):
    history, _ = simulate(Scenario(outage_s=0.5, after_s=6.0))
    found = measure_trial(served(out_under_the_fault(history)))
    assert found.failover_time.value_s == pytest.approx(3.0, abs=0.02)
    assert found.failover_time.note is None


@pytest.mark.parametrize(("late", "changed"), [(1, False), (2, True)])
def test_a_straggler_of_the_old_primary_is_nobody_who_took_over(late, changed):
    history, _ = simulate(Scenario(outage_s=0.5, after_s=6.0))
    requests = out_under_the_fault(history).requests
    back = requests["done_ns"] - history.faults[0].acknowledged_ns >= 3_000_000_000
    rows = np.flatnonzero(back & (requests["outcome"] == Outcome.OK) & (requests["stream"] == 0))
    requests["server"][rows[np.argsort(requests["due_ns"][rows])][:late]] = 1
    view = View(replace(history, requests=requests))
    second = max(view.outages(view.headline), key=lambda o: o.start_ns)
    assert Hands(view.headline, None).changed(second) is changed


def test_one_that_never_ends_leaves_the_trial_without_a_recovery():
    history, _ = simulate(Scenario(outage_s=0.5, after_s=6.0))
    found = measure_trial(out_again(history, 1.6, 60.0))
    assert found.failover_time.censored
    assert found.recovery == "failed"


def test_where_nothing_was_out_under_the_fault_the_one_at_the_heal_is_answered():
    history, _ = simulate(Scenario(outage_s=0.0, after_s=6.0))
    found = measure_trial(out_again(history, 1.6, 3.0))
    assert found.failover_time.value_s == pytest.approx(3.0, abs=0.02)
    assert found.recovery == "in-place restart"


@pytest.mark.parametrize(
    ("error", "told"), [("silent", False), ("reset", False), ("refused", True), ("HTTP 503", True)]
)
def test_a_poll_that_timed_out_does_not_say_that_a_node_was_still_no_primary(error, told):
    history, truth = simulate(Scenario(outage_s=1.0))
    until = history.window.observe_end_ns
    sure = promotion(history, truth.begin_ns, until)
    polls = [
        replace(one, value=None, error=error)
        if one.node == "node-b" and sure.after_ns - 200 * MS < one.sent_ns <= sure.after_ns
        else one
        for one in history.observations
    ]
    found = promotion(replace(history, observations=tuple(polls)), truth.begin_ns, until)
    assert found.seen_ns == sure.seen_ns
    assert (found.after_ns == sure.after_ns) is told
    assert found.after_ns > sure.after_ns - 400 * MS
