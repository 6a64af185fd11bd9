"""Operators in a bad world: whatever they decide, and whenever, nothing is lost and nobody doubled."""

from random import Random

import pytest
from reference_simulation import MS, NODES, World
from test_protocol_simulated import WEATHERS, judged, misfortune

from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.settings import Rules

APPROVAL = Rules(approval=True)


def meddle(world, random, seen):
    """An operator does something at a random moment, on what is known now or was known before."""
    name = random.choice(NODES)
    node, slot = world.machine(name), world.processes[name]
    if node is None or slot.paused:
        return
    if node.consent and node.consent.now:
        seen.append((node.consent.now.id, node.consent.now.candidate))
    what = random.choice(["approve", "approve", "approve", "reject", "raise", "switchover"])
    if what == "switchover" or node.consent is None:
        world.switchover(name, random.choice(["", *NODES]))
    else:
        request, candidate = random.choice(seen[-3:]) if seen else ("", "")
        candidate = random.choice([candidate, candidate, random.choice(NODES)])
        world.decide(name, what, request, candidate)


def bad_day(seed, weather, rules, kind=Node, seconds=8):
    random = Random(f"operators {seed}")
    world = World(seed, WEATHERS[weather], kind, rules=rules)
    world.run_for(1_000 * MS)
    end, seen = world.now + seconds * 1_000 * MS, []
    while world.now < end:
        for _ in range(random.randrange(1, 8)):
            world.run_for(random.randrange(1, 120) * MS)
            meddle(world, random, seen)
        misfortune(world, random)
    return world


def come_to_rest(world):
    """Heal, and approve whatever is pending until somebody is primary; then judge."""
    world.heal()
    for _ in range(20):
        world.run_for(200 * MS)
        for name in NODES:
            node = world.machine(name)
            if node.consent and node.consent.now:
                if node.consent.now.state == "rejected":
                    world.decide(name, "raise")
                if node.consent.now:
                    world.decide(name, "approve", node.consent.now.id, name)
    return judged(world)


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("seed", range(12))
def test_operators_at_random_moments_lose_nothing_and_make_no_second_primary(seed, weather):
    world = bad_day(seed, weather, APPROVAL)
    assert come_to_rest(world) == []
    if world.in_sync_and_alive():
        assert world.settled(), (world.roles(), world.durable)


@pytest.mark.parametrize("seed", range(12))
def test_switchovers_and_failbacks_in_rough_weather_lose_nothing(seed):
    rules = Rules(failback="automatic", failback_after_ns=300 * MS)
    world = bad_day(seed, "rough", rules)
    assert judged(world) == []
    if world.in_sync_and_alive():
        assert world.settled(), (world.roles(), world.durable)


def test_those_days_hold_approvals_switchovers_and_failbacks():
    worlds = [bad_day(seed, "rough", APPROVAL) for seed in range(8)]
    worlds += [bad_day(s, "rough", Rules(failback="automatic")) for s in range(4)]
    events = {event for world in worlds for _, _, event, _ in world.notes}
    wanted = {"failover-pending", "failover-approved", "failover-rejected", "failover-withdrawn"}
    wanted |= {"failover-done", "switchover-started", "switchover-done", "switchover-failed"}
    assert wanted <= events


def test_with_approval_nobody_is_promoted_without_one():
    for seed in range(6):
        world = World(seed, WEATHERS["rough"], rules=APPROVAL)
        random = Random(seed)
        world.run_for(1_000 * MS)
        founded = sum(event == "promoted" for _, _, event, _ in world.notes)
        for _ in range(12):
            world.run_for(random.randrange(1, 700) * MS)
            misfortune(world, random)
        promoted = sum(event == "promoted" for _, _, event, _ in world.notes)
        again = sum(event == "data-lost" for _, _, event, _ in world.notes)
        assert promoted - founded <= again


# ---------------------------------------------------------------- broken rules are found out


class ServesWhileGiving(Office):
    """Goes on serving after the witness was asked to make the peer primary."""

    def serving(self, now):
        return now < self.witness_until or now < self.peer_until


class ForgetsWrites(Office):
    """Acknowledges what it has and hands over at once, without waiting for the peer."""

    def give(self, now, request, why):
        refusal = super().give(now, request, why)
        if self.giving:
            self.commit(now, self.replica.settle_alone())
            self.giving.look(now)
        return refusal


@pytest.mark.parametrize("office", [ServesWhileGiving, ForgetsWrites])
def test_a_broken_rule_of_a_switchover_is_found_out(office):
    kind = type("Broken", (Node,), {"office_type": office})
    for seed in range(40):
        if judged(bad_day(seed, "rough", Rules(), kind=kind)):
            return
    pytest.fail("forty days of switchovers and nobody noticed")
