"""Durability: each checker sees what was planted for it, and nothing in the clean twin."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.history import FRONTDOOR, FinalRead
from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View
from chaoskit.measure.writes import missing_reads

CHECKS = ("lost_writes", "duplicate_writes", "unexpected_writes", "resurrected_writes")


@pytest.fixture
def clean():
    return simulate(Scenario(outage_s=0.5))[0]


def token_of(history, outcome, k=0):
    """The token of the k-th append with an outcome, by due time."""
    requests = np.sort(history.requests, order="due_ns")
    return int(requests["token"][requests["outcome"] == outcome][k])


def without(history, tokens, places):
    finals = dict(history.finals)
    for place in places:
        held = finals[place]
        keep = ~np.isin(held.tokens, np.array(tokens, dtype=np.uint64))
        finals[place] = FinalRead(place, held.tokens[keep], held.counts[keep])
    return replace(history, finals=finals)


def having(history, token, count, place):
    finals = dict(history.finals)
    held = finals[place]
    keep = held.tokens != np.uint64(token)
    finals[place] = FinalRead(
        place,
        np.append(held.tokens[keep], np.uint64(token)),
        np.append(held.counts[keep], np.uint64(count)),
    )
    return replace(history, finals=finals)


ALL = (FRONTDOOR, "node-a", "node-b")


def test_the_clean_twin_violates_nothing(clean):
    found = measure_trial(clean)
    assert [getattr(found, name).count for name in CHECKS] == [0, 0, 0, 0]
    assert all(getattr(found, name).checked for name in CHECKS)


def test_an_acknowledged_write_that_nobody_has_is_lost_and_shown(clean):
    token = token_of(clean, Outcome.OK, k=300)
    found = measure_trial(without(clean, [token], ALL)).lost_writes
    assert found.count == 1
    example = found.examples[0]
    record = clean.requests[clean.requests["token"] == token][0]
    assert (example.token, example.server) == (token, "node-a")
    assert (example.sent_ns, example.acknowledged_ns) == (record["sent_ns"], record["done_ns"])
    since = (example.acknowledged_ns - clean.faults[0].acknowledged_ns) / 1e9
    assert example.after_fault_s == pytest.approx(since)


def test_a_write_acknowledged_late_counts_as_acknowledged():
    history, _ = simulate(Scenario(style="stall", outage_s=0.5))
    token = token_of(history, Outcome.OK_LATE)
    assert measure_trial(without(history, [token], ALL)).lost_writes.count == 1


def test_a_write_acknowledged_during_warm_up_must_not_be_lost_either(clean):
    token = token_of(clean, Outcome.OK, k=0)
    first = clean.requests[clean.requests["token"] == token][0]
    assert first["due_ns"] < clean.window.baseline_start_ns
    assert measure_trial(without(clean, [token], ALL)).lost_writes.count == 1


def test_an_ambiguous_write_that_is_not_there_is_not_lost():
    history, _ = simulate(Scenario(style="drop", outage_s=0.5))
    assert (history.requests["outcome"] == Outcome.AMBIGUOUS).any()
    assert measure_trial(history).lost_writes.count == 0


def test_a_write_that_only_one_node_has_is_not_lost_but_the_note_says_so(clean):
    token = token_of(clean, Outcome.OK)
    found = measure_trial(without(clean, [token], (FRONTDOOR, "node-b"))).lost_writes
    assert found.count == 0
    assert found.note == "1 more are on a node but not behind the front door"


def test_where_a_final_read_is_missing_a_loss_is_not_proven(clean):
    token = token_of(clean, Outcome.OK)
    finals = {k: v for k, v in without(clean, [token], ALL).finals.items() if k != "node-b"}
    found = measure_trial(replace(clean, finals=finals)).lost_writes
    assert (found.count, found.checked) == (None, False)
    assert "node-b is missing" in found.note


def test_where_everything_is_behind_the_front_door_a_missing_node_does_not_matter(clean):
    finals = {FRONTDOOR: clean.finals[FRONTDOOR]}
    found = measure_trial(replace(clean, finals=finals)).lost_writes
    assert (found.count, found.checked) == (0, True)


def test_without_any_final_read_nothing_is_checked(clean):
    found = measure_trial(replace(clean, finals={}))
    assert all(getattr(found, name).count is None for name in CHECKS)
    assert not any(getattr(found, name).checked for name in CHECKS)


def test_a_token_that_is_there_twice_is_a_duplicate(clean):
    token = token_of(clean, Outcome.OK)
    found = measure_trial(having(clean, token, 3, "node-b")).duplicate_writes
    assert found.count == 2
    assert found.examples[0].detail == "3 times on node-b"


def test_a_token_that_nobody_wrote_is_unexpected(clean):
    found = measure_trial(having(clean, 999, 1, "node-a")).unexpected_writes
    assert (found.count, found.examples[0].token) == (1, 999)
    assert found.examples[0].detail == "on node-a"


def test_a_token_whose_slot_was_not_sent_is_unexpected(clean):
    requests = clean.requests.copy()
    token = token_of(clean, Outcome.OK)
    requests["outcome"][requests["token"] == token] = Outcome.NOT_SENT
    assert measure_trial(replace(clean, requests=requests)).unexpected_writes.count == 1


def test_a_refused_write_that_is_there_is_resurrected(clean):
    token = token_of(clean, Outcome.FAIL_DEFINITE)
    found = measure_trial(having(clean, token, 1, "node-a")).resurrected_writes
    assert (found.count, found.examples[0].token) == (1, token)
    assert measure_trial(having(clean, token, 1, "node-a")).unexpected_writes.count == 0


def test_puts_into_registers_are_not_looked_for_in_the_log(clean):
    requests = clean.requests.copy()
    token = token_of(clean, Outcome.OK)
    requests["op"][requests["token"] == token] = Op.PUT
    bare = without(replace(clean, requests=requests), [token], ALL)
    assert measure_trial(bare).lost_writes.count == 0


def test_only_the_first_offenders_are_listed(clean):
    tokens = [token_of(clean, Outcome.OK, k) for k in range(50)]
    found = measure_trial(without(clean, tokens, ALL)).lost_writes
    assert found.count == 50
    assert [e.token for e in found.examples] == tokens[:10]


def test_a_front_door_that_stays_shut_hides_no_loss_that_the_nodes_show():
    history, _truth = simulate(Scenario())
    without = {place: final for place, final in history.finals.items() if place != FRONTDOOR}
    shut = replace(history, finals=without)
    assert missing_reads(View(shut)) == ()
    found = measure_trial(shut).lost_writes
    assert (found.count, found.checked) == (0, True)
    assert "front door" in found.note
    node = history.nodes[0]
    partly = {place: final for place, final in without.items() if place != node}
    assert missing_reads(View(replace(history, finals=partly))) == (FRONTDOOR, node)
