"""Of several faults, a failover is the answer to the one that its outage followed."""

from dataclasses import replace

import pytest

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.cause import cause, writer_changed
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

MS = 1_000_000


@pytest.fixture(name="killed")
def _killed():
    return simulate(Scenario(outage_s=0.8, baseline_s=6.0))[0]


def beside(history, shift_ms, name="cpu", *, bites=True):
    """The same with one more fault, so long after the kill (before it, if negative)."""
    kill, by = history.faults[0], shift_ms * MS
    other = replace(
        kill,
        step=1,
        fault=name,
        nodes=("node-b",),
        commanded_ns=kill.commanded_ns + by,
        acknowledged_ns=kill.acknowledged_ns + by,
        verified_ns=kill.verified_ns + by,
        must_bite=bites,
    )
    faults = sorted((kill, other), key=lambda f: f.commanded_ns)
    return replace(history, faults=tuple(faults))


def same(found, alone):
    return found.value_s == pytest.approx(alone.value_s, abs=1e-9)


@pytest.mark.parametrize("shift", [-3000, -500, -50])
def test_a_fault_that_nothing_came_of_does_not_lengthen_the_failover_after_it(killed, shift):
    alone, both = measure_trial(killed), measure_trial(beside(killed, shift))
    assert same(both.failover_time, alone.failover_time)
    assert same(both.time_to_detect, alone.time_to_detect)
    assert sum(p.value_s for p in both.phases.values()) == pytest.approx(
        both.failover_time.value_s, abs=1e-9
    )
    assert both.recovery == "failover"


@pytest.mark.parametrize("shift", [30, 300, 2000])
def test_a_fault_while_service_is_out_or_back_does_not_shorten_it(killed, shift):
    assert cause(View(beside(killed, shift))).fault == "kill"
    found, alone = measure_trial(beside(killed, shift)), measure_trial(killed)
    assert same(found.failover_time, alone.failover_time)


def test_a_request_that_was_under_way_when_the_fault_came_is_the_faults(killed):
    outage = View(killed).outage
    due = {at: outage.start_ns + at * MS for at in (5, 60)}  # an interval is 5 ms, an answer 2 ms
    for at, commanded in due.items():
        shift = (commanded - killed.faults[0].commanded_ns) / MS
        found = cause(View(beside(killed, shift, "pause")))
        assert found.fault == ("pause" if at == 5 else "kill")


def test_the_note_says_which_of_several(killed):
    assert measure_trial(killed).failover_time.note is None
    note = measure_trial(beside(killed, -3000)).failover_time.note
    assert note == "since the kill of node-a at +3.00 s, which the failover's outage followed"
    assert measure_trial(beside(killed, -3000, bites=False)).failover_time.note is None


def test_a_trial_that_never_came_back_counts_from_there_too():
    gone = simulate(Scenario(outage_s=float("inf"), baseline_s=6.0))[0]
    found, alone = measure_trial(beside(gone, -3000)), measure_trial(gone)
    assert found.failover_time.censored
    assert same(found.failover_time, alone.failover_time)
    assert "since the kill of node-a" in found.failover_time.note


def test_without_an_outage_the_first_fault_is_where_time_begins():
    calm = simulate(Scenario(outage_s=0.0, baseline_s=6.0))[0]
    assert cause(View(beside(calm, -3000))).fault == "cpu"
    assert not measure_trial(beside(calm, -3000)).failover_time.applicable


def test_who_served_just_before_the_fault_counts_not_who_did_at_first(killed):
    """node-b had served at first, gave the office to node-a, and has it back after the kill."""
    requests = killed.requests.copy()
    early = killed.faults[0].commanded_ns - 2_500 * MS
    requests["server"][(requests["done_ns"] < early) & (requests["server"] > 0)] = 2
    moved = replace(beside(killed, -3000, "switchover"), requests=requests)
    assert writer_changed(View(moved))
    assert measure_trial(moved).recovery == "failover"
