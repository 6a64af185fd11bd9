"""``@impact``: the second from the fault's command on, whatever the node's absence lasts."""

from dataclasses import replace

import pytest

from chaoskit.experiment.grammar import ThresholdError, parse_threshold
from chaoskit.judge.result import Verdict
from chaoskit.judge.thresholds import expectation, measure
from chaoskit.judge.validity import Gates
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.sharing import impact_second
from chaoskit.measure.view import View
from tests.unit.measure.sharing_script import FAULT, HEALED, MS, NS, RATE, history_of

PASS, FAIL, INVALID = Verdict.PASS, Verdict.FAIL, Verdict.INVALID
STEP = int(NS / RATE)


def struck(bad, *, also=0, slow=1):
    """The first ``bad`` requests of the second fail, and ``also`` after it; all take ``slow``."""

    def act(due, _shard):
        gone = FAULT <= due < FAULT + bad * STEP or FAULT + NS <= due < FAULT + NS + also * STEP
        return (0 if gone else due // STEP % 3 + 1), (slow if FAULT <= due < FAULT + NS else 1)

    return history_of(act, spread=True)


def judged(history, text):
    view, threshold = View(history), parse_threshold(text)
    return expectation(threshold, measure(threshold, 1, view, measure_view(view)))


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("error_rate@impact < 5%", 4, 5),
        ("error_rate@impact <= 5%", 5, 6),
        ("availability@impact >= 95%", 5, 6),
        ("dropped_requests@impact < 5", 4, 5),
        ("dropped_requests@impact < 5%", 4, 5),
        ("dropped_requests.count@impact <= 5", 5, 6),
        ("error_rate@impact <= 3 x baseline", 0, 60),
    ],
)
def test_both_sides_of_a_bound_on_what_failed_in_that_second(text, least, most):
    assert judged(struck(least), text).verdict is PASS
    assert judged(struck(most), text).verdict is FAIL


@pytest.mark.parametrize(
    ("text", "quick", "slow"),
    [
        ("latency.p99@impact < 20ms", 19, 20),
        ("latency.p50@impact < 2 x baseline", 1, 3),
        ("latency.p99@impact < 2 x baseline", 1, 3),
        ("latency.max@impact <= 2 x baseline", 2, 3),
    ],
)
def test_both_sides_of_a_bound_on_how_slow_that_second_was(text, quick, slow):
    assert judged(struck(0, slow=quick), text).verdict is PASS
    assert judged(struck(0, slow=slow), text).verdict is FAIL


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("latency.p99@impact < 100ms", FAIL),
        ("latency.mean@impact < 2 x baseline", FAIL),
        ("latency.max@impact < 200ms", FAIL),
        ("latency.p99@impact < 300ms", Verdict.INCONCLUSIVE),
    ],
)
def test_a_second_in_which_nobody_was_answered_is_as_slow_as_clients_were_patient(text, verdict):
    """All of it failed: no latency at all is the worst of all, and no flaw of the measurement."""
    assert judged(struck(round(RATE)), text).verdict is verdict


def test_a_fault_that_was_on_for_less_than_an_interval_says_nothing_of_requests_under_it():
    (fault,) = struck(0).faults
    brief = replace(
        fault, heal_commanded_ns=FAULT + 1, healed_ns=FAULT + 2, felt_healed_ns=FAULT + 2
    )
    shifted = replace(brief, commanded_ns=FAULT + 1, acknowledged_ns=FAULT + 1)
    for text in ("error_rate@fault < 1%", "dropped_requests@fault == 0"):
        assert judged(replace(struck(0), faults=(shifted,)), text).verdict is INVALID
        assert judged(struck(0), text).verdict is PASS


def test_what_fails_before_and_after_that_second_is_not_of_it():
    history = struck(0, also=50)
    assert judged(history, "error_rate@impact == 0").verdict is PASS
    assert judged(history, "error_rate@fault == 0").verdict is FAIL
    early = history_of(lambda due, _: (0 if due == FAULT - STEP else 1, 1), spread=True)
    assert judged(early, "error_rate@impact == 0").verdict is PASS


def test_it_is_the_second_that_the_report_shows():
    view = View(struck(4, slow=7))
    shown = impact_second(view)
    assert view.spans["impact"] == (FAULT, FAULT + NS)
    assert judged(view.history, f"dropped_requests@impact == {shown.bad}").verdict is PASS
    values = measure_view(view).values
    assert values["error_rate@impact"] == shown.bad / shown.due
    assert values["latency.p99@impact"] == shown.p99_s == 0.007


@pytest.mark.parametrize(("held_s", "verdict"), [(2, FAIL), (4, PASS)])
def test_it_does_not_depend_on_how_long_the_node_is_held_dead_as_the_whole_window_does(
    held_s, verdict
):
    """Two requests fail either way; the window to the heal is as long as the experiment says."""
    history = struck(2)
    healed = FAULT + held_s * NS
    fault = replace(
        history.faults[0], heal_commanded_ns=healed, healed_ns=healed, felt_healed_ns=healed
    )
    held = replace(history, faults=(fault,))
    assert judged(held, "dropped_requests < 0.8%").verdict is verdict
    assert judged(held, "error_rate@impact == 2%").verdict is PASS


def test_of_several_faults_it_is_the_first_that_is_meant_to_bite():
    history = struck(3)
    (fault,) = history.faults

    def at(begin, end, **more):
        times = ("commanded_ns", "acknowledged_ns", "verified_ns", "bitten_ns")
        ends = ("heal_commanded_ns", "healed_ns", "felt_healed_ns")
        return replace(fault, **dict.fromkeys(times, begin), **dict.fromkeys(ends, end), **more)

    noop = at(2 * NS, 3 * NS, must_bite=False)
    both = replace(history, faults=(noop, fault, at(HEALED + NS // 2, HEALED + NS)))
    assert View(both).spans["impact"] == (FAULT, FAULT + NS)
    assert judged(both, "dropped_requests@impact == 3").verdict is PASS
    alone = replace(history, faults=(noop,))
    assert View(alone).spans["impact"] == (2 * NS, 3 * NS), "of none that bites, the first"


def silent(history):
    """No request is due in the second after the fault."""
    due = history.requests["due_ns"]
    return replace(history, requests=history.requests[(due < FAULT) | (due >= FAULT + NS)])


def cut_short(history):
    """Observation ends half a second after the fault's command."""
    return replace(history, window=replace(history.window, observe_end_ns=FAULT + NS // 2))


def soak(history):
    return replace(history, faults=())


@pytest.mark.parametrize("change", [silent, cut_short, soak])
@pytest.mark.parametrize(
    "text",
    [
        "error_rate@impact < 5%",
        "availability@impact > 50%",
        "dropped_requests@impact < 5",
        "dropped_requests@impact < 5%",
        "latency.p99@impact < 20ms",
        "latency.p99@impact < 2 x baseline",
        "error_rate@impact <= 2 x baseline",
    ],
)
def test_a_bound_on_a_second_in_which_nothing_was_due_is_invalid(change, text):
    assert judged(struck(0), text).verdict is PASS
    assert judged(change(struck(0)), text).verdict is INVALID


def test_why_it_is_invalid_is_said():
    assert (
        "less than a second was observed"
        in judged(cut_short(struck(0)), "error_rate@impact < 5%").observed
    )


def test_a_bound_on_one_node_takes_the_phase_too():
    history = struck(4)
    alone = replace(history, notes={})
    assert impact_second(View(alone)) is None
    assert judged(alone, "error_rate@impact < 5%").verdict is PASS
    assert judged(alone, "error_rate@impact < 4%").verdict is FAIL


def test_metrics_of_a_whole_trial_refuse_it():
    with pytest.raises(ThresholdError, match="client_outage takes no @phase"):
        parse_threshold("client_outage@impact < 1s")
    with pytest.raises(ThresholdError, match="unknown phase 'impct'; did you mean 'impact'"):
        parse_threshold("error_rate@impct < 1%")


def lagging(history):
    """Two slots were sent 20 ms late: of the hundred of that second, not of the fault's 200."""
    requests = history.requests.copy()
    late = (requests["due_ns"] >= FAULT + 10 * STEP) & (requests["due_ns"] < FAULT + 12 * STEP)
    requests["sent_ns"][late] += 20 * MS
    requests["done_ns"][late] += 20 * MS
    return replace(history, requests=requests)


@pytest.mark.parametrize(
    ("text", "late"),
    [
        ("latency.p99@impact < 90ms", True),
        ("error_rate@impact < 5%", False),
        ("latency.p99@run < 90ms", False),
    ],
)
def test_a_generator_that_was_late_in_it_is_no_measure_of_how_slow_it_was(text, late):
    case = Case("impact", (parse_threshold(text),), gates=Gates(lag_p99_s=0.005))
    history = lagging(struck(0))
    said = " ".join(judge_histories(case, [TrialInput(1, history)]).trials[0].invalid_because)
    assert ("late at p99 in the phase impact" in said) is late
    calm = judge_histories(case, [TrialInput(1, struck(0))]).trials[0].invalid_because
    assert "late" not in " ".join(calm)
