"""The time that a failover waited for an operator, and the machine's part beside it."""

import math
from dataclasses import replace

import pytest

from chaoskit.history.history import NodeEvent
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.reading import read
from chaoskit.measure.view import View

MS = 1_000_000


def events(truth, *story):
    return tuple(
        NodeEvent(node, truth.begin_ns + at * MS, word, truth.begin_ns + (at + 50) * MS)
        for word, at, node in story
    )


def act(truth, event, at, low=None, high=None, detail="approve b: accepted", node="node-b"):
    return {
        "event": f"operator-{event}",
        "t_ns": truth.begin_ns + at * MS,
        "node": node,
        "detail": detail,
        "low_ns": None if low is None else truth.begin_ns + low * MS,
        "high_ns": None if high is None else truth.begin_ns + high * MS,
    }


def measured(story=(), acts=(), **scenario):
    history, truth = simulate(Scenario(**{"outage_s": 1.0, **scenario}))
    notes = {**history.notes, "operator": [act(truth, *one) for one in acts]}
    history = replace(history, events=events(truth, *story), notes=notes)
    return measure_trial(history)


def pair(pending, approved, node="node-b"):
    return (("failover-pending", pending, node), ("failover-approved", approved, node))


@pytest.mark.parametrize("waited_ms", [100, 400])
def test_who_waits_longer_for_an_operator_is_measured_so(waited_ms):
    found = measured(pair(310, 310 + waited_ms))
    waited = found.time_to_approval
    assert waited.value_s == pytest.approx(waited_ms / 1000)
    assert waited.low_s == waited.value_s == waited.high_s, "both ends were told"


@pytest.mark.parametrize(("approved", "machine_s"), [(510, 0.8), (910, 0.4)])
def test_a_machine_that_is_slow_after_the_approval_is_told_from_a_slow_person(approved, machine_s):
    found = measured(pair(310, approved))
    rest = found.failover_time_without_approval
    assert rest.value_s == pytest.approx(machine_s, abs=0.01)
    whole, waited = found.failover_time, found.time_to_approval
    assert rest.value_s + waited.value_s == pytest.approx(whole.value_s)
    assert 0 <= rest.low_s <= rest.value_s <= rest.high_s


def test_where_nobody_was_asked_it_is_all_the_machines():
    found = measured()
    assert not found.time_to_approval.applicable
    assert found.failover_time_without_approval == found.failover_time
    view = View(simulate(Scenario(outage_s=1.0))[0])
    said = read(view, found, "time_to_approval", stat=None, phase=None, unit="s")
    assert (said.applicable, "wait for an operator" in said.note) == (False, True)


def test_what_was_asked_and_never_approved_is_no_approval():
    found = measured([("failover-pending", 310, "node-b")])
    assert not found.time_to_approval.applicable
    assert "nobody approved" in found.time_to_approval.note
    assert found.failover_time_without_approval.value_s == found.failover_time.value_s


def test_an_older_request_that_nobody_approved_does_not_count():
    found = measured([("failover-pending", 200, "node-b"), *pair(600, 700)])
    assert found.time_to_approval.value_s == pytest.approx(0.1)


def test_requests_that_lapsed_and_were_approved_again_are_added_up():
    found = measured([*pair(300, 400), *pair(600, 800)])
    assert found.time_to_approval.value_s == pytest.approx(0.3)
    assert "2 requests" in found.time_to_approval.note


def test_a_request_that_still_stands_at_the_end_is_censored_and_no_fault_of_the_machines():
    found = measured([("failover-pending", 300, "node-b")], outage_s=math.inf)
    waited, rest = found.time_to_approval, found.failover_time_without_approval
    assert (waited.censored, waited.high_s) == (True, None)
    assert (rest.censored, rest.high_s) == (True, None)
    assert rest.value_s == pytest.approx(0.3, abs=0.01)


def test_an_approval_that_nothing_follows_is_the_machines_doing():
    found = measured(pair(300, 500), outage_s=math.inf)
    rest = found.failover_time_without_approval
    assert found.time_to_approval.value_s == pytest.approx(0.2)
    assert not found.time_to_approval.censored
    assert rest.censored
    assert rest.value_s == pytest.approx(found.failover_time.value_s - 0.2)


def test_a_rejected_failover_has_neither():
    story = [("failover-pending", 300, "node-b")]
    acts = [("reject", 400, None, None, "reject b: accepted")]
    found = measured(story, acts, outage_s=math.inf)
    assert found.recovery == "rejected"
    for one in (found.time_to_approval, found.failover_time_without_approval):
        assert not one.applicable
        assert "rejected" in one.note


# ---------------------------------------------------------------- the operator's own marks

SAW = ("saw", 320, 290, None, "failover f-1 to b is pending: no heartbeat")
APPROVED = ("approve", 620, None, 630)


def test_without_a_word_from_any_node_the_operators_own_marks_are_the_evidence():
    found = measured(acts=[SAW, APPROVED])
    assert list(found.phases) == ["mask", "detect+approval", "elect+promote", "reroute"]
    waited = found.time_to_approval
    assert waited.value_s == pytest.approx(0.3)
    assert (waited.low_s, waited.high_s) == (pytest.approx(0.3), pytest.approx(0.34))
    ends = found.phases["detect+approval"]
    assert ends.high_s - ends.value_s >= 0.0099, "it was done between request and answer"
    total = sum(part.value_s for part in found.phases.values())
    assert total == pytest.approx(found.failover_time.value_s)


def test_what_a_node_told_goes_before_the_operators_marks():
    found = measured(pair(300, 625), acts=[SAW, APPROVED])
    assert found.time_to_approval.value_s == pytest.approx(0.325)
    assert found.time_to_approval.low_s == found.time_to_approval.high_s


def test_a_decision_that_was_refused_is_no_approval():
    refused = ("approve", 620, None, 630, "approve b: refused (409): the primary is back")
    found = measured(acts=[SAW, refused])
    assert not found.time_to_approval.applicable
    assert "detect+approval+elect+promote" in found.phases
