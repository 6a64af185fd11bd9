"""From a trial's records to registers that no order explains, and what is shown of them."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories, judge_trial
from chaoskit.measure import linearizability as module
from chaoskit.measure.linearizability import linearizability
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

S = 1_000_000_000
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))
CASE = Case("orders", (parse_threshold("linearizability_violations == 0"),), 1)


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario(streams=BOTH, registers=4))[0]


def found(history, *, asked=True):
    return linearizability(View(history), asked=asked)


def altered(history, chosen, **columns):
    requests = history.requests.copy()
    for name, value in columns.items():
        requests[name][chosen] = value
    return replace(history, requests=requests)


def late_read(history, number=0):
    """A read well after recovery, and the values put into its register before, newest first."""
    requests = history.requests
    zero = history.faults[0].acknowledged_ns
    late = (requests["op"] == Op.GET) & (requests["sent_ns"] > zero + 2 * S)
    reads = np.flatnonzero(late & (requests["outcome"] == Outcome.OK))
    read = reads[np.argsort(requests["sent_ns"][reads])][number]
    puts = (requests["op"] == Op.PUT) & (requests["key"] == requests["key"][read])
    puts &= (requests["outcome"] == Outcome.OK) & (requests["done_ns"] < requests["sent_ns"][read])
    return read, np.sort(requests["token"][puts])[::-1]


def stale(history, number=0):
    read, values = late_read(history, number)
    return altered(history, read, seen=values[3])


@pytest.mark.parametrize("style", ["refuse", "503", "drop", "stall"])
@pytest.mark.parametrize("outage_s", [0.0, 1.0, float("inf")])
def test_a_linearizable_system_is_never_accused(style, outage_s):
    history = simulate(Scenario(style, outage_s, streams=BOTH, registers=3, seed=7))[0]
    safety, lanes = found(history)
    assert (safety.count, safety.unknown, lanes) == (0, 0, ())


def test_a_stale_read_is_shown_with_the_two_writes_that_contradict_it(clean):
    history = stale(clean)
    read, values = late_read(clean)
    safety, lanes = found(history)
    assert (safety.count, safety.unknown) == (1, 0)
    (lane,) = lanes
    assert lane.key == history.requests["key"][read]
    needed = [step for step in lane.steps if step.needed]
    assert [(s.write, s.last) for s in needed][-1] == (False, True)
    assert needed[-1].value == values[3]
    assert {s.value for s in needed if s.write} >= {values[3]}
    assert 3 <= len(needed) <= 4
    assert "after it had been replaced" in lane.detail
    assert [s.sent_s for s in lane.steps] == sorted(s.sent_s for s in lane.steps)
    (example,) = safety.examples
    assert example.token == values[3]
    assert f"register {lane.key}" in example.detail


def test_two_registers_are_two_violations_and_each_is_shown(clean):
    safety, lanes = found(stale(stale(clean, 0), 1))
    assert safety.count == len(lanes) == 2
    assert lanes[0].key < lanes[1].key


PHANTOMS = {
    "nobody wrote it": lambda h, _r: 987_654_321,
    "it was written to another register": lambda h, r: next(
        t for t, k in zip(h.requests["token"], h.requests["key"], strict=True)
        if t and k not in (0, h.requests["key"][r])
    ),
    "its write had been refused to the client": lambda h, r: h.requests["token"][
        (h.requests["op"] == Op.PUT) & (h.requests["key"] == h.requests["key"][r])
        & (h.requests["outcome"] == Outcome.FAIL_DEFINITE)
    ][0],
}  # fmt: skip


@pytest.mark.parametrize("why", PHANTOMS)
def test_values_that_cannot_be_there(clean, why):
    read, _ = late_read(clean, 2)
    history = altered(clean, read, seen=PHANTOMS[why](clean, read))
    safety, lanes = found(history)
    assert safety.count == 1
    if why != "nobody wrote it":  # it may have been there at first: an order is looked for
        assert why in lanes[0].detail


def test_what_was_there_at_first_may_be_read_until_it_is_replaced(clean):
    """An old stack's register holds something before this run's first write to it."""
    requests = clean.requests
    first = {
        int(key): requests["sent_ns"][(requests["op"] == Op.PUT) & (requests["key"] == key)].min()
        for key in np.unique(requests["key"][requests["key"] > 0])
    }
    key = max(first, key=first.get)
    early = (requests["op"] == Op.GET) & (requests["key"] == key)
    early &= requests["done_ns"] < first[key]
    assert early.any()
    history = altered(clean, early, seen=424_242)
    assert found(history)[0].count == 0
    read = np.flatnonzero((requests["op"] == Op.GET) & (requests["key"] == key) & ~early)[-1]
    assert found(altered(history, read, seen=424_242))[0].count == 1
    assert found(altered(history, read, seen=515_151))[0].count == 1  # two things cannot be first


def test_a_value_whose_write_may_be_among_lost_records_accuses_nobody(clean):
    read, _ = late_read(clean, 2)
    history = altered(clean, read, seen=987_654_321)
    safety, _ = found(replace(history, alive_at_end=False))
    assert (safety.count, safety.unknown) == (0, 1)


def test_reads_without_an_answer_say_nothing(clean):
    read, _ = late_read(clean)
    history = altered(stale(clean), read, outcome=Outcome.AMBIGUOUS)
    assert found(history)[0].count == 0


def test_a_write_of_unknown_outcome_may_have_happened_or_not(clean):
    """The same read is illegal if its write was refused, legal if its outcome is not known."""
    read, values = late_read(clean)
    key = clean.requests["key"][read]
    requests = clean.requests
    puts = np.flatnonzero((requests["op"] == Op.PUT) & (requests["key"] == key))
    last = puts[requests["sent_ns"][puts] < requests["sent_ns"][read]]
    newest = last[requests["sent_ns"][last].argmax()]
    readers = np.flatnonzero((requests["op"] == Op.GET) & (requests["seen"] == values[0]))
    for outcome, count in ((Outcome.AMBIGUOUS, 0), (Outcome.FAIL_DEFINITE, 1)):
        history = altered(clean, newest, outcome=outcome)
        assert found(history)[0].count == count, outcome
        nobody = altered(history, readers, seen=values[1])
        assert found(nobody)[0].count == 0, outcome


# ---------------------------------------------------------------- as a threshold


def test_illegal_fails_even_an_otherwise_invalid_trial(clean):
    history = replace(stale(clean), incidents=("the harness fell over",))
    result = judge_histories(CASE, [TrialInput(1, history)])
    assert (result.verdict, result.exit_code) == (Verdict.FAIL, 1)
    assert result.trials[0].invalid_because


def test_legal_passes(clean):
    assert judge_histories(CASE, [TrialInput(1, clean)]).verdict is Verdict.PASS


def test_unknown_is_inconclusive_and_never_a_pass(clean, monkeypatch):
    monkeypatch.setattr(module, "_STEPS", 10)
    monkeypatch.setattr(module, "_STEPS_EACH", 0)
    result = judge_histories(CASE, [TrialInput(1, clean)])
    assert (result.verdict, result.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert "not decided" in (result.expectations[0].reason or "")
    assert any("not decided" in said for said in result.not_checked)
    assert not any("linearizability" in claim for claim in result.claims)


def test_one_illegal_register_among_undecided_ones_is_proof(clean, monkeypatch):
    history = stale(clean)
    key = int(history.requests["key"][late_read(clean)[0]])
    decide = module.decide

    def lazy(ops, initial, budget):
        mine = int(history.requests["key"][ops[0].row]) == key
        return decide(ops, initial, budget) if mine else module.Decision.UNKNOWN

    monkeypatch.setattr(module, "decide", lazy)
    judged = judge_trial(CASE, TrialInput(1, history))
    assert judged.result.metrics.linearizability_violations.unknown == 3
    assert judged.result.verdict is Verdict.FAIL


def test_a_long_history_is_searched_only_if_a_threshold_asks(clean, monkeypatch):
    monkeypatch.setattr(module, "UNASKED", 100)
    assert found(clean, asked=True)[0].checked
    safety, _ = found(clean, asked=False)
    assert not safety.checked
    assert "no threshold asks" in safety.note
    assert measure_trial(clean).linearizability_violations.checked is False
    wanted = ("linearizability_violations",)
    assert measure_trial(clean, wanted=wanted).linearizability_violations.checked
    other = Case("other", (parse_threshold("lost_writes == 0"),), 1)
    result = judge_histories(other, [TrialInput(1, clean)])
    assert any("linearizability violations: " in said for said in result.not_checked)


def test_without_registers_nothing_is_claimed():
    history = simulate(Scenario())[0]
    assert found(history)[0].count is None
    result = judge_histories(CASE, [TrialInput(1, history)])
    assert result.verdict is Verdict.INVALID


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_records_and_the_origin_of_time_change_nothing(clean, seed):
    history = stale(clean)
    rng = np.random.default_rng(seed)
    shuffled = replace(history, requests=history.requests[rng.permutation(history.requests.size)])
    assert found(shuffled) == found(history)
    requests = history.requests.copy()
    for name in ("due_ns", "sent_ns", "done_ns"):
        requests[name] += 5 * S
    faults = tuple(
        replace(f, commanded_ns=f.commanded_ns + 5 * S, acknowledged_ns=f.acknowledged_ns + 5 * S)
        for f in history.faults
    )
    window = replace(
        history.window, baseline_start_ns=history.window.baseline_start_ns + 5 * S,
        observe_end_ns=history.window.observe_end_ns + 5 * S,
    )  # fmt: skip
    moved = replace(history, requests=requests, faults=faults, window=window)
    assert found(moved)[1] == found(history)[1]
