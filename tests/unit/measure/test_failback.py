"""The office is back where it was: by a failback, or because whoever had it was struck as well."""

from dataclasses import replace

import pytest

from chaoskit.clock import NS
from chaoskit.history.history import Observation
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial, measure_view
from chaoskit.measure.reading import read
from chaoskit.measure.view import View

NODES = ("node-a", "node-b", "node-c")
AWAY = ((0.1, "node-a", None), (0.4, "node-b", "primary"), (1.2, "node-a", "backup"))
BACK = ((3.3, "node-b", None), (3.3, "node-a", "primary"), (4.2, "node-b", "backup"))


def trial(*story, faults=()):
    """node-a is killed at 0 and healed at 1 s. The story is in seconds, and so are further faults.

    A fault: kind, nodes, commanded, healed (None: never).
    """
    history, truth = simulate(Scenario(outage_s=0.5, after_s=8.0))
    start = [(-2, node, "primary" if node == "node-a" else "backup") for node in NODES]
    polls = []
    for node in NODES:
        said = [(at, value) for at, who, value in (*start, *story) if who == node]
        for sent in range(truth.begin_ns - 2 * NS, truth.begin_ns + 8 * NS, NS // 20):
            at = (sent - truth.begin_ns) / NS
            value = [v for when, v in said if when <= at][-1]
            polls.append(Observation(node, "role", sent, sent + NS // 1000, value))
    first = replace(history.faults[0], healed_ns=truth.begin_ns + NS)
    records = [first]
    for step, (kind, nodes, commanded, healed) in enumerate(faults, start=1):
        at = truth.begin_ns + int(commanded * NS)
        end = None if healed is None else truth.begin_ns + int(healed * NS)
        records.append(
            replace(
                first, step=step, fault=kind, nodes=tuple(nodes), commanded_ns=at,
                acknowledged_ns=at, verified_ns=at, bitten_ns=at, heal_commanded_ns=end,
                healed_ns=end, felt_healed_ns=end, must_bite=kind != "noop",
            )
        )  # fmt: skip
    return replace(history, observations=tuple(polls), faults=tuple(records))


def kind_of(*story, faults=()):
    return measure_trial(trial(*story, faults=faults)).failback.kind


def test_a_second_failover_that_ends_at_home_is_no_failback():
    """The planted violation: the successor is killed, so the first primary serves again."""
    view = View(trial(*AWAY, *BACK, faults=[("kill", ["node-b"], 3.0, 4.0)]))
    metrics = measure_view(view)
    assert metrics.failback.kind == "never"
    for metric in ("failback_time", "failback_outage"):
        found = read(view, metrics, metric, stat=None, phase=None, unit="s")
        assert not found.applicable
        assert "node-a came back to office by a failover, after the kill of node-b" in found.note
        assert "at +3.00 s" in found.note


def test_the_same_way_back_with_nobody_struck_is_a_failback():
    """Its clean twin."""
    found = measure_trial(trial(*AWAY, *BACK)).failback
    assert found.kind == "automatic"
    assert found.time.low_s <= 2.3 <= found.time.high_s


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (("kill", ["node-a"], 1.5, 2.0), "the node that comes home had been struck"),
        (("kill", ["node-c"], 3.0, 4.0), "a backup is struck"),
        (("noop", ["node-b"], 3.0, 4.0), "nothing bites"),
        (("kill", ["node-b"], 0.2, None), "it was struck before it was in office"),
        (("kill", ["node-b"], 3.6, 4.0), "it was struck when it was no longer in office"),
        (("pause", ["node-b"], 1.5, 2.2), "it went on in office for 1.1 s after the heal"),
    ],
)
def test_a_fault_that_took_nobody_out_of_office_leaves_a_failback_one(fault, why):
    assert kind_of(*AWAY, *BACK, faults=[fault]) == "automatic", why


@pytest.mark.parametrize(
    "fault",
    [
        ("partition", ["node-b"], 3.0, None),
        ("pause", ["node-b"], 2.9, 3.2),  # its last words are those of a node that just woke up
        ("pause", ["node-b"], 1.5, 2.4),  # 0.9 s before
        ("partition", ["node-b", "node-c"], 3.0, 5.0),
        ("kill", ["node-b"], 0.4, None),  # when: promoted, before the next poll saw it
    ],
)
def test_a_fault_that_was_on_or_just_over_makes_it_a_failover(fault):
    assert kind_of(*AWAY, *BACK, faults=[fault]) == "never"


def test_one_that_never_was_seen_in_office_after_the_heal_gave_nothing_back_either():
    dead = ((2.0, "node-b", None), *BACK)
    assert kind_of(*AWAY, *dead, faults=[("kill", ["node-b"], 2.0, 2.1)]) == "never"


def test_a_switchover_is_a_way_back_though_a_fault_was_on():
    """As when an operator takes the office from a node that is slow; and not the other way round."""
    slow = ("cpu", ["node-b"], 2.0, 5.0)
    assert kind_of(*AWAY, *BACK, faults=[slow, ("switchover", ["node-b"], 3.2, 3.3)]) == "manual"
    assert kind_of(*AWAY, *BACK, faults=[("switchover", ["node-b"], 3.2, 3.3)]) == "manual"
    struck = [("switchover", ["node-b"], 2.0, 2.1), ("kill", ["node-b"], 3.0, 4.0)]
    assert kind_of(*AWAY, *BACK, faults=struck) == "never"
    assert kind_of(*AWAY, *BACK, faults=[("switchover", ["node-a"], 6.0, 6.1)]) == "automatic"


def test_where_the_office_had_gone_on_to_a_third_node_its_own_fate_counts():
    on = ((2.0, "node-b", None), (2.3, "node-c", "primary"))
    home = ((3.3, "node-c", "backup"), (3.3, "node-a", "primary"))
    kill_b, kill_c = ("kill", ["node-b"], 2.0, 5.0), ("kill", ["node-c"], 3.0, 5.0)
    assert kind_of(*AWAY, *on, *home, faults=[kill_b]) == "automatic"
    assert kind_of(*AWAY, *on, *home, faults=[kill_b, kill_c]) == "never"


def test_a_failback_that_follows_a_second_and_a_third_failover_is_found():
    again = (
        (5.0, "node-a", None), (5.3, "node-b", "primary"),
        (7.0, "node-a", "primary"), (7.0, "node-b", "backup"),
    )  # fmt: skip
    faults = [("kill", ["node-b"], 3.0, 4.0), ("kill", ["node-a"], 5.0, 5.5)]
    found = measure_trial(trial(*AWAY, *BACK, *again, faults=faults)).failback
    assert found.kind == "automatic"
    assert found.time.low_s <= 1.5 <= found.time.high_s
