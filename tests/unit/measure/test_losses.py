"""When what is lost had been acknowledged: before the fault, under it, after its heal; and doubt."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.history import FRONTDOOR, FinalRead
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial

NS = 1_000_000_000
ALL = (FRONTDOOR, "node-a", "node-b")
HEAL_S = 2.0


@pytest.fixture(scope="module")
def clean():
    """Healed two seconds after the fault; clients are served again after half a second."""
    history, _ = simulate(Scenario(style="drop", outage_s=0.5, after_s=4.0))
    (fault,) = history.faults
    at = fault.acknowledged_ns + int(HEAL_S * NS)
    healed = replace(fault, heal_commanded_ns=at, healed_ns=at + 1, felt_healed_ns=at + 2)
    return replace(history, faults=(healed,))


def acknowledged(history, start_s, end_s):
    """Tokens whose acknowledgement came in that stretch since the fault, and its records."""
    since = history.requests["done_ns"] - history.faults[0].acknowledged_ns
    chosen = (since >= start_s * NS) & (since < end_s * NS)
    return history.requests[chosen & (history.requests["outcome"] == Outcome.OK)]


def without(history, tokens):
    finals = {
        place: FinalRead(place, held.tokens[keep], held.counts[keep])
        for place, held in history.finals.items()
        for keep in [~np.isin(held.tokens, tokens)]
    }
    return replace(history, finals=finals)


def counts(found):
    return found.lost_writes.count, found.split_brain_loss.count, found.post_heal_loss.count


def test_where_nothing_is_lost_nothing_is_lost_at_any_time(clean):
    found = measure_trial(clean)
    assert counts(found) == (0, 0, 0)
    assert (found.rpo_time.value_s, found.rpo_time.high_s) == (0.0, 0.0)


def test_a_loss_before_the_fault_reaches_back_to_its_earliest_acknowledgement(clean):
    gone = acknowledged(clean, -0.3, 0.0)
    assert gone.size > 40
    found = measure_trial(without(clean, gone["token"]))
    assert counts(found) == (gone.size, 0, 0)
    (fault,) = clean.faults
    first = int(gone["done_ns"].min())
    assert found.rpo_time.value_s == pytest.approx((fault.acknowledged_ns - first) / NS)
    assert found.rpo_time.low_s == pytest.approx((fault.commanded_ns - first) / NS)
    assert found.rpo_time.high_s >= found.rpo_time.value_s


def test_what_was_acknowledged_under_the_fault_and_after_its_heal_is_told_apart(clean):
    under, after = acknowledged(clean, 0.6, 1.2), acknowledged(clean, 3.0, 3.4)
    found = measure_trial(without(clean, [*under["token"], *after["token"]]))
    assert counts(found) == (under.size + after.size, under.size, after.size)
    assert found.rpo_time.value_s == 0.0
    first, last = (
        int(at) - clean.faults[0].acknowledged_ns
        for at in (under["done_ns"].min(), under["done_ns"].max())
    )
    assert found.split_brain_loss.note == (
        f"acknowledged under the fault: {under.size} by node-b, {first / NS:+.3f} to {last / NS:+.3f} s"
    )
    assert {e.token for e in found.post_heal_loss.examples} <= set(after["token"].tolist())


@pytest.mark.parametrize(("at_s", "found"), [(HEAL_S, (1, 1, 0)), (HEAL_S + 1e-9, (1, 0, 1))])
def test_the_heal_s_command_parts_them(clean, at_s, found):
    row = np.flatnonzero(clean.requests["token"] == acknowledged(clean, 1.9, 2.0)["token"][0])
    requests = clean.requests.copy()
    requests["done_ns"][row] = clean.faults[0].acknowledged_ns + round(at_s * NS)
    moved = replace(clean, requests=requests)
    assert counts(measure_trial(without(moved, requests["token"][row]))) == found


def test_a_write_under_way_when_the_fault_began_is_of_neither_kind(clean):
    row = np.flatnonzero(clean.requests["token"] == acknowledged(clean, -0.02, 0.0)["token"][0])
    requests = clean.requests.copy()
    requests["done_ns"][row] = clean.faults[0].acknowledged_ns + 1_000_000
    moved = replace(clean, requests=requests)
    found = measure_trial(without(moved, requests["token"][row]))
    assert counts(found) == (1, 0, 0)
    assert found.rpo_time.value_s == 0.0


def test_without_final_reads_nothing_is_said(clean):
    found = measure_trial(replace(clean, finals={}))
    assert found.rpo_time.value_s is None
    assert not found.split_brain_loss.checked
    assert not found.post_heal_loss.checked
    assert found.recovered_writes.count is None


def test_without_a_fault_nothing_can_have_been_lost_before_it():
    calm = simulate(Scenario(outage_s=0.0))[0]
    found = measure_trial(replace(calm, faults=()))
    assert not found.rpo_time.applicable
    assert (found.split_brain_loss.count, found.post_heal_loss.count) == (0, 0)


def test_a_write_of_unknown_outcome_is_recovered_where_it_is_there_and_else_vanished(clean):
    unknown = clean.requests["token"][clean.requests["outcome"] == Outcome.AMBIGUOUS]
    assert unknown.size > 50
    found = measure_trial(clean)
    assert (found.recovered_writes.count, found.vanished_writes.count) == (0, unknown.size)
    held = clean.finals["node-b"]
    some = FinalRead(
        "node-b",
        np.append(held.tokens, unknown[:7]),
        np.append(held.counts, np.ones(7, dtype=held.counts.dtype)),
    )
    found = measure_trial(replace(clean, finals={**clean.finals, "node-b": some}))
    assert (found.recovered_writes.count, found.vanished_writes.count) == (7, unknown.size - 7)
    assert found.lost_writes.count == 0
    assert found.unexpected_writes.count == 0


@pytest.fixture(scope="module")
def twice(clean):
    """A second fault three seconds after the first, which is healed after two."""
    (first,) = clean.faults
    times = ("commanded_ns", "acknowledged_ns", "verified_ns", "bitten_ns")
    later = {name: getattr(first, name) + 3 * NS for name in times}
    at = first.acknowledged_ns + int(3.5 * NS)
    healed = {"heal_commanded_ns": at, "healed_ns": at + 1, "felt_healed_ns": at + 2}
    return replace(clean, faults=(first, replace(first, step=1, **later, **healed)))


def test_a_loss_before_a_later_fault_is_what_that_one_took(twice):
    gone = acknowledged(twice, 2.8, 3.0)
    found = measure_trial(without(twice, gone["token"]))
    assert counts(found) == (gone.size, 0, 0)
    assert found.rpo_time.value_s == pytest.approx(0.2, abs=0.02)
    assert found.rpo_time.low_s <= found.rpo_time.value_s <= found.rpo_time.high_s


def test_of_several_faults_the_furthest_reach_counts(twice):
    gone = np.concatenate([acknowledged(twice, -0.3, 0.0), acknowledged(twice, 2.8, 3.0)])
    found = measure_trial(without(twice, gone["token"]))
    assert counts(found) == (gone.size, 0, 0)
    assert found.rpo_time.value_s == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("stretch", "split", "after"), [((1.0, 1.5), True, False), ((3.1, 3.4), True, False),
                                    ((3.6, 3.9), False, True)],
)  # fmt: skip
def test_what_is_lost_under_either_fault_or_after_the_last_is_told_apart(
    twice, stretch, split, after
):
    gone = acknowledged(twice, *stretch)
    assert gone.size
    found = measure_trial(without(twice, gone["token"]))
    assert counts(found) == (gone.size, gone.size * split, gone.size * after)
    assert found.rpo_time.value_s == 0.0


# ---------------------------------------------------------------- faults that overlap


@pytest.fixture(scope="module")
def amid(clean):
    """The failover's fault 1.5 s into another that nobody feels and that lasts longer."""
    (kill,) = clean.faults
    times = ("commanded_ns", "acknowledged_ns", "verified_ns", "bitten_ns")
    sooner = {name: getattr(kill, name) - 3 * NS // 2 for name in times}
    load = replace(kill, fault="cpu", **sooner)
    return replace(clean, faults=(load, replace(kill, step=1)))


def then_killed(history, node):
    """1.5 s after the fault, which stays on, that node is killed."""
    (first,) = history.faults
    times = ("commanded_ns", "acknowledged_ns", "verified_ns", "bitten_ns")
    later = {name: getattr(first, name) + 3 * NS // 2 for name in times}
    kill = replace(first, step=1, fault="kill", nodes=(node,), **later)
    return replace(history, faults=(first, kill))


def since_kill(history, start_s, end_s):
    return acknowledged(replace(history, faults=history.faults[1:]), start_s, end_s)


def test_what_was_acknowledged_under_a_load_and_before_the_kill_is_the_kill_s_loss(amid):
    gone = since_kill(amid, -0.3, 0.0)
    assert gone.size > 40
    found = measure_trial(without(amid, gone["token"]))
    assert counts(found) == (gone.size, 0, 0)
    assert found.rpo_time.value_s == pytest.approx(0.3, abs=0.02)


def test_what_the_kill_took_may_reach_back_beyond_the_load(amid):
    gone = since_kill(amid, -1.6, 0.0)
    found = measure_trial(without(amid, gone["token"]))
    assert counts(found)[:2] == (gone.size, 0)
    assert found.rpo_time.value_s == pytest.approx(1.6, abs=0.02)


def test_what_was_acknowledged_after_the_kill_is_under_both(amid):
    gone = since_kill(amid, 0.6, 1.2)
    found = measure_trial(without(amid, gone["token"]))
    assert counts(found) == (gone.size, gone.size, 0)
    assert found.rpo_time.value_s == 0.0


def test_a_deposed_node_s_writes_are_a_split_brain_whatever_is_done_to_it_next(clean):
    """A partition, node-b takes over, node-a goes on, and is then killed amid the partition."""
    both = then_killed(clean, "node-a")
    mine = clean.servers.index("node-a")
    chosen = acknowledged(clean, 1.0, 1.2)["token"]
    requests = clean.requests.copy()
    requests["server"][np.isin(requests["token"], chosen)] = mine
    found = measure_trial(without(replace(both, requests=requests), chosen))
    assert counts(found) == (chosen.size, chosen.size, 0)
    assert found.rpo_time.value_s == 0.0


def test_what_the_new_primary_had_acknowledged_is_lost_to_the_fault_that_hits_it(clean):
    both = then_killed(clean, "node-b")
    gone = acknowledged(clean, 1.2, 1.5)
    found = measure_trial(without(both, gone["token"]))
    assert counts(found) == (gone.size, 0, 0)
    assert found.rpo_time.value_s == pytest.approx(0.3, abs=0.02)


def test_a_second_fault_that_strikes_somebody_else_takes_nothing_over(amid):
    """node-a goes on under a partition, and the backup is killed before it could take over."""
    cut, kill = amid.faults
    other = replace(amid, faults=(cut, replace(kill, nodes=("node-b",))))
    gone = since_kill(amid, -0.3, 0.0)
    found = measure_trial(without(other, gone["token"]))
    assert counts(found) == (gone.size, gone.size, 0)
    assert found.rpo_time.value_s == 0.0


def test_one_that_was_relieved_in_its_turn_was_no_longer_in_office(clean):
    """node-b takes over and hands back before the kill strikes it: its writes were not the kill's."""
    both = then_killed(clean, "node-b")
    requests = clean.requests.copy()
    back = np.isin(requests["token"], acknowledged(clean, 1.3, 1.5)["token"])
    requests["server"][back] = clean.servers.index("node-a")
    gone = acknowledged(clean, 1.0, 1.2)
    found = measure_trial(without(replace(both, requests=requests), gone["token"]))
    assert counts(found) == (gone.size, gone.size, 0)


def test_where_nobody_is_named_the_roles_tell_and_else_the_first_of_both_has_it(amid):
    requests = amid.requests.copy()
    requests["server"] = 0
    gone = since_kill(amid, -0.3, 0.0)["token"]
    unnamed = without(replace(amid, requests=requests), gone)
    assert counts(measure_trial(unnamed)) == (gone.size, 0, 0)
    unseen = measure_trial(replace(unnamed, observations=()))
    assert counts(unseen) == (gone.size, gone.size, 0)
