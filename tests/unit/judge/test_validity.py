"""Every assumption: kept in the clean twin, broken once each, with the knob in the sentence."""

import math
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import LATE, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.findings import findings
from chaoskit.judge.validity import Gates, reasons
from chaoskit.measure.view import View

MS = 1_000_000
S = 1_000_000_000


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario())[0]


def records(history, change):
    requests = history.requests.copy()
    change(requests, np.argsort(requests["due_ns"]))
    return replace(history, requests=requests)


def with_fault(history, **changes):
    return replace(history, faults=(replace(history.faults[0], **changes),))


def said(history, gates=None):
    return reasons(View(history), gates or Gates())


@pytest.mark.parametrize("style", ["refuse", "503", "stall", "drop"])
@pytest.mark.parametrize("lag_s", [0.0, 0.003])
def test_a_clean_trial_breaks_no_assumption(style, lag_s):
    three = (("write", "write", "kept"), ("read", "read", "kept"), ("read/new", "read", "new"))
    history, _ = simulate(Scenario(style=style, lag_s=lag_s, streams=three))
    assert said(history) == ()
    assert findings(View(history)) == ()


def _late(seconds, count):
    def change(requests, order):
        picked = order[800 : 800 + count]
        requests["sent_ns"][picked] += int(seconds * S)
        requests["done_ns"][picked] += int(seconds * S)
        requests["outcome"][picked] = Outcome.FAIL_DEFINITE

    return change


def _not_sent(count):
    def change(requests, order):
        picked = order[800 : 800 + count]
        requests["outcome"][picked] = Outcome.NOT_SENT
        requests["sent_ns"][picked] = requests["done_ns"][picked] = 0

    return change


def _bad_before(count):
    def change(requests, order):
        requests["outcome"][order[300 : 300 + count]] = Outcome.FAIL_DEFINITE

    return change


def _set(name, value):
    def change(requests, order):
        requests[name][order[500]] = value

    return change


def _twin_token(requests, order):
    requests["token"][order[500]] = requests["token"][order[501]]


def _over_deadline(requests, order):
    requests["done_ns"][order[300]] += 150 * MS


RECORDS = {
    "generator far too late once": (_late(0.06, 1), "60 ms late at worst"),
    "generator late at p99": (_late(0.02, 200), "late at p99"),
    "slots not sent in a row": (_not_sent(12), "12 slots of write were not sent"),
    "baseline dirty": (_bad_before(20), "baseline was not clean: 20 of"),
    "class unknown": (_set("outcome", 0), "have no outcome class"),
    "classes that do not add up": (
        _set("outcome", 0),
        "the classes of write do not add up to the requests due (in baseline, run)",
    ),
    "a class beyond the last": (
        _set("outcome", 77),
        "the classes of write do not add up to the requests due",
    ),
    "stream unknown": (_set("stream", 9), "belong to no stream"),
    "error unknown": (_set("error", 99), "name an unknown error"),
    "server unknown": (_set("server", 99), "name an unknown server"),
    "done before sent": (_set("done_ns", 1), "were done before sent"),
    "sent before due": (_set("sent_ns", 1), "were sent before they were due"),
    "token twice": (_twin_token, "token that is not unique"),
    "ok after the deadline": (_over_deadline, "wrong side of the deadline"),
}


def test_a_baseline_that_is_dirty_in_several_streams_is_one_sentence():
    both = (("write", "write", "kept"), ("read", "read", "kept"))
    history = simulate(Scenario(streams=both))[0]
    requests = history.requests.copy()
    order = np.argsort(requests["due_ns"])
    requests["outcome"][order[300:360]] = Outcome.FAIL_DEFINITE
    dirty = [r for r in said(replace(history, requests=requests)) if "not clean" in r]
    assert len(dirty) == 1
    assert " of write and 30 of " in dirty[0]
    assert dirty[0].count("lower the rate") == 1


@pytest.mark.parametrize("case", RECORDS)
def test_a_defect_of_load_or_record_is_a_reason(clean, case):
    change, says = RECORDS[case]
    found = said(records(clean, change))
    assert any(says in sentence for sentence in found), found


@pytest.mark.parametrize("why", [LATE, "not sent: too many requests in flight"])
def test_one_slot_for_which_the_generator_came_too_late_is_a_reason(clean, why):
    """It was later than any that it sent. No room is another matter: the system holds that."""
    changed = records(clean, _not_sent(1))
    order = np.argsort(changed.requests["due_ns"])
    changed.requests["error"][order[800]] = len(changed.errors)
    found = said(replace(changed, errors=(*changed.errors, why)))
    assert any("that 1 slot had to be left out" in sentence for sentence in found) == (why == LATE)


FAULTS = {
    "not verified": ({"verified_ns": None}, "was not verified"),
    "did not bite": ({"bitten_ns": None}, "did not bite"),
    "not healed": ({"healed_ns": None}, "was not seen to be healed"),
    "told backwards": ({"acknowledged_ns": 1}, "acknowledged before it was commanded"),
    "bit after heal": ({"bitten_ns": 1 << 60}, "only after it was healed"),
    "too late to be seen": (
        {"verified_ns": 10**15, "bitten_ns": 10**15 + 1, "healed_ns": 10**15 + 2},
        "in force only",
    ),
    "before the observation": ({"commanded_ns": 1}, "outside the observed stretch"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_that_is_not_shown_to_have_been_in_force_is_a_reason(clean, case):
    changes, says = FAULTS[case]
    found = said(with_fault(clean, **changes))
    assert any(says in sentence and "kill of node-a" in sentence for sentence in found), found


def test_why_the_fault_could_not_be_shown_is_part_of_the_sentence(clean):
    found = said(with_fault(clean, bitten_ns=None, problem="the dial never failed"))
    assert any("(the dial never failed)" in sentence for sentence in found)


def test_a_noop_needs_not_bite_nor_be_felt_to_be_healed():
    history, _ = simulate(Scenario(outage_s=0.0, bites=False))
    assert said(history) == ()


def test_a_trial_without_any_fault_is_invalid(clean):
    assert "no fault was injected" in said(replace(clean, faults=()))[0]


WHOLE = {
    "incident": ({"incidents": ("node-b was restarted by somebody else",)}, "somebody else"),
    "load died": ({"alive_at_end": False}, "the load died"),
    "records lost": ({"cut_short": "requests.npy was cut short"}, "copy the run's folder again"),
    "harness stalled": ({"tick_lag_ns": 800 * MS}, "stalled for 0.80 s"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_the_engine_saw_of_the_harness_is_a_reason(clean, case):
    changes, says = WHOLE[case]
    found = said(replace(clean, **changes))
    assert len(found) == 1
    assert says in found[0]


def test_a_baseline_too_short_or_too_thin_is_a_reason(clean):
    assert "needs 5 s" in said(clean, Gates(baseline_s=5.0))[0]
    assert "needs 5000" in said(clean, Gates(baseline_requests=5000))[0]


def test_a_request_in_flight_when_the_fault_came_does_not_dirty_the_baseline():
    history, truth = simulate(Scenario(style="drop", rate=1000, latency_s=0.05, deadline_s=0.15))
    requests = history.requests
    bad = requests[requests["outcome"] != Outcome.OK]
    assert (bad["due_ns"] < truth.begin_ns - MS).sum() > 15
    assert said(history) == ()


def test_a_missing_final_read_is_a_reason(clean):
    finals = {k: v for k, v in clean.finals.items() if k != "node-a"}
    assert "missing from node-a" in said(replace(clean, finals=finals))[0]
    assert "the front door, node-a and node-b" in said(replace(clean, finals={}))[0]


def test_a_comb_with_holes_or_that_fell_silent_is_a_reason(clean):
    order = np.argsort(clean.requests["due_ns"])
    holes = replace(clean, requests=clean.requests[np.delete(order, slice(500, 540))])
    assert any("40 slots of write left no record" in s for s in said(holes))
    silent = replace(clean, requests=clean.requests[order[:-300]])
    assert any("fell silent 1.5" in s for s in said(silent))
    none = replace(clean, requests=clean.requests[:0])
    assert any("the load never ran" in s for s in said(none))


def test_roles_that_nobody_knew_are_a_reason_and_roles_that_nobody_asks_are_not(clean):
    assert said(replace(clean, observations=())) == ()
    mute = tuple(replace(o, value=None) for o in clean.observations)
    assert "no node was seen to be primary" in said(replace(clean, observations=mute))[0]
    late = clean.faults[0].commanded_ns - S // 2
    short = tuple(o for o in clean.observations if o.sent_ns >= late)
    assert "for only 0.4" in said(replace(clean, observations=short))[0]


# ---------------------------------------------------------------- findings about the system


def test_a_system_that_flaps_before_the_fault_is_a_finding_and_not_a_reason(clean):
    at = clean.faults[0].commanded_ns - S
    flap = tuple(
        replace(o, value={"node-a": "backup", "node-b": "primary"}[o.node])
        if at < o.sent_ns < at + S // 5
        else o
        for o in clean.observations
    )
    history = replace(clean, observations=flap)
    assert said(history) == ()
    ((expected, seen),) = findings(View(history))
    assert expected == "no failover without a fault"
    assert "from node-a to node-b at -" in seen


def test_a_service_that_ended_by_itself_before_the_fault_is_a_finding(clean):
    assert findings(View(clean)) == ()
    history = replace(clean, notes={**clean.notes, "ended_before": ["node-b"]})
    assert said(history) == ()
    ((expected, seen),) = findings(View(history))
    assert expected == "services run until something is done to them"
    assert seen.startswith("node-b had ended by itself before the first step")


def test_under_noop_a_failover_at_any_time_is_a_finding():
    history, truth = simulate(Scenario(outage_s=0.0, bites=False))
    moved = tuple(
        replace(o, value={"node-a": "backup", "node-b": "primary"}[o.node])
        if o.sent_ns > truth.begin_ns + S
        else o
        for o in history.observations
    )
    assert findings(View(history)) == ()
    assert (
        findings(View(replace(history, observations=moved)))[0][0] == "no failover without a fault"
    )


def test_a_system_that_stays_away_is_a_finding(clean):
    history, _ = simulate(Scenario(outage_s=math.inf))
    assert said(history) == ()
    ((expected, seen),) = findings(View(history))
    assert expected == "service comes back while it is observed"
    assert seen.startswith("write: still out after 6.0")


def test_reads_that_stay_away_while_writes_come_back_are_a_finding():
    both = (("write", "write", "kept"), ("read", "read", "kept"))
    history, truth = simulate(Scenario(streams=both))

    def stay(requests, _order):
        gone = (requests["stream"] == 1) & (requests["due_ns"] > truth.begin_ns)
        requests["outcome"][gone] = Outcome.FAIL_DEFINITE

    ((_, seen),) = findings(View(records(history, stay)))
    assert seen.startswith("read: still out")


@pytest.mark.parametrize("before", [True, False])
def test_only_what_was_there_can_fail_to_come_back(clean, before):
    """A system that was never up is an invalid trial, not a finding about its failover."""

    def change(requests, _order):
        gone = requests["due_ns"] > clean.faults[0].commanded_ns if before else slice(None)
        requests["outcome"][gone] = Outcome.FAIL_DEFINITE

    dead = records(clean, change)
    assert bool(findings(View(dead))) == before
    assert any("the baseline was not clean" in s for s in said(dead)) != before


def test_a_node_that_never_serves_again_after_heal_is_no_reason(clean):
    assert said(with_fault(clean, felt_healed_ns=None)) == ()


def test_combs_that_are_late_together_are_one_reason():
    both = (("write", "write", "kept"), ("read", "read", "kept"))
    history, _ = simulate(Scenario(streams=both, lag_s=0.04))
    (sentence,) = said(history)
    assert sentence.startswith("the generator of write (read too) was 39 ms late at p99")
