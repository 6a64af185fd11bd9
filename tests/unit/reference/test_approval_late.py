"""The planted flaws of a decision are one flaw each: what else is refused stays refused."""

import pytest
from reference_simulation import MS, World
from test_protocol_scenarios import A, B, until

from chaoskit.probes.operator import _TAKEN, _became
from chaoskit.reference.approval_defects import HonoursLateApprovals, TakesAnyCandidate
from chaoskit.reference.desk import look
from chaoskit.reference.node import Node
from chaoskit.reference.settings import Rules


def paused(kind):
    """A pair whose primary stands still, and the id of what is pending."""
    world = World(1, rules=Rules(approval=True), kind=kind)
    world.run_for(1_000 * MS)
    world.pause(A)
    until(world, lambda: world.machine(B).consent.now)
    return world, world.machine(B).consent.now.id


def withdrawn(kind):
    """The same once the primary is back."""
    world, asked = paused(kind)
    world.resume(A)
    until(world, lambda: world.machine(B).consent.now is None)
    assert world.machine(B).consent.last.state == "withdrawn"
    return world, asked


def roles_after(world):
    world.run_for(500 * MS)
    return world.roles()


BOTH_AS_BEFORE = {A: "primary", B: "backup"}


def test_a_late_approval_of_what_was_withdrawn_is_the_flaw_and_the_sound_twin_refuses_it():
    world, asked = withdrawn(HonoursLateApprovals)
    assert world.decide(B, "approve", asked, B) == 200
    assert roles_after(world)[B] == "primary"
    world, asked = withdrawn(Node)
    assert world.decide(B, "approve", asked, B) == 409
    assert roles_after(world) == BOTH_AS_BEFORE


@pytest.mark.parametrize(
    ("what", "suffix", "candidate"),
    [("approve", "", A), ("approve", "", ""), ("approve", "0", B), ("reject", "", B)],
)
@pytest.mark.parametrize("kind", [HonoursLateApprovals, Node])
def test_any_other_decision_on_what_was_withdrawn_is_refused(kind, what, suffix, candidate):
    world, asked = withdrawn(kind)
    assert world.decide(B, what, asked + suffix, candidate) == 409
    assert roles_after(world) == BOTH_AS_BEFORE


@pytest.mark.parametrize("kind", [HonoursLateApprovals, Node])
def test_the_wrong_candidate_of_a_pending_request_is_refused(kind):
    world, asked = paused(kind)
    assert world.decide(B, "approve", asked, A) == 409
    assert roles_after(world)[B] == "backup"
    assert world.machine(B).consent.now.id == asked, "it is pending still"


@pytest.mark.parametrize("kind", [HonoursLateApprovals, Node])
def test_a_rejection_is_not_overruled(kind):
    world, asked = paused(kind)
    assert world.decide(B, "reject", asked, B) == 200
    assert world.decide(B, "approve", asked, B) == 409
    assert roles_after(world)[B] == "backup"


@pytest.mark.parametrize(("kind", "status"), [(TakesAnyCandidate, 200), (Node, 409)])
def test_an_approval_for_another_is_taken_by_the_flawed_one_only(kind, status):
    world, asked = paused(kind)
    assert world.decide(B, "reject", asked, A) == 409, "a rejection has to name it"
    assert world.decide(B, "approve", asked, A) == status
    assert (roles_after(world)[B] == "primary") == (status == 200)


def told(world, asked):
    """What a look at the candidate's desk says became of a request."""
    return _became(look(world.machine(B), world.now), asked)


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_whoever_lost_the_answer_can_see_that_the_decision_was_taken(what):
    world, asked = paused(Node)
    assert told(world, asked) == "", "it is pending"
    assert world.decide(B, what, asked, B) == 200
    assert told(world, asked) in _TAKEN[what]
    world.run_for(500 * MS)
    assert told(world, asked) in _TAKEN[what]


def test_what_was_withdrawn_is_not_said_to_be_taken():
    world, asked = withdrawn(Node)
    assert told(world, asked) == "withdrawn"
    assert told(world, asked + "0") == ""
