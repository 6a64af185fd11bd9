"""Both nodes of a pair tell whom they heard, missed and hold to be dead, and are right about it."""

import pytest
from reference_simulation import MS, Weather, World
from support import ROOT
from test_protocol_scenarios import A, B, W, both, until

from chaoskit.reference.settings import Timing
from chaoskit.stack.compose import load_stack

TIMING = Timing()
NODES = ("node", "active-active", "cluster")  # what a data node of the reference system is called


def pair(seed=1, **more):
    world = World(seed, **more)
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    world.notes.clear()
    return world


def told(world, event, node):
    return [(at, detail) for at, who, said, detail in world.notes if (who, said) == (node, event)]


@pytest.mark.parametrize(("listener", "peer"), [(A, B), (B, A)])
def test_each_tells_that_it_heard_the_other_once_an_interval(listener, peer):
    world = pair()
    world.run_for(2_000 * MS)
    heard = told(world, "heartbeat-seen", listener)
    assert 19 <= len(heard) <= 21
    assert all(detail.endswith(f" of {peer}") for _, detail in heard)
    assert not told(world, "heartbeat-missed", listener)
    assert not told(world, "declared-dead", listener)


@pytest.mark.parametrize(("listener", "peer"), [(A, B), (B, A)])
def test_each_tells_how_many_were_missed_and_then_once_that_the_other_is_dead(listener, peer):
    world = pair()
    world.run_for(500 * MS)
    world.kill(peer)
    world.run_for(3_000 * MS)
    missed = [detail for _, detail in told(world, "heartbeat-missed", listener)]
    assert missed == [f"{n} of {peer}" for n in range(1, TIMING.misses + 1)]
    last = told(world, "heartbeat-seen", listener)[-1][0]
    ((at, whom),) = told(world, "declared-dead", listener)
    assert whom == peer
    assert TIMING.detect_ns <= at - last <= TIMING.detect_ns + TIMING.tick_ns + 2 * MS


def test_a_backup_that_is_back_is_heard_again_and_its_next_death_is_told_again():
    world = pair()
    for _ in range(2):
        world.kill(B)
        world.run_for(1_000 * MS)
        world.start(B)
        until(world, world.settled)
    assert [whom for _, whom in told(world, "declared-dead", A)] == [B, B]
    assert told(world, "heartbeat-seen", A)[-1][1].endswith(f" of {B}")


def test_who_took_over_does_not_declare_the_dead_primary_a_second_time():
    world = pair()
    world.kill(A)
    world.run_for(5_000 * MS)
    assert world.roles()[B] == "primary"
    assert [whom for _, whom in told(world, "declared-dead", B)] == [A]


@pytest.mark.parametrize("paused_ms", [120, 300, 2_000])
def test_a_primary_that_stood_still_blames_nobody_for_it(paused_ms):
    """The backup may not take over meanwhile: it cannot ask."""
    world = pair()
    world.cut |= both(B, W)
    world.pause(A)
    world.run_for(paused_ms * MS)
    world.resume(A)
    world.run_for(2_000 * MS)
    assert world.roles()[A] == "primary"
    assert not told(world, "declared-dead", A)


@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_declared_dead_who_was_heard_a_moment_ago(seed):
    world = pair(seed)
    world.weather = Weather(lost=0.45, doubled=0.1, slow=0.2)
    world.run_for(30_000 * MS)
    declared = 0
    for node in (A, B):
        heard = told(world, "heartbeat-seen", node)
        for at, whom in told(world, "declared-dead", node):
            declared += 1
            recent = [d for t, d in heard if at - TIMING.detect_ns < t <= at]
            assert not [d for d in recent if d.endswith(f" of {whom}")]
    assert declared, "the weather must be bad enough to show anything"


def data_nodes():
    for file in sorted((ROOT / "compose").glob("*/*.yaml")):
        text = file.read_text("utf-8")
        if "chaoskit.reference" not in text:
            continue
        for service in load_stack(file).services.values():
            words = " ".join(service.command).split()
            if "chaoskit.reference" in words and words[-1] in NODES:
                yield pytest.param(service, id=f"{file.parent.name}/{file.name}:{service.name}")


@pytest.mark.parametrize("service", list(data_nodes()))
def test_every_data_node_of_every_stack_can_be_asked_what_it_heard(service):
    assert service.labels.get("chaoskit.probe.events", "").endswith("/events")
