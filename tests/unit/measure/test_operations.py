"""Registers one after the other: the same is found however many are looked at together."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure import operations as module
from chaoskit.measure.leader_reads import stale_leader_reads
from chaoskit.measure.operations import in_groups, registers_of
from chaoskit.measure.registers import stale_and_broken
from chaoskit.measure.view import View

S = 1_000_000_000
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario(streams=BOTH, registers=8, clients=8, pinned=50.0))[0]


@pytest.fixture(scope="module")
def spoiled(clean):
    """In each register the values that were read last are those that were there long before."""
    requests = clean.requests.copy()
    zero = clean.faults[0].acknowledged_ns
    ok, pinned = requests["outcome"] == Outcome.OK, np.isin(requests["stream"], clean.pinned)
    late = (requests["op"] == Op.GET) & ok & (requests["sent_ns"] > zero + 2 * S)
    for key in range(1, 9):
        put = (requests["op"] == Op.PUT) & ok & (requests["key"] == key)
        for chosen, many in ((~pinned, 3 * key), (pinned, 1)):
            mine = np.flatnonzero(late & chosen & (requests["key"] == key))[:many]
            requests["seen"][mine] = np.sort(requests["token"][put])[key]
    return replace(clean, requests=requests)


def told(history):
    view = View(history)
    found = registers_of(view)
    return (*stale_and_broken(view, found), stale_leader_reads(view, found))


@pytest.mark.parametrize("together", [1, 700, 1 << 30])
def test_the_same_is_found_however_many_registers_are_looked_at_together(
    monkeypatch, spoiled, together
):
    usual = told(spoiled)
    assert (usual[0].count, usual[2].count) == (3 * sum(range(1, 9)), 8)
    assert usual[1].count > 0
    assert len(usual[0].examples) == len(usual[1].examples) == 10
    assert {e.detail.partition(":")[0] for e in usual[0].examples} != {"register 1"}
    monkeypatch.setattr(module, "_TOGETHER", together)
    assert told(spoiled) == usual


def test_nothing_is_found_where_nothing_is_planted(clean):
    assert [found.count for found in told(clean)] == [0, 0, 0]


@pytest.mark.parametrize("key", [1, 8])
def test_a_register_that_is_only_read_and_holds_what_nobody_wrote_is_passed_by(
    monkeypatch, spoiled, key
):
    requests = spoiled.requests.copy()
    mine = requests["key"] == key
    requests["outcome"][mine & (requests["op"] == Op.PUT)] = Outcome.FAIL_DEFINITE
    requests["seen"][mine & (requests["op"] == Op.GET)] = 1 << 40
    foreign = replace(spoiled, requests=requests)
    usual = told(foreign)
    monkeypatch.setattr(module, "_TOGETHER", 1)
    assert told(foreign) == usual


@pytest.mark.parametrize(("together", "parts"), [(1, 8), (1 << 30, 1)])
def test_every_operation_is_in_one_part_and_every_register_too(monkeypatch, clean, together, parts):
    monkeypatch.setattr(module, "_TOGETHER", together)
    view = View(clean)
    requests, pinned = clean.requests, np.isin(clean.requests["stream"], clean.pinned)
    acked = np.isin(requests["outcome"], (Outcome.OK, Outcome.OK_LATE))
    found = registers_of(view)
    for asked in (False, True):
        each = list(found.parts(pinned=asked))
        assert len(each) == parts
        keys = [set(part.puts.key.tolist()) | set(part.reads.key.tolist()) for part in each]
        assert sum(map(len, keys)) == len(set.union(*keys)) == 8
        puts, gets = (acked & (requests["op"] == op) for op in (Op.PUT, Op.GET))
        assert sum(part.puts.sent.size for part in each) == np.count_nonzero(puts)
        assert sum(part.reads.sent.size for part in each) == np.count_nonzero(
            gets & (pinned == asked)
        )


def test_what_is_in_memory_is_what_one_register_needs(monkeypatch):
    """A sixth of what all of them at once take: of eight registers one at a time."""
    history = simulate(Scenario(streams=BOTH, rate=4000.0, registers=8))[0]
    view = View(history)
    found = registers_of(view)
    stale_and_broken(view, found)  # columns that are kept are taken out once
    peaks = []
    for together in (1, 1 << 30):
        monkeypatch.setattr(module, "_TOGETHER", together)
        tracemalloc.start()
        stale_and_broken(view, found)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < peaks[1] / 3


@pytest.mark.parametrize("most", [5, 1 << 16, 1 << 40])
def test_equal_numbers_stand_together_in_their_order(most):
    numbers = np.random.default_rng(1).integers(0, most, 300)
    assert in_groups(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
    assert in_groups(-numbers).tolist() == np.argsort(-numbers, kind="stable").tolist()
    assert in_groups(numbers[:0]).size == 0
