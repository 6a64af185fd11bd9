"""Nodes that differ in the end are told from nodes that agree, whatever all of them have together."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.history import FRONTDOOR, FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.divergence import divergent_writes
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario(outage_s=0.5))[0]


def reading(history, place, tokens, counts=None):
    """The same trial, in which a place returned that."""
    tokens = np.array(tokens, dtype=np.uint64)
    counts = np.ones(tokens.size, dtype=np.uint64) if counts is None else counts
    finals = {**history.finals, place: FinalRead(place, tokens, counts)}
    return replace(history, finals=finals)


def found(history):
    return divergent_writes(View(history))


def acked(history, count):
    requests = np.sort(history.requests, order="due_ns")
    return requests["token"][requests["outcome"] == Outcome.OK][:count]


def test_nodes_that_hold_the_same_agree_in_whatever_order_they_say_it(clean):
    held = clean.finals["node-b"].tokens
    for history in (clean, reading(clean, "node-b", held[::-1])):
        result = found(history)
        assert (result.count, result.checked, result.examples) == (0, True, ())


def test_a_node_that_lacks_what_another_has_diverges_though_nothing_is_lost(clean):
    gone = acked(clean, 12)
    held = clean.finals["node-a"].tokens
    history = reading(clean, "node-a", held[~np.isin(held, gone)])
    result = found(history)
    assert measure_trial(history).lost_writes.count == 0
    assert result.count == 12
    assert result.note == "node-a lacks 12; 12 of them had been acknowledged"
    assert [e.token for e in result.examples] == gone[:10].tolist()
    assert {e.detail for e in result.examples} == {"on node-b, not on node-a"}
    assert all(e.server == "node-a" and e.acknowledged_ns for e in result.examples)


def test_a_node_with_more_than_another_diverges_whoever_wrote_it(clean):
    held = clean.finals["node-a"].tokens
    result = found(reading(clean, "node-a", np.append(held, np.uint64(7))))
    assert (result.count, result.examples[0].token) == (1, 7)
    assert result.examples[0].detail == "on node-a, not on node-b"
    assert result.note == "node-b lacks 1; 0 of them had been acknowledged"


def test_a_write_twice_on_one_node_and_once_on_another_is_a_difference(clean):
    final = clean.finals["node-a"]
    counts = final.counts.copy()
    counts[3] = 2
    result = found(reading(clean, "node-a", final.tokens, counts))
    assert result.count == 1
    assert result.examples[0].detail == "on node-a (2 times), node-b"


def test_the_front_door_is_no_node(clean):
    assert found(reading(clean, FRONTDOOR, [])).count == 0


def test_three_nodes_are_all_held_against_each_other(clean):
    held = clean.finals["node-a"].tokens
    three = replace(clean, nodes=("node-a", "node-b", "node-c"))
    result = found(reading(three, "node-c", held[5:]))
    assert (result.count, result.note.split(";")[0]) == (5, "node-c lacks 5")
    assert result.examples[0].detail == "on node-a, node-b, not on node-c"


@pytest.mark.parametrize(
    ("nodes", "read", "says"),
    [
        (("node-a",), ("node-a",), "fewer than two nodes hold data"),
        ((), (), "fewer than two nodes hold data"),
        (("node-a", "node-b"), ("node-a",), "final read of node-b is missing"),
        (
            ("node-a", "node-b", "node-c"),
            ("node-a", "node-b"),
            "agree, but the final read of node-c",
        ),
    ],
)
def test_what_cannot_be_compared_is_not_checked(clean, nodes, read, says):
    finals = {place: clean.finals[place] for place in read}
    result = found(replace(clean, nodes=nodes, finals=finals))
    assert (result.count, result.checked) == (None, False)
    assert says in result.note


def test_two_that_differ_are_proof_even_where_a_third_could_not_be_read(clean):
    three = replace(clean, nodes=("node-a", "node-b", "node-c"))
    result = found(reading(three, "node-b", clean.finals["node-b"].tokens[1:]))
    assert (result.count, result.checked) == (1, True)
    assert "node-c is missing" in result.note


def test_a_node_that_holds_nothing_lacks_everything(clean):
    result = found(reading(clean, "node-b", []))
    assert result.count == clean.finals["node-a"].tokens.size
    assert len(result.examples) == 10


@pytest.mark.parametrize("seed", range(40))
def test_what_differs_is_what_counting_by_hand_finds(clean, seed):
    draw = np.random.default_rng(seed)
    history, by_hand = replace(clean, nodes=("node-a", "node-b", "node-c")), {}
    for node in history.nodes:
        tokens = draw.integers(1, 12, size=draw.integers(0, 14)).astype(np.uint64)
        counts = draw.integers(0, 3, size=tokens.size).astype(np.uint64)
        history = reading(history, node, tokens, counts)
        by_hand[node] = np.bincount(tokens.astype(int), counts, minlength=12)
    often = np.stack(list(by_hand.values()))
    differs = (often != often[0]).any(axis=0)
    lacks = (often < often.max(axis=0)).sum(axis=1)
    result = found(history)
    assert result.count == differs.sum()
    said = [f"{n} lacks {k}" for n, k in zip(by_hand, lacks, strict=True) if k]
    assert result.note == (f"{', '.join(said)}; 0 of them had been acknowledged" if said else None)
