"""A front door that names itself is in no office: a sound failover behind it is a failover."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.sentences import _STAYED
from chaoskit.measure.answered import Hands
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.office import holders, in_office
from chaoskit.measure.turns import turns_of
from chaoskit.measure.view import View

SERVERS = ("", "node-a", "node-b", "haproxy")
DOOR = 3


def behind(door=DOOR, *, scenario=None, **changes):
    """Clients ask through a front door and are told ``door``; pinned writers ask the nodes."""
    history, _ = simulate(scenario or Scenario(pinned=50.0))
    requests = history.requests.copy()
    clients = ~np.isin(requests["stream"], history.pinned) & (requests["server"] > 0)
    requests["server"][clients] = door
    return replace(history, requests=requests, servers=SERVERS, **changes)


def test_a_sound_failover_behind_a_front_door_that_names_itself_is_no_split_brain():
    found = measure_trial(behind())
    assert (found.dual_primary.low_s, found.dual_primary.writes) == (0.0, 0)
    assert found.dual_primary.high_s < 0.1
    assert "left out: what haproxy acknowledged" in found.dual_primary.note
    assert found.fencing_latency.note.startswith("node-a was deposed")
    assert found.recovery == "failover"
    assert found.failover_time.value_s == pytest.approx(1.0, abs=0.02)


def test_what_names_nobody_is_measured_alike_and_needs_no_note():
    door, nobody = measure_trial(behind()), measure_trial(behind(0))
    assert "left out" not in (nobody.dual_primary.note or "")
    same = {"note": None}
    assert nobody.dual_primary.model_copy(update=same) == door.dual_primary.model_copy(update=same)
    assert (nobody.recovery, nobody.fencing_latency) == (door.recovery, door.fencing_latency)


def test_names_of_which_none_is_a_node_s_are_names_of_their_own():
    """A container's host name in every answer: whoever it is, it tells one from another."""
    history, _ = simulate(Scenario(pinned=50.0))
    named = replace(history, servers=("", "3fa9c1", "77b0de"))
    assert holders(named) is None
    assert measure_trial(named).recovery == "failover"
    assert measure_trial(named).dual_primary.low_s == 0.0


def test_two_nodes_that_both_acknowledge_are_seen_whatever_the_front_door_is_called():
    history = behind()
    requests = history.requests.copy()
    old = requests["stream"] == 1  # the pinned writer of node-a: never stops being acknowledged
    requests["outcome"][old] = Outcome.OK
    found = measure_trial(replace(history, requests=requests))
    assert found.dual_primary.low_s > 2.5
    assert found.dual_primary.writes > 100


def test_who_was_primary_by_its_own_word_holds_office_though_no_final_read_is_owed_from_it():
    history = behind(nodes=("node-a",))
    assert holders(history).tolist() == [True, True, True, False]
    assert holders(replace(history, observations=())).tolist() == [True, True, False, False]


def test_where_the_history_does_not_say_who_the_nodes_are_all_count():
    assert holders(behind(nodes=())) is None
    assert measure_trial(behind(nodes=())).dual_primary.low_s > 0
    history, _ = simulate(Scenario())
    assert holders(history) is None, "and where there are only nodes there is nothing to look at"


def test_a_number_that_no_name_belongs_to_is_nobody():
    who = np.array([True, True, False])
    servers = np.array([0, 1, 2, 3, 9], dtype=np.uint16)
    assert in_office(servers, who).tolist() == [0, 1, 0, 0, 0]
    assert in_office(servers, None) is servers


def test_a_front_door_that_answers_before_an_outage_and_a_node_after_it_is_no_change():
    history = behind(scenario=Scenario(fails_over=False))
    requests = history.requests.copy()
    after = requests["done_ns"] > history.faults[0].healed_ns - 10**9
    requests["server"][after & (requests["server"] == DOOR)] = 1
    view = View(replace(history, requests=requests))
    assert Hands(view.headline, None).changed(view.outage), "a name that was not there before"
    assert not Hands(view.headline, view.holders).changed(view.outage)


# ---------------------------------------------------------------- told by roles


def test_where_no_node_is_named_and_no_role_was_seen_nobody_says_who_serves():
    for door in (0, DOOR):
        found = measure_trial(behind(door, scenario=Scenario(), observations=()))
        assert (found.recovery, found.same_node_served) == ("unknown", False)
    assert "unknown" not in _STAYED


@pytest.mark.parametrize("door", [0, DOOR])
def test_where_no_node_is_named_the_roles_tell_what_kind_of_recovery_it_was(door):
    stayed = behind(door, scenario=Scenario(fails_over=False))
    assert measure_trial(stayed).recovery == "in-place restart"
    assert measure_trial(behind(door, scenario=Scenario())).recovery == "failover"


def test_a_role_that_moved_without_an_outage_did_fail_over_though_nobody_is_named():
    _, truth = simulate(Scenario())
    calm = behind(0, scenario=Scenario(outage_s=0.0))
    assert measure_trial(calm).recovery == "none"
    moved = behind(0, scenario=Scenario()).observations
    found = measure_trial(replace(calm, observations=moved))
    assert found.recovery == "failover"
    assert found.failover_time.note == "no outage, and no answer says which node gave it"
    assert truth.outage_s == 1.0


# ---------------------------------------------------------------- whose loss


def turns(door, **changes):
    """Of a fault half a second before the kill, and the kill; and what was acknowledged between."""
    kill = behind().faults[0]
    moments = ("commanded_ns", "acknowledged_ns", "verified_ns", "bitten_ns")
    early = {name: getattr(kill, name) - 5 * 10**8 for name in moments}
    history = behind(door, faults=(replace(kill, **early), replace(kill, step=1)), **changes)
    view = View(history)
    names = ("outcome", "stream", "sent_ns", "done_ns")
    outcome, stream, sent, done = (view.table.column(name) for name in names)
    rows = np.flatnonzero((outcome == Outcome.OK) & (stream == 0))
    since = history.faults[0].acknowledged_ns
    between = (sent[rows] > since) & (done[rows] < history.faults[1].commanded_ns)
    return turns_of(view, rows), between


@pytest.mark.parametrize("door", [0, DOOR, 1])
def test_a_write_is_lost_to_the_fault_that_the_primary_met_whoever_is_named(door):
    found, between = turns(door)
    assert between.sum() > 50
    assert set(found.before[between].tolist()) == {1}
    assert not found.under[between].any()


@pytest.mark.parametrize("door", [0, DOOR])
def test_who_was_deposed_under_the_first_fault_did_not_lose_to_the_second(door):
    early = [
        replace(o, sent_ns=o.sent_ns - 12 * 10**8, done_ns=o.done_ns - 12 * 10**8)
        for o in behind().observations
    ]
    found, between = turns(door, observations=tuple(early))
    assert found.under[between].all()
    unseen, _ = turns(door, observations=())
    assert unseen.under[between].all(), "nobody tells"
