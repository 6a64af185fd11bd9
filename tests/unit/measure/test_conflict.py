"""What is shown of an impossible register, where searches are too long to tell much of it."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure import conflict as module
from chaoskit.measure import linearizability as shown_by
from chaoskit.measure.conflict import conflict
from chaoskit.measure.linearizability import linearizability
from chaoskit.measure.view import View
from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide
from chaoskit.report.orders import _ROWS

S = 1_000_000_000
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))


def turns(number):
    """One write after another, each read once, by one who waits for every answer."""
    for n in range(number):
        yield RegisterOp(20 * n, 20 * n + 5, True, 1000 + n, row=2 * n)
        yield RegisterOp(20 * n + 10, 20 * n + 15, False, 1000 + n, row=2 * n + 1)


def spoiled(number, at, *, slow=False):
    """A value read again when another had been read since, and much that is in order after it.

    ``slow``: one read from the middle of it is answered last of all.
    """
    ops = list(turns(number))
    begun = 20 * at + 16
    stale = RegisterOp(begun, begun + 2, False, 1000 + at - 1, row=2 * number)
    ops.append(stale)
    if slow:
        late = RegisterOp(
            20 * (at + 3) + 6, 20 * number + 100, False, 1000 + at + 3, 2 * number + 1
        )
        ops.append(late)
    assert decide(ops, None, Budget(10**6)) is Decision.ILLEGAL
    assert decide([op for op in ops if op != stale], None, Budget(10**6)) is Decision.OK
    return ops, stale


def rows(ops):
    return {op.row for op in ops}


# ---------------------------------------------------------------- the search for the last


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("at", [1, 30, 60, 99])
def test_with_steps_enough_the_stale_read_is_the_last_of_three_or_four(at, slow):
    ops, stale = spoiled(110, at, slow=slow)
    found = conflict(ops, None)
    assert (found.last, found.fewest) == (stale, True)
    assert 3 <= len(found.core) <= 4
    assert stale in found.core


@pytest.mark.parametrize("slow", [False, True])
def test_where_halves_are_undecided_the_last_is_that_of_the_core(monkeypatch, slow):
    """Up to the stale read there are 150 steps: a search of 100 finds it only in what is left."""
    ops, stale = spoiled(110, 75, slow=slow)
    monkeypatch.setattr(module, "_STEPS_EACH", 100)
    assert decide(ops, None, Budget(100)) is Decision.UNKNOWN
    found = conflict(ops, None)
    assert found.last == stale
    assert 3 <= len(found.core) <= 4


@pytest.mark.parametrize("steps", [{"_STEPS_EACH": 10}, {"_STEPS": 0}, {"_STEPS": 500}])
@pytest.mark.parametrize("slow", [False, True])
def test_where_nothing_is_decided_nobody_is_accused(monkeypatch, steps, slow):
    ops, stale = spoiled(110, 75, slow=slow)
    for name, most in steps.items():
        monkeypatch.setattr(module, name, most)
    found = conflict(ops, None)
    assert found.last in (None, stale)
    assert not found.fewest
    assert stale in found.core
    assert decide(found.core, None, Budget(10**6)) is Decision.ILLEGAL


@pytest.mark.parametrize("each", [5, 20, 50, 100, 150, 250, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_whoever_is_called_the_last_is_and_what_is_called_the_core_is_illegal(
    monkeypatch, each, seed
):
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(module, "_STEPS_EACH", each)
    number = int(rng.integers(20, 120))
    ops, stale = spoiled(number, int(rng.integers(1, number - 5)), slow=bool(seed % 2))
    found = conflict(ops, None)
    assert found.last in (None, stale)
    assert decide(found.core, None, Budget(10**6)) is Decision.ILLEGAL
    if found.last is not None and found.fewest:
        for out in found.core:
            without = [op for op in found.core if op.value != out.value]
            assert decide(without, None, Budget(10**6)) is Decision.OK


def test_the_searches_together_take_no_more_than_their_steps(monkeypatch):
    """Each costs its operations even where it is over at once: half a minute would be too long."""
    ops, _ = spoiled(400, 300)
    looked_at = []
    real = module.decide

    def counted(some, initial, budget):
        looked_at.append(len(some))
        return real(some, initial, budget)

    monkeypatch.setattr(module, "decide", counted)
    monkeypatch.setattr(module, "_STEPS", 20_000)
    monkeypatch.setattr(module, "_STEPS_EACH", 100)
    conflict(ops, None)
    assert sum(looked_at) < 20_000 + 2 * len(ops)


def test_of_two_answers_at_one_moment_the_last_is_the_one_in_the_core():
    first, second, read = (
        RegisterOp(0, 5, True, 7, 0), RegisterOp(10, 15, True, 8, 1), RegisterOp(16, 19, False, 8, 2)
    )  # fmt: skip
    stale = RegisterOp(20, 30, False, 7, 3)
    innocent = RegisterOp(21, 30, False, 8, 4)
    found = conflict([first, second, read, stale, innocent], None)
    assert found.last == stale
    assert innocent not in found.core


# ---------------------------------------------------------------- how it is shown


@pytest.fixture(scope="module")
def stale_and_slow():
    """A stale read in the middle, and one that is right, sent early and answered last of all."""
    history = simulate(Scenario(streams=BOTH, registers=1, after_s=6.0))[0]
    requests = history.requests.copy()
    zero = history.faults[0].acknowledged_ns
    answered = requests["outcome"] == Outcome.OK
    reads = np.flatnonzero((requests["op"] == Op.GET) & answered)
    reads = reads[np.argsort(requests["sent_ns"][reads])]
    later = requests["sent_ns"][reads] > zero + 2 * S
    stale, slow = reads[later][0], reads[later][300]
    puts = (requests["op"] == Op.PUT) & answered
    puts &= requests["done_ns"] < requests["sent_ns"][stale]
    requests["seen"][stale] = np.sort(requests["token"][puts])[-5]
    requests["done_ns"][slow] = requests["done_ns"].max() + 1000
    requests["outcome"][slow] = Outcome.OK_LATE
    return replace(history, requests=requests), stale, slow


def lane_of(history):
    safety, (lane,) = linearizability(View(history), asked=True)
    assert safety.count == 1
    return safety, lane


@pytest.mark.parametrize("each", [400, 1000, 200_000])
def test_the_slow_answer_is_innocent_though_it_came_last(monkeypatch, stale_and_slow, each):
    """Where halves were undecided it was taken for the last, was not shown: a traceback."""
    history, stale, _ = stale_and_slow
    monkeypatch.setattr(module, "_STEPS_EACH", each)
    safety, lane = lane_of(history)
    (last,) = [step for step in lane.steps if step.last]
    assert last.value == history.requests["seen"][stale] == safety.examples[0].token
    assert "after it had been replaced" in lane.detail


@pytest.mark.parametrize(("name", "most"), [("_STEPS_EACH", 60), ("_STEPS", 0), ("_STEPS", 4000)])
def test_with_too_few_steps_the_report_says_that_it_cannot_tell(
    monkeypatch, stale_and_slow, name, most
):
    """An innocent answer was called the last, in a lane of two thousand operations."""
    history = stale_and_slow[0]
    monkeypatch.setattr(module, name, most)
    safety, lane = lane_of(history)
    assert not any(step.last for step in lane.steps)
    assert "more steps than are taken to tell" in lane.detail
    assert "19 of " in lane.detail
    (example,) = safety.examples
    assert (example.sent_ns, example.acknowledged_ns, example.server) == (None, None, None)
    assert example.detail == f"register 1: {lane.detail}"
    assert len(lane.steps) <= _ROWS


def test_all_that_is_shown_has_room_and_the_last_is_among_it():
    """A core of many operations, as where the search cannot leave any out."""
    ops = list(turns(60))
    stale = RegisterOp(20 * 60, 20 * 60 + 2, False, 1000, row=9999)
    core = (*ops, RegisterOp(0, NEVER, True, 5, row=5555), stale)
    for last in (stale, None):
        found = module.Conflict(core, last, fewest=False)
        near = shown_by._nearest(found)
        assert near[0] == stale
        assert ops[0] in near  # the write of what was read
        assert len(near) + shown_by._AROUND == _ROWS
        assert len(rows(near)) == len(near)
    small = module.Conflict((ops[0], stale), stale)
    assert rows(shown_by._nearest(small)) == rows(small.core)
