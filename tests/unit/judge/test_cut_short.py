"""Records that are missing at the end: the trial is invalid, and proves only what is recorded."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import FinalRead
from chaoskit.history.reader import read_trial
from chaoskit.history.records import REQUEST, Op, Outcome
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.judge.result import Verdict
from chaoskit.judge.validity import Gates, reasons
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.view import View

S = 1_000_000_000
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))
FAIL, INVALID = Verdict.FAIL, Verdict.INVALID


@pytest.fixture(scope="module")
def clean():
    """With records in the order in which they were made, as a load leaves them."""
    history = simulate(Scenario(streams=BOTH, registers=4))[0]
    order = np.argsort(history.requests["done_ns"], kind="stable")
    return replace(history, requests=history.requests[order])


def stored(folder, history, lost, *, closed=True):
    """The history as it is read back when so many of its records are gone."""
    store(folder, history, closed=closed)
    path = folder / ("requests.npy" if closed else "requests.raw")
    path.write_bytes(path.read_bytes()[: -lost * REQUEST.itemsize + 7 * (not closed)])
    return read_trial(folder)


def judged(history, threshold):
    case = Case("cut", (parse_threshold(threshold),), 1)
    return judge_histories(case, [TrialInput(1, history)])


def with_token(history, token, count=1):
    """Every place has the token so many times; 0: none does."""
    finals = {}
    for place, held in history.finals.items():
        keep = held.tokens != np.uint64(token)
        tokens = np.append(held.tokens[keep], np.full(int(count > 0), token, dtype=np.uint64))
        counts = np.append(held.counts[keep], np.full(int(count > 0), count, dtype=np.uint64))
        finals[place] = FinalRead(place, tokens, counts)
    return replace(history, finals=finals)


def died(history):
    """The load was killed, and what it had not yet written in its last 100 ms went with it."""
    last = history.requests["done_ns"].max()
    kept = history.requests[history.requests["done_ns"] < last - S // 10]
    return replace(history, requests=kept, alive_at_end=False)


# ---------------------------------------------------------------- the planted violation, its twin


@pytest.mark.parametrize("closed", [True, False], ids=["requests.npy", "requests.raw"])
def test_a_file_of_records_cut_short_by_less_than_any_gate_sees_makes_the_trial_invalid(
    tmp_path, clean, closed
):
    history = stored(tmp_path, clean, 40, closed=closed)  # 100 ms
    (reason,) = reasons(View(history), Gates())
    assert "requests." in reason
    assert reason.endswith("; copy the run's folder again, or run it again")
    found = judged(history, "failover_time < 5s")
    assert (found.verdict, found.trials[0].verdict) == (INVALID, INVALID)


def test_its_twin_of_which_nothing_is_missing_is_valid(tmp_path, clean):
    store(tmp_path, clean)
    history = read_trial(tmp_path)
    assert (history.cut_short, history.complete) == ("", True)
    assert reasons(View(history), Gates()) == ()


def test_what_was_written_in_lost_records_is_not_called_unexpected(tmp_path, clean):
    history = stored(tmp_path, clean, 100)
    found = measure_trial(history).unexpected_writes
    assert (found.count, found.examples) == (0, ())
    assert found.unknown > 20
    assert "records are missing" in found.note
    result = judged(history, "unexpected_writes == 0")
    assert (result.verdict, result.trials[0].expectations[0].verdict) == (INVALID, INVALID)


def test_of_a_load_that_died_the_last_tenth_of_a_second_is_not_called_unexpected(clean):
    history = died(clean)
    found = measure_trial(history).unexpected_writes
    assert found.count == 0
    assert found.unknown > 5
    assert judged(history, "unexpected_writes == 0").verdict is INVALID


def test_in_a_whole_record_what_nobody_wrote_is_unexpected(clean):
    strange = with_token(clean, 999)
    found = measure_trial(strange).unexpected_writes
    assert (found.count, found.unknown) == (1, 0)
    assert judged(strange, "unexpected_writes == 0").verdict is FAIL
    assert measure_trial(replace(strange, alive_at_end=False)).unexpected_writes.unknown == 1


# ---------------------------------------------------------------- what is proven all the same


def test_a_write_that_the_record_says_was_never_sent_is_unexpected_whatever_else_is_missing(clean):
    history = died(clean)
    requests = history.requests.copy()
    row = np.flatnonzero((requests["op"] == Op.APPEND) & (requests["outcome"] == Outcome.OK))[0]
    requests["outcome"][row] = Outcome.NOT_SENT
    unsent = replace(history, requests=requests)
    found = measure_trial(unsent).unexpected_writes
    assert (found.count, found.examples[0].token) == (1, requests["token"][row])
    assert found.unknown == measure_trial(history).unexpected_writes.unknown
    assert judged(unsent, "unexpected_writes == 0").verdict is FAIL


@pytest.mark.parametrize(
    ("metric", "outcome", "times"),
    [
        ("lost_writes", Outcome.OK, 0),
        ("resurrected_writes", Outcome.FAIL_DEFINITE, 1),
        ("duplicate_writes", Outcome.OK, 2),
    ],
)
def test_what_is_told_of_recorded_writes_stays_proven(tmp_path, clean, metric, outcome, times):
    written = (clean.requests["op"] == Op.APPEND) & (clean.requests["outcome"] == outcome)
    assert getattr(measure_trial(died(clean)), metric).count == 0
    bad = with_token(clean, clean.requests["token"][written][0], times)
    for history in (died(bad), stored(tmp_path, bad, 40)):
        assert getattr(measure_trial(history), metric).count == 1
        assert judged(history, f"{metric} == 0").verdict is FAIL


def test_a_register_with_a_value_whose_write_may_be_lost_is_unknown(tmp_path, clean):
    requests = clean.requests.copy()
    written = requests["token"][(requests["op"] == Op.PUT) & (requests["outcome"] == Outcome.OK)]
    reads = np.flatnonzero(requests["seen"] == written[-30])
    requests["seen"][reads] = 987_654_321
    twin = measure_trial(replace(clean, requests=requests)).linearizability_violations
    assert (twin.count, twin.unknown) == (1, 0)
    cut = stored(tmp_path, replace(clean, requests=requests), 40)
    found = measure_trial(cut).linearizability_violations
    assert (found.count, found.unknown) == (0, 1)
