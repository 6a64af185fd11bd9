"""What an operator's decision does in each situation that it is made for, in simulated time."""

import pytest
from reference_simulation import MS, Request, World
from test_protocol_scenarios import A, B, W, both, rest, until, write

from chaoskit.reference.settings import Rules, Timing

TIMING = Timing()
APPROVAL = Rules(approval=True)


def pair(rules=APPROVAL, seed=1):
    world = World(seed, rules=rules)
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    return world


def pending(world, name=B):
    found = world.machine(name).consent.now
    return found if found and found.state == "pending" else None


def events(world):
    return [event for _, _, event, _ in world.notes]


def test_a_dead_primary_is_reported_within_the_band_and_nobody_is_promoted():
    world = pair()
    world.kill(A)
    took = until(world, lambda: pending(world))
    assert (TIMING.misses - 1) * TIMING.interval_ns <= took <= TIMING.detect_ns + 30 * MS
    found = pending(world)
    assert (found.candidate, found.primary) == (B, A)
    assert "not heard" in found.reason
    world.run_for(10_000 * MS)
    assert pending(world) is found
    assert world.roles()[B] == "backup"


def test_an_approved_failover_happens_at_once_and_loses_nothing():
    world = pair()
    written = write(world, A)
    world.kill(A)
    world.run_for(3_000 * MS)
    assert world.decide(B, "approve", pending(world).id, B) == 200
    assert until(world, lambda: world.roles()[B] == "primary") < 100 * MS
    assert world.machine(B).consent.last.state == "done"
    world.start(A)
    until(world, world.settled)
    assert world.log_of(A)[written.token] == 1
    rest(world)
    assert world.violations() == []


def test_a_rejected_failover_does_not_happen_and_is_not_raised_again():
    world = pair()
    world.pause(A)
    until(world, lambda: pending(world))
    asked = pending(world).id
    assert world.decide(B, "reject", asked, B) == 200
    world.run_for(5_000 * MS)
    assert pending(world) is None
    assert world.decide(B, "approve", asked, B) == 409
    world.resume(A)
    until(world, lambda: world.roles() == {A: "primary", B: "backup"})
    assert "promoted" not in events(world)[events(world).index("failover-pending") :]
    world.kill(A)
    until(world, lambda: pending(world))
    assert pending(world).id != asked


def test_who_rejected_may_change_their_mind():
    world = pair()
    world.kill(A)
    until(world, lambda: pending(world))
    assert world.decide(B, "raise") == 409, "nothing was rejected"
    world.decide(B, "reject", pending(world).id, B)
    assert world.decide(B, "raise") == 200
    assert world.decide(B, "approve", pending(world).id, B) == 200
    until(world, lambda: world.roles()[B] == "primary")


def test_an_approval_that_arrives_when_the_primary_is_back_promotes_nobody():
    world = pair()
    world.pause(A)
    until(world, lambda: pending(world))
    asked = pending(world).id
    world.resume(A)
    until(world, lambda: world.roles() == {A: "primary", B: "backup"})
    assert world.decide(B, "approve", asked, B) == 409
    world.run_for(2_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    assert "failover-withdrawn" in events(world)
    rest(world)
    assert world.violations() == []


@pytest.mark.parametrize("after_ms", range(0, 60, 4))
def test_approval_and_return_at_about_the_same_moment_leave_one_primary(after_ms):
    world = pair(seed=after_ms)
    world.pause(A)
    until(world, lambda: pending(world))
    asked = pending(world).id
    world.at(world.now + 30 * MS, lambda: world.resume(A))
    world.at(world.now + after_ms * MS, lambda: world.decide(B, "approve", asked, B))
    world.run_for(3_000 * MS)
    assert world.settled()
    rest(world)
    assert world.violations() == []


def test_a_decision_counts_for_one_request_and_one_candidate_only():
    world = pair()
    world.kill(A)
    until(world, lambda: pending(world))
    asked = pending(world).id
    assert world.decide(B, "approve", asked, A) == 409
    assert world.decide(B, "approve", asked, "") == 409
    assert world.decide(B, "approve", asked + "0", B) == 409
    assert world.decide(B, "reject", "node-b-0-1", B) == 409
    world.run_for(1_000 * MS)
    assert world.roles()[B] == "backup"
    assert world.decide(B, "approve", asked, B) == 200
    assert world.decide(B, "reject", asked, B) == 409, "it is approved already"


def test_a_restarted_candidate_knows_nothing_of_decisions_on_its_earlier_self():
    world = pair()
    world.pause(A)
    until(world, lambda: pending(world))
    asked = pending(world).id
    world.kill(B)
    world.start(B)
    world.run_for(100 * MS)
    assert world.decide(B, "approve", asked, B) == 409


def test_an_approval_against_the_witness_lapses_and_is_not_kept_for_the_next_outage():
    world = pair()
    world.cut |= both(A, B) | both(B, W)  # the backup alone hears nobody: the primary serves on
    until(world, lambda: pending(world))
    first = pending(world).id
    assert world.decide(B, "approve", first, B) == 200
    until(world, lambda: pending(world))
    assert pending(world).id != first
    assert world.machine(B).consent.last.state == "lapsed"
    world.cut.clear()
    until(world, lambda: pending(world) is None and world.settled())
    assert world.roles()[A] == "primary"
    rest(world)
    assert world.violations() == []


def test_a_system_that_fails_over_by_itself_has_nothing_to_decide():
    world = pair(Rules())
    world.kill(A)
    assert world.decide(B, "approve", "x", B) == 409
    until(world, lambda: world.roles()[B] == "primary")


# ---------------------------------------------------------------- switchover and failback


@pytest.mark.parametrize("rules", [APPROVAL, Rules()], ids=["approval", "automatic"])
def test_a_switchover_loses_nothing_and_refuses_nothing_that_it_held(rules):
    world = pair(rules)
    for token in range(10**6, 10**6 + 20):
        world.at(world.now + (token - 10**6) * MS, lambda t=token: asked.append(write_soon(t)))
    asked = []

    def write_soon(token):
        return world.ask(Request(A, "append", "", token, world.now))

    world.run_for(8 * MS)
    world.switchover(A, B)
    took = until(world, lambda: world.roles()[B] == "primary")
    assert took < 20 * MS, "a few round trips of at most a millisecond each"
    until(world, world.settled)
    assert world.roles() == {A: "backup", B: "primary"}
    assert world.told[-1].status == 200
    world.run_for(200 * MS)
    assert {r.status for r in asked} <= {200, 421}
    assert {200, 421} <= {r.status for r in asked}
    rest(world)
    assert world.violations() == []


def test_a_switchover_is_refused_with_a_reason_where_it_cannot_be():
    world = pair()
    assert world.switchover(B, A).status == 421
    assert world.switchover(A, A).status == 200
    assert world.switchover(A, "node-c").status == 409
    world.kill(B)
    world.run_for(1_000 * MS)
    told = world.switchover(A, B)
    assert (told.status, "in sync" in told.sentence) == (409, True)
    world.start(B)
    until(world, world.settled)
    world.kill(W)
    world.run_for(1_000 * MS)
    told = world.switchover(A, B)
    assert (told.status, "witness" in told.sentence) == (409, True)
    assert write(world, A).status == 200


def test_a_switchover_whose_question_is_lost_leaves_the_primary_in_office():
    world = pair()
    world.cut |= {(A, W)}
    world.switchover(A, B)
    request = write(world, A)
    world.cut.clear()
    until(world, lambda: request.status is not None)
    assert request.status == 200
    assert world.roles() == {A: "primary", B: "backup"}
    assert world.told[-1].status == 409
    rest(world)
    assert world.violations() == []


def test_a_switchover_whose_answer_is_lost_is_found_out_later():
    world = pair()
    world.cut |= {(W, A)}
    world.switchover(A, B)
    until(world, lambda: world.roles()[B] == "primary")
    assert world.roles()[A] in {"fenced", "backup", "joining"}
    world.cut.clear()
    until(world, world.settled)
    rest(world)
    assert world.violations() == []


def failed_over(rules):
    world = pair(rules)
    world.kill(A)
    until(world, lambda: world.roles()[B] == "primary")
    world.start(A)
    until(world, world.settled)
    assert world.roles() == {A: "backup", B: "primary"}
    return world


def test_the_preferred_node_takes_the_office_back_after_a_while_in_sync():
    world = failed_over(Rules(failback="automatic", failback_after_ns=1_500 * MS))
    took = until(world, lambda: world.roles()[A] == "primary", within_ms=10_000)
    assert 1_450 * MS <= took <= 1_700 * MS
    until(world, world.settled)
    world.run_for(5_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    assert events(world).count("promoted") == 3, "founded, failed over, and back: no more"
    rest(world)
    assert world.violations() == []


def test_a_node_that_keeps_falling_out_does_not_take_the_office_back():
    world = failed_over(Rules(failback="automatic", failback_after_ns=1_500 * MS))
    for _ in range(4):
        world.run_for(1_000 * MS)
        world.kill(A)
        world.run_for(500 * MS)
        world.start(A)
        until(world, world.settled)
    assert events(world).count("promoted") == 2


@pytest.mark.parametrize("word", ["manual", "never"])
def test_otherwise_it_stays_where_it_is_until_somebody_asks(word):
    world = failed_over(Rules(failback=word, failback_after_ns=500 * MS))
    world.run_for(10_000 * MS)
    assert world.roles() == {A: "backup", B: "primary"}
    assert events(world).count("failback-possible") == (word == "manual")
    world.switchover(B, A)
    until(world, lambda: world.roles() == {A: "primary", B: "backup"})
