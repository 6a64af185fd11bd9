"""The planted race of an approval with what the witness decides by itself; its sound twin.

Each of the two ways to an office is sound alone; only both at once make two primaries.
"""

import pytest
from reference_simulation import MS, World
from test_protocol_scenarios import A, B, both, until

from chaoskit.reference.approval_defects import PromotesTwice
from chaoskit.reference.node import Node
from chaoskit.reference.office import Office
from chaoskit.reference.settings import Rules

APPROVAL = Rules(approval=True)
KINDS = [PromotesTwice, Node]


def pair(kind, seed=1):
    world = World(seed, rules=APPROVAL, kind=kind)
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    return world


def pending(world):
    return until(world, lambda: world.machine(B).consent.now) and world.machine(B).consent.now.id


def both_served(world, since):
    """For how long both nodes answered clients with 200, by their first and last answers, ns."""
    served = {n: [t for t, _, node in world.served if node == n and t > since] for n in (A, B)}
    if not all(served.values()):
        return 0
    starts, ends = [s[0] for s in served.values()], [s[-1] for s in served.values()]
    return min(ends) - max(starts)


@pytest.mark.parametrize("after_ms", [0, 30, 60, 120, 400])
def test_approval_and_witness_both_take_effect_whichever_is_first(after_ms):
    world = pair(PromotesTwice, seed=after_ms)
    world.cut |= both(A, B)
    asked, since = pending(world), world.now
    world.run_for(after_ms * MS)
    assert world.decide(B, "approve", asked, B) == 200
    world.run_for(2_000 * MS)
    assert world.roles() == {A: "primary", B: "primary"}
    assert world.witness.primary == A, "which the witness never took back"
    assert both_served(world, since) > 1_500 * MS


@pytest.mark.parametrize("after_ms", [0, 30, 60, 120, 400])
def test_in_the_sound_system_the_same_approval_leaves_one_primary(after_ms):
    world = pair(Node, seed=after_ms)
    world.cut |= both(A, B)
    asked, since = pending(world), world.now
    world.run_for(after_ms * MS)
    world.decide(B, "approve", asked, B)
    world.run_for(2_000 * MS)
    assert world.roles()[A] == "primary"
    assert world.roles()[B] != "primary"
    assert both_served(world, since) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_takes_over_without_an_approval(kind):
    world = pair(kind)
    world.cut |= both(A, B)
    world.run_for(5_000 * MS)
    assert world.roles()[A] == "primary"
    assert world.roles()[B] != "primary"


@pytest.mark.parametrize("kind", KINDS)
def test_a_primary_that_is_cut_off_from_all_fences_itself(kind):
    """What a system without fencing would not do."""
    world = pair(kind)
    world.cut |= both(A, B) | both(A, "witness")
    asked, since = pending(world), world.now
    assert world.roles()[A] == "fenced"
    assert world.decide(B, "approve", asked, B) == 200
    world.run_for(2_000 * MS)
    assert world.roles() == {A: "fenced", B: "primary"}
    assert both_served(world, since) <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_approval_of_a_dead_primarys_successor_makes_one_primary(kind):
    world = pair(kind)
    world.kill(A)
    assert world.decide(B, "approve", pending(world), B) == 200
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "dead", B: "primary"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_approval_after_the_primary_is_heard_again_promotes_nobody(kind):
    """What a system that honours late approvals would do."""
    world = pair(kind)
    world.pause(A)
    asked = pending(world)
    world.resume(A)
    until(world, lambda: world.roles() == {A: "primary", B: "backup"})
    assert world.decide(B, "approve", asked, B) == 409
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}


def test_only_the_approved_office_is_unfenced():
    world = pair(PromotesTwice)
    world.kill(A)
    world.decide(B, "approve", pending(world), B)
    assert type(world.machine(B).office) is not Office
    assert world.machine(B).office_type is Office
