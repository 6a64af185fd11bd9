"""What the failover was made of, with what the nodes told of themselves as evidence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.history.history import NodeEvent, Observation
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.phases import split

MS = 1_000_000
STORY = (
    ("declared-dead", 300, "node-b"),
    ("chosen", 340, "witness"),
    ("promoted", 420, "node-b"),
)


def told(truth, story, seen_after=50):
    """Events so many ms after service went out."""
    return tuple(
        NodeEvent(node, truth.begin_ns + at * MS, word, truth.begin_ns + (at + seen_after) * MS)
        for word, at, node in story
    )


def measured(story, **changes):
    history, truth = simulate(Scenario(outage_s=0.5))
    events = changes.pop("events", told(truth, story))
    return measure_trial(replace(history, events=events, **changes)), truth


def test_every_part_ends_where_a_node_told_that_it_did():
    found, _ = measured(STORY)
    assert list(found.phases) == ["mask", "detect", "elect", "promote", "reroute"]
    after = found.phases["elect"], found.phases["promote"]
    assert [round(p.value_s, 6) for p in after] == [0.04, 0.08]
    assert all(p.low_s == p.value_s == p.high_s for p in after)  # both ends are told, not polled
    assert found.time_to_detect.note == "node-b declared the target dead"
    assert found.time_to_detect.low_s <= 0.3 <= found.time_to_detect.high_s
    assert found.time_to_detect.low_s > 0.29, "what a node told has a lower end too"
    assert not found.time_to_detect.at_most


def test_where_an_operator_was_asked_the_approval_is_a_part_of_its_own():
    asked = (("failover-pending", 310, "witness"), ("failover-approved", 330, "witness"))
    found, _ = measured((*STORY, *asked))
    assert list(found.phases) == ["mask", "detect", "approval", "elect", "promote", "reroute"]
    assert found.phases["approval"].value_s == pytest.approx(0.03)
    assert found.phases["elect"].value_s == pytest.approx(0.01)


def test_a_pending_failover_that_nobody_saw_approved_merges():
    found, _ = measured((*STORY, ("failover-pending", 310, "witness")))
    assert list(found.phases) == ["mask", "detect", "approval+elect", "promote", "reroute"]


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ("declared-dead", ["mask", "detect+elect", "promote", "reroute"]),
        ("chosen", ["mask", "detect", "elect+promote", "reroute"]),
    ],
)
def test_a_missing_observer_merges_parts_and_guesses_nothing(missing, names):
    found, _ = measured([one for one in STORY if one[0] != missing])
    assert list(found.phases) == names


def test_without_a_promotion_told_the_polls_say_it_with_their_width():
    found, _ = measured(STORY[:2])
    assert list(found.phases) == ["mask", "detect", "elect", "promote", "reroute"]
    promote = found.phases["promote"]
    assert promote.low_s < promote.value_s < promote.high_s


def test_what_the_target_itself_declares_is_not_the_detection():
    found, _ = measured((("declared-dead", 100, "node-a"), *STORY))
    assert found.time_to_detect.value_s == pytest.approx(0.3, abs=0.01)


def test_a_clock_of_its_own_and_a_stamp_from_the_future_are_not_used():
    history, truth = simulate(Scenario(outage_s=0.5))
    clean = told(truth, STORY)
    wrong = measure_trial(replace(history, events=told(truth, STORY, seen_after=-50)))
    assert list(wrong.phases) == ["mask", "detect+elect+promote", "reroute"]
    notes = {"clock of node-b": "its own", "clock of witness": "its own"}
    own = measure_trial(replace(history, events=clean, notes=notes))
    assert own.phases == wrong.phases
    assert own.time_to_detect.at_most


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["declared-dead", "chosen", "promoted", "failover-pending", "failover-approved"]
            ),
            st.integers(-500, 1500),
            st.sampled_from(["node-a", "node-b", "witness"]),
        ),
        max_size=8,
    )
)
def test_whatever_is_told_the_parts_sum_to_the_failover_time(story):
    found, _ = measured(story)
    total = sum(round(part.value_s * 1e9) for part in found.phases.values())
    assert total == round(found.failover_time.value_s * 1e9)
    assert all(0 <= p.low_s <= p.value_s <= p.high_s for p in found.phases.values())


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-100, 2000)), min_size=1, max_size=6),
    st.integers(0, 1000),
)
def test_parts_of_any_marks_sum(start, marks, length):
    parts = split(start, marks, start + length)
    assert sum(part for _, part in parts) == length
    assert all(part >= 0 for _, part in parts)


def roles(truth, *story):
    """Polls every 50 ms from two seconds before the fault on; the story says what changes when."""
    found = []
    for node in ("node-a", "node-b"):
        changes = [(at, value) for at, who, value in story if who == node]
        for at in range(-2000, 5000, 50):
            value = [v for when, v in changes if when <= at][-1]
            sent = truth.begin_ns + at * MS
            found.append(Observation(node, "role", sent, sent + MS, value))
    return tuple(found)


START = ((-2000, "node-a", "primary"), (-2000, "node-b", "backup"))
AWAY = (*START, (100, "node-a", None), (400, "node-b", "primary"))


def test_redundancy_is_back_when_the_last_node_is_whole_for_good():
    history, truth = simulate(Scenario(outage_s=0.5))
    story = (*AWAY, (2000, "node-a", "rejoining"), (2500, "node-a", "backup"))
    found = measure_trial(replace(history, observations=roles(truth, *story))).time_to_redundancy
    assert found.low_s <= 2.5 <= found.high_s
    assert found.high_s - found.low_s < 0.11
    again = (*story, (2600, "node-a", None), (3000, "node-a", "backup"))
    found = measure_trial(replace(history, observations=roles(truth, *again))).time_to_redundancy
    assert found.low_s <= 3.0 <= found.high_s


def test_a_node_that_never_rejoins_is_censored_and_named():
    history, truth = simulate(Scenario(outage_s=0.5))
    found = measure_trial(replace(history, observations=roles(truth, *AWAY))).time_to_redundancy
    assert found.censored
    assert found.high_s is None
    assert "node-a had not rejoined" in found.note


def test_a_node_that_was_never_missing_costs_no_redundancy():
    history, truth = simulate(Scenario(outage_s=0.5))
    found = measure_trial(replace(history, observations=roles(truth, *START))).time_to_redundancy
    assert (found.value_s, found.high_s) == (0.0, 0.0)
    assert measure_trial(replace(history, observations=())).time_to_redundancy is None


def test_a_role_that_stays_away_never_failed_back():
    history, truth = simulate(Scenario(outage_s=0.5))
    story = (*AWAY, (2000, "node-a", "backup"))
    found = measure_trial(replace(history, observations=roles(truth, *story))).failback
    assert (found.kind, found.home, found.time, found.outage) == ("never", "node-a", None, None)
    assert measure_trial(replace(history, observations=roles(truth, *START))).failback is None


@pytest.mark.parametrize(("fault", "kind"), [("kill", "automatic"), ("switchover", "manual")])
def test_the_way_back_is_timed_from_the_heal_and_its_kind_told(fault, kind):
    history, truth = simulate(Scenario(outage_s=0.5))
    home = (*AWAY, (2000, "node-a", "backup"), (3000, "node-a", "primary"))
    home = (*home, (2950, "node-b", "backup"))
    (first,) = history.faults
    first = replace(first, healed_ns=truth.begin_ns + 1000 * MS)
    asked, answered = truth.begin_ns + 2900 * MS, truth.begin_ns + 2910 * MS
    second = replace(first, step=1, fault=fault, commanded_ns=asked, healed_ns=answered)
    faults = (first, second) if fault == "switchover" else (first,)
    found = measure_trial(
        replace(history, observations=roles(truth, *home), faults=faults)
    ).failback
    assert found.kind == kind
    assert found.time.low_s <= 2.0 <= found.time.high_s
    assert found.outage.value_s == 0.0


@pytest.mark.parametrize(
    ("to_s", "expected", "censored"), [(3.2, 0.3, False), (9.0, 0.6, True), (None, 0.0, False)]
)
def test_an_outage_on_the_way_back_is_measured_as_any_other(to_s, expected, censored):
    history, truth = simulate(Scenario(outage_s=0.5))
    home = ((2000, "node-a", "backup"), (2950, "node-b", "backup"), (3000, "node-a", "primary"))
    requests = history.requests.copy()
    due = (requests["due_ns"] - truth.begin_ns) / 1e9
    requests["outcome"][(due >= 2.9) & (due < (to_s or 0.0))] = Outcome.FAIL_DEFINITE
    found = measure_trial(
        replace(history, requests=requests, observations=roles(truth, *AWAY, *home))
    ).failback.outage
    assert found.value_s == pytest.approx(expected, abs=0.01)
    assert found.censored is censored
    assert (found.high_s is None) is censored


def test_heartbeats_are_measured_until_the_fault_and_misses_counted_after_it():
    history, truth = simulate(Scenario(outage_s=0.5))
    beats = [
        NodeEvent("node-b", truth.begin_ns + at * MS, "heartbeat-seen", 1 << 60, f"{at} of node-a")
        for at in range(-1000, 2000, 100)
    ]
    misses = [
        NodeEvent("node-b", truth.begin_ns + at * MS, "heartbeat-missed", 1 << 60, "1 of node-a")
        for at in (-50, 100, 200)
    ]
    found = measure_trial(replace(history, events=(*beats, *misses))).heartbeats
    assert set(found) == {"node-b from node-a"}
    (link,) = found.values()
    assert link.interval_s == pytest.approx(0.1)
    assert link.jitter_s == pytest.approx(0.0, abs=1e-9)
    assert (link.missed_before, link.missed_after) == (1, 2)
    assert link.seen <= 11
    assert measure_trial(history).heartbeats == {}
