"""How often a failure detector was wrong, for how long, and how right it was (Chen et al.)."""

from dataclasses import replace

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import NodeEvent
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.soaking import soaked
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.mistakes import false_suspicions
from chaoskit.measure.view import View

MS = 1_000_000
SEEN = 1 << 62


@pytest.fixture(name="soak")
def _soak():
    return simulate(Scenario(outage_s=0.0, bites=False, baseline_s=6.0))[0]


def listening(history, *spans, named=True, node="node-b", peer="node-a", until_ms=5000, says=()):
    """Heartbeats every 50 ms until ``until_ms``, none in ``spans`` (ms); further events by word."""
    zero = history.window.baseline_start_ns
    beats = [
        NodeEvent(node, zero + at * MS, "heartbeat-seen", SEEN, f"7 of {peer}" if named else "7")
        for at in range(0, until_ms + 1, 50)
        if not any(low < at < high for low, high in spans)
    ]
    said = [NodeEvent(who, zero + at * MS, word, SEEN, what) for at, who, word, what in says]
    return replace(history, events=(*history.events, *beats, *said))


def dead(at, node="node-b", peer="node-a"):
    return (at, node, "declared-dead", peer)


@pytest.mark.parametrize("named", [True, False])
def test_a_mistake_lasts_until_the_peer_is_heard_again(soak, named):
    history = listening(soak, (1000, 1500), named=named, says=[dead(1250)])
    found = false_suspicions(View(history))
    assert (found.count, found.links) == (1, 1)
    assert found.durations_s == pytest.approx((0.25,))
    assert found.longest.value_s == pytest.approx(0.25)
    assert not found.longest.censored
    assert found.watched_s == pytest.approx(5.0)
    assert found.query_accuracy.value_s == pytest.approx(1 - 0.25 / 5.0)


def test_its_clean_twin_is_right_all_the_time(soak):
    found = false_suspicions(View(listening(soak, (1000, 1500))))
    assert (found.count, found.wrong_s) == (0, 0.0)
    assert found.longest.value_s == 0.0
    assert found.query_accuracy.value_s == 1.0


def test_said_twice_and_not_corrected_in_between_is_one_mistake(soak):
    history = listening(soak, (1000, 1500), says=[dead(1250), dead(1300)])
    assert false_suspicions(View(history)).count == 1
    apart = listening(soak, (1000, 1500), (3000, 3500), says=[dead(1250), dead(3300)])
    assert false_suspicions(View(apart)).durations_s == pytest.approx((0.25, 0.2))


def test_one_that_is_acted_upon_ends_with_the_promotion(soak):
    says = [dead(2200), (2260, "node-b", "promoted", "")]
    found = false_suspicions(View(listening(soak, until_ms=2000, says=says)))
    assert found.durations_s == pytest.approx((0.06,))
    assert found.watched_s == pytest.approx(2.26)  # it listens to nobody as primary


def test_one_that_nothing_corrects_lasts_to_the_end_and_is_censored(soak):
    view = View(listening(soak, until_ms=2000, says=[dead(2200)]))
    found = false_suspicions(view)
    left = (view.observed[1] - view.observed[0]) / 1e9 - 2.2
    assert found.durations_s == ()
    assert found.longest.censored
    assert found.longest.value_s == pytest.approx(left)
    assert found.query_accuracy.value_s == pytest.approx(1 - left / (left + 2.2))


def test_a_longer_one_before_does_not_close_one_that_nothing_corrects(soak):
    """4.4 s until the node is heard again, then 0.5 s that were not over in the end."""
    end = (soak.window.observe_end_ns - soak.window.baseline_start_ns) // MS
    beats = {"until_ms": end - 700, "says": [dead(200), dead(end - 500)]}
    found = false_suspicions(View(listening(soak, (0, 4600), **beats)))
    assert found.count == 2
    assert (found.longest.censored, found.longest.high_s) == (True, None)
    assert found.longest.value_s == pytest.approx(4.4)


def test_what_is_declared_under_a_fault_is_no_mistake():
    killed = simulate(Scenario(outage_s=0.8, baseline_s=3.0))[0]
    fault = (killed.faults[0].commanded_ns - killed.window.baseline_start_ns) // MS
    after = listening(killed, until_ms=fault, says=[dead(fault + 250)])
    assert false_suspicions(View(after)).count == 0
    before = listening(killed, (1000, 1500), until_ms=fault, says=[dead(1250), dead(fault + 250)])
    found = false_suspicions(View(before))
    assert found.durations_s == pytest.approx((0.25,))
    assert found.watched_s <= fault / 1000 + 0.001


def test_who_had_ended_by_itself_was_suspected_rightly(soak):
    history = listening(soak, until_ms=2000, says=[dead(2200)])
    fallen = replace(history, notes={**history.notes, "ended_before": ["node-a"]})
    assert false_suspicions(View(fallen)).count == 0


def test_each_listener_of_each_peer_is_a_detector_of_its_own(soak):
    history = listening(soak, (1000, 1500), says=[dead(1250)])
    for peer in ("node-c", "node-d"):
        history = listening(history, peer=peer)
    found = false_suspicions(View(history))
    assert (found.count, found.links) == (1, 3)
    assert found.watched_s == pytest.approx(15.0)
    assert found.query_accuracy.value_s == pytest.approx(1 - 0.25 / 15)


def test_where_no_node_tells_of_heartbeats_nothing_is_claimed(soak):
    found = measure_trial(soak).false_suspicions
    assert found.count is None
    assert "no node told" in found.note


def test_a_clock_of_its_own_is_not_used(soak):
    history = listening(soak, (1000, 1500), says=[dead(1250)])
    apart = replace(history, notes={**history.notes, "clock of node-b": "its own"})
    assert false_suspicions(View(apart)).count is None


# ---------------------------------------------------------------- over the trials


def test_over_the_trials_it_says_how_often_how_long_and_how_right(soak):
    wrong = measure_trial(
        listening(soak, (1000, 1500), (3000, 3500), says=[dead(1250), dead(3400)])
    )
    right = measure_trial(listening(soak))
    said = soaked((), (wrong, right))[1]
    # 2 in 10 s: between 0.242 and 7.22 (exact Poisson), so one in 1.38 to 41.3 s
    assert said == (
        "2 false suspicions by 1 failure detector in 10.00 s of listening: one in 5.00 s (1.38 s to"
        " 41.29 s, 95 %), corrected after 0.17 s (median), 0.25 s at the longest; right for"
        " 96.5000% of the time"
    )


def test_without_a_mistake_it_says_what_that_proves(soak):
    said = soaked((), (measure_trial(listening(soak)),))[1]
    assert said.startswith("0 false suspicions by 1 failure detector in 5.00 s of listening: ")
    assert said.endswith("at most 2,157 an hour (95 %)")  # 3 / 5 s


def test_under_a_fault_it_is_said_where_a_threshold_asks():
    history = listening(simulate(Scenario(outage_s=0.8, baseline_s=6.0))[0])
    measured = (measure_trial(history),)
    assert soaked((), measured) == ()
    assert len(soaked((parse_threshold("query_accuracy >= 99.9%"),), measured)) == 2
