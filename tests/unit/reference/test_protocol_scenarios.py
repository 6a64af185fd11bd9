"""What the protocol does in each situation that it is made for, in simulated time."""

import pytest
from reference_simulation import MS, NODES, WAYS, Request, World

from chaoskit.reference import replica
from chaoskit.reference.defects import DEFECTS
from chaoskit.reference.node import Node
from chaoskit.reference.settings import Timing

TIMING = Timing()
A, B, W, CLIENT = "node-a", "node-b", "witness", "client"


def pair(kind=Node, seed=1):
    """A pair in sync with node-a as primary, a second old."""
    world = World(seed, kind=kind)
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    return world


def both(one, other):
    return {(one, other), (other, one)}


def rest(world):
    """Let what clients asked come to an end."""
    world.clients_on = False
    world.run_for(1_500 * MS)


def write(world, node, token=10**6):
    request = world.ask(Request(node, "append", "", token, world.now))
    world.run_for(20 * MS)
    return request


def until(world, reached, within_ms=5_000):
    """Run until something holds; the time it took in ns."""
    begin = world.now
    while not reached():
        assert world.now - begin < within_ms * MS, world.roles()
        world.run_for(MS)
    return world.now - begin


def test_a_write_is_on_both_nodes_before_it_is_acknowledged():
    world = pair()
    request = write(world, A)
    assert request.status == 200
    assert world.log_of(B)[request.token] == 1


@pytest.mark.parametrize("phase_ms", range(0, 100, 9))
def test_a_killed_primary_is_replaced_within_the_band_of_its_detector(phase_ms):
    world = pair(seed=phase_ms)
    world.run_for(phase_ms * MS)
    world.kill(A)
    took = until(world, lambda: world.roles()[B] == "primary")
    low = (TIMING.misses - 1) * TIMING.interval_ns
    high = TIMING.misses * TIMING.interval_ns + TIMING.timeout_ns
    assert low <= took <= high + 2 * TIMING.tick_ns + 10 * MS
    rest(world)
    assert world.violations() == []


def test_a_primary_that_comes_back_before_it_was_missed_is_replaced_all_the_same():
    world = pair()
    written = write(world, A)
    world.kill(A)
    world.run_for(50 * MS)
    world.start(A)
    until(world, world.settled)
    assert world.roles() == {A: "backup", B: "primary"}
    assert world.log_of(A)[written.token] == 1
    rest(world)
    assert world.violations() == []


def test_a_dead_backup_holds_writes_up_for_a_detection_time_and_not_longer():
    world = pair()
    world.kill(B)
    request = world.ask(Request(A, "append", "", 10**6, world.now))
    world.run_for(150 * MS)
    assert request.status is None
    took = until(world, lambda: request.status == 200)
    assert took <= TIMING.detect_ns + 50 * MS
    assert world.durable["in_sync"].keys() == {A}


def test_a_backup_that_was_taken_out_cannot_be_promoted_until_it_is_copied_to():
    world = pair()
    world.cut |= both(A, B)
    until(world, lambda: list(world.durable["in_sync"]) == [A])
    assert write(world, A).status == 200
    world.kill(A)
    world.run_for(3_000 * MS)
    assert world.roles()[B] == "joining"


def test_a_cut_between_the_nodes_leaves_the_incumbent_in_office():
    world = pair()
    world.cut |= both(A, B)
    world.run_for(2_000 * MS)
    assert world.roles() == {A: "primary", B: "joining"}
    assert write(world, A).status == 200
    world.cut.clear()
    until(world, world.settled)
    assert world.roles()[A] == "primary"
    rest(world)
    assert world.violations() == []


def test_a_cut_from_the_witness_alone_changes_nothing():
    world = pair()
    world.cut |= both(A, W)
    world.run_for(2_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    assert write(world, A).status == 200
    world.cut = both(B, W)
    world.run_for(2_000 * MS)
    assert write(world, A, 10**6 + 1).status == 200


@pytest.mark.parametrize(
    "ways",
    [
        both(A, B) | both(A, W),
        {(A, B), (A, W)},
        {(B, A), (W, A)},
        {(A, B), (W, A)},
        {(B, A), (A, W)},
    ],
    ids=["both ways", "mute", "deaf", "mute to backup, deaf to witness", "the reverse"],
)
def test_a_primary_that_nobody_answers_is_fenced_before_another_is_promoted(ways):
    world = pair()
    world.cut |= ways
    fenced = until(world, lambda: world.roles()[A] == "fenced")
    assert world.roles()[B] == "backup"
    assert fenced <= TIMING.lease_ns + TIMING.tick_ns
    for request in (write(world, A), world.ask(Request(A, "get", "x", 0, world.now))):
        world.run_for(20 * MS)
        assert request.status == 503
    until(world, lambda: world.roles()[B] == "primary")
    assert write(world, B, 10**6 + 1).status == 200
    world.cut.clear()
    until(world, world.settled)
    assert world.roles() == {A: "backup", B: "primary"}
    rest(world)
    assert world.violations() == []


@pytest.mark.parametrize("pause_ms", [100, 250, 310, 340, 360, 400, 1_000, 30_000])
def test_a_primary_that_stood_still_serves_nothing_that_is_old(pause_ms):
    world = pair()
    world.pause(A)
    stale = [
        world.ask(Request(A, op, "x", 10**6 * (op == "put"), world.now)) for op in ("get", "put")
    ]
    world.run_for(pause_ms * MS)
    promoted = world.roles()[B] == "primary"
    world.resume(A)
    world.run_for(1_000 * MS)
    assert world.settled()
    if promoted:
        assert [r.status for r in stale] in ([503, 503], [421, 421], [503, 421])
    rest(world)
    assert world.violations() == []


def test_a_backup_that_stood_still_is_taken_out_and_comes_back():
    world = pair()
    world.pause(B)
    until(world, lambda: list(world.durable["in_sync"]) == [A])
    world.run_for(1_000 * MS)
    world.resume(B)
    until(world, world.settled)
    assert world.roles() == {A: "primary", B: "backup"}


def test_a_write_that_nobody_knows_about_is_never_refused_for_certain():
    world = pair()
    world.cut |= {(B, A), (W, A)}  # the backup gets it, and cannot say so
    request = write(world, A)
    until(world, lambda: world.roles()[B] == "primary")
    world.cut.clear()
    until(world, lambda: request.status is not None)
    assert request.status == 504
    assert world.log_of(B)[request.token] == 1


def test_a_write_that_was_never_sent_on_is_refused_for_certain():
    world = pair()
    world.cut |= both(A, B) | both(A, W)
    first = write(world, A, 10**6)  # on the wire, and lost there
    second = write(world, A, 10**6 + 1)
    until(world, lambda: world.roles()[B] == "primary")
    world.cut.clear()
    until(world, lambda: first.status is not None and second.status is not None)
    assert (first.status, second.status) == (504, 504) or second.status == 421
    assert world.log_of(world.primary())[second.token] == 0


def test_a_restarted_witness_remembers_and_waits_a_lease_before_it_grants():
    world = pair()
    world.kill(W)
    world.run_for(1_000 * MS)
    assert write(world, A).status == 200, "the backup's promise is lease enough"
    world.kill(A)
    world.start(W)
    took = until(world, lambda: world.roles()[B] == "primary")
    assert took >= TIMING.detect_ns - TIMING.interval_ns
    rest(world)
    assert world.violations() == []


def test_a_witness_that_forgot_everything_promotes_nobody():
    world = pair()
    world.kill(W)
    world.durable = None
    world.start(W)
    world.run_for(1_000 * MS)
    assert world.roles() == {A: "primary", B: "backup"}
    world.kill(A)
    world.run_for(3_000 * MS)
    assert world.roles()[B] == "backup"


def test_a_pair_that_lost_everything_begins_again_and_says_so():
    world = pair()
    for name in NODES:
        world.kill(name)
    world.run_for(100 * MS)
    for name in NODES:
        world.start(name)
    until(world, world.settled)
    assert any(event == "data-lost" for _, _, event, _ in world.notes)


def test_a_copy_in_many_pieces_misses_nothing_that_is_written_meanwhile(monkeypatch):
    monkeypatch.setattr(replica, "PIECE", 3)
    world = pair()
    world.rate_ns = 2 * MS
    world.run_for(1_000 * MS)
    world.kill(B)
    world.run_for(1_000 * MS)
    world.start(B)
    until(world, world.settled, within_ms=20_000)
    world.kill(A)
    until(world, lambda: world.roles()[B] == "primary")
    world.start(A)
    until(world, world.settled, within_ms=20_000)
    rest(world)
    assert world.violations() == []
    first, second = (world.machine(name).store for name in NODES)
    assert first.kv == second.kv
    assert list(first.tokens) == list(second.tokens)


# ---------------------------------------------------------------- planted defects


def a_kill(kind):
    """The primary dies under load and comes back: what clients hold against the pair."""
    world = pair(kind)
    world.kill(A)
    world.run_for(2_000 * MS)
    taken_over = world.roles()[B] == "primary"
    world.start(A)
    world.run_for(8_000 * MS)
    rest(world)
    return taken_over, world


def a_partition(kind):
    """The primary is cut off from everybody but some clients, and then no longer."""
    world = pair(kind)
    world.cut |= {way for way in WAYS if A in way and CLIENT not in way}
    world.run_for(2_000 * MS)
    taken_over = world.roles()[B] == "primary"
    world.cut.clear()
    world.run_for(3_000 * MS)
    rest(world)
    return taken_over, world


def kinds(violations):
    return {
        word
        for text in violations
        for word in ("lost", "twice", "served", "stale")
        if text.startswith(word) or f" {word} " in text
    }


def test_the_sound_system_passes_both_scripts():
    for script in (a_kill, a_partition):
        taken_over, world = script(Node)
        assert taken_over
        assert world.settled()
        assert world.violations() == []


def test_a_backup_that_never_promotes_leaves_the_pair_without_a_primary():
    taken_over, world = a_kill(DEFECTS["never-promotes"].node)
    assert not taken_over
    assert world.primary() is None
    assert world.violations() == []


def test_a_backup_that_promotes_late_takes_many_times_as_long():
    world = pair(DEFECTS["promotes-late"].node)
    world.kill(A)
    took = until(world, lambda: world.roles()[B] == "primary", within_ms=20_000)
    assert took > 8 * TIMING.detect_ns
    rest(world)
    assert world.violations() == []


def test_without_fencing_both_serve_under_a_partition_and_writes_are_lost():
    taken_over, world = a_partition(DEFECTS["no-fencing"].node)
    assert taken_over
    assert kinds(world.violations()) >= {"served", "lost"}
    assert world.settled(), "it heals; that is what makes it treacherous"


def test_without_fencing_a_kill_alone_shows_nothing():
    taken_over, world = a_kill(DEFECTS["no-fencing"].node)
    assert taken_over
    assert world.violations() == []


def test_acknowledging_before_replicating_loses_writes_when_the_primary_is_killed():
    taken_over, world = a_kill(DEFECTS["acks-before-replicating"].node)
    assert taken_over
    assert "lost" in kinds(world.violations())
    assert "twice" not in kinds(world.violations())


def test_a_replay_at_promotion_doubles_writes():
    taken_over, world = a_kill(DEFECTS["duplicates-on-promotion"].node)
    assert taken_over
    assert kinds(world.violations()) == {"twice"}
