"""What nodes answer past the front door: old values of a node that claims office, first writes."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.history import NodeEvent
from chaoskit.history.records import Op, Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.metrics import measure_trial

S = 1_000_000_000
MS = 1_000_000
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))
NONE = Threshold("stale_leader_reads == 0", "stale_leader_reads", "==", 0, "count")


@pytest.fixture(scope="module")
def clean():
    return simulate(Scenario(streams=BOTH, after_s=4.0, registers=4, pinned=50.0))[0]


def told(history, node, role, from_s, to_s):
    """The node says so in every poll of that stretch after the fault."""
    zero = history.faults[0].acknowledged_ns
    return replace(
        history,
        observations=tuple(
            replace(o, value=role)
            if (o.node, o.question) == (node, "role")
            and zero + from_s * S <= o.sent_ns < zero + to_s * S
            else o
            for o in history.observations
        ),
    )


def answers_still(history, node, from_s, to_s):
    """Reads past the front door are answered with what each register held before the fault."""
    requests, zero = history.requests.copy(), history.faults[0].acknowledged_ns
    stream = next(i for i, s in enumerate(history.streams) if (s.op, s.pinned) == ("read", node))
    put = (requests["op"] == Op.PUT) & (requests["outcome"] == Outcome.OK)
    put &= requests["done_ns"] < zero
    due = requests["due_ns"] - zero
    chosen = (requests["stream"] == stream) & (due >= from_s * S) & (due < to_s * S)
    for key in np.unique(requests["key"][chosen]):
        last = requests["token"][put & (requests["key"] == key)].max()
        requests["seen"][chosen & (requests["key"] == key)] = last
    requests["outcome"][chosen], requests["error"][chosen] = Outcome.OK, 0
    return replace(history, requests=requests), int(np.count_nonzero(chosen))


def found(history):
    return measure_trial(history).stale_leader_reads


def verdict(history):
    return judge_histories(Case("leader", (NONE,), 1), [TrialInput(1, history)]).verdict


def test_a_sound_system_has_none_and_was_asked(clean):
    none = found(clean)
    assert (none.count, none.checked) == (0, True)
    assert verdict(clean) is Verdict.PASS


def test_a_deposed_primary_that_answers_from_the_past_and_claims_office_is_counted(clean):
    deposed, reads = answers_still(clean, "node-a", 1.5, 2.0)
    claims = told(deposed, "node-a", "primary", 0.0, 2.5)
    seen = found(claims)
    assert 0 < seen.count <= reads == 25
    assert {one.server for one in seen.examples} == {"node-a"}
    assert "another value had been acknowledged" in seen.examples[0].detail
    assert verdict(claims) is Verdict.FAIL


@pytest.mark.parametrize("role", ["backup", None])
def test_one_that_says_that_it_is_a_replica_may_be_behind(clean, role):
    deposed, _ = answers_still(clean, "node-a", 1.5, 2.0)
    assert found(told(deposed, "node-a", role, 0.0, 4.0)).count == 0


def test_nothing_is_counted_between_two_polls_of_which_one_says_replica(clean):
    deposed, _ = answers_still(clean, "node-a", 1.5, 2.0)
    whole = found(told(deposed, "node-a", "primary", 0.0, 2.5)).count
    half = told(told(deposed, "node-a", "primary", 0.0, 1.75), "node-a", "backup", 1.75, 4.0)
    assert 0 < found(half).count <= whole / 2


def test_a_new_primary_that_is_behind_counts_too(clean):
    behind, reads = answers_still(clean, "node-b", 3.0, 3.5)
    assert 0 < found(behind).count <= reads


def test_no_figure_of_clients_holds_such_reads(clean):
    deposed, _ = answers_still(clean, "node-a", 1.5, 2.0)
    one, other = (measure_trial(h) for h in (clean, told(deposed, "node-a", "primary", 0.0, 2.5)))
    for name in ("stale_reads", "session_violations", "linearizability_violations"):
        assert getattr(one, name) == getattr(other, name)
        assert getattr(other, name).count == 0
    assert one.client_outage_by_stream == other.client_outage_by_stream
    assert set(other.client_outage_by_stream) == {"write", "read"}


def test_without_readers_at_the_nodes_or_their_roles_it_is_not_checked(clean):
    bare = found(simulate(Scenario(streams=BOTH, registers=4))[0])
    assert (bare.count, bare.checked) == (None, False)
    assert "no reader is pinned" in bare.note
    roles = tuple(o for o in clean.observations if o.question != "role")
    assert "no node said" in found(replace(clean, observations=roles)).note
    assert found(replace(clean, notes={"sharing": {"spread": True}})).checked is False


# ---------------------------------------------------------------- the first write that it took


def promote(history):
    (name,) = (n for n in measure_trial(history).phases if "promote" in n)
    return measure_trial(history).phases, name


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
def test_promote_ends_between_the_last_write_refused_and_the_first_taken(rate):
    history, _ = simulate(Scenario(outage_s=1.0, pinned=rate, after_s=4.0))
    parts, name = promote(history)
    assert list(parts)[-1] == "reroute"  # apart, and after it
    until = sum(p.value_s for n, p in parts.items() if n != "reroute")
    assert until == pytest.approx(1.0, abs=1.1 / rate)  # clients and pinned writers alike at 1 s
    width = parts[name].high_s - parts[name].low_s
    assert until - width <= 1.0 <= until + width


def test_what_a_promotion_needs_is_not_put_after_it():
    history, _ = simulate(Scenario(outage_s=1.0, pinned=20.0, after_s=4.0))
    words = {"declared-dead": ("node-a", 0.996), "chosen": ("node-b", 0.997)}
    zero = history.faults[0].acknowledged_ns
    events = tuple(
        NodeEvent("node-b", zero + int(at * S), word, 1 << 62, detail)
        for word, (detail, at) in words.items()
    )
    parts = measure_trial(replace(history, events=events)).phases
    assert list(parts) == ["mask", "detect", "elect", "promote", "reroute"]
    until = sum(p.value_s for n, p in parts.items() if n != "reroute")
    assert 0.997 <= until <= 1.0 + 0.01


def test_a_writer_that_was_never_refused_shows_no_first_write():
    history, _ = simulate(Scenario(outage_s=1.0, pinned=50.0, after_s=4.0))
    requests = history.requests.copy()
    stream = next(i for i, s in enumerate(history.streams) if s.pinned == "node-b")
    requests["outcome"][requests["stream"] == stream] = Outcome.OK
    bare, _ = simulate(Scenario(outage_s=1.0, after_s=4.0))
    polls = measure_trial(bare).phases
    taken = measure_trial(replace(history, requests=requests)).phases
    assert list(taken) == list(polls)
    for name, part in polls.items():  # as the polls have it
        assert taken[name].value_s == pytest.approx(part.value_s, abs=0.02)
