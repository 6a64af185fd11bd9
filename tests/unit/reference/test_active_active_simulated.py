"""Active-active against a seeded bad world: no single failure loses an acknowledged write, and all
nodes come to the same state."""

from collections import Counter
from itertools import pairwise

import pytest
from mesh_simulation import MS, WEATHERS, Mesh

from chaoskit.reference.active_active.defects import NODES as DEFECTS
from chaoskit.reference.active_active.merge import Merged
from chaoskit.reference.active_active.messages import CODEC
from chaoskit.reference.active_active.node import Node

NAMES = ("node-a", "node-b", "node-c")


class Group(Mesh):
    """Nodes that all serve, in a bad world."""

    codec = CODEC

    def __init__(self, seed, weather, size=3, kind=Node):
        self.kind = kind
        self.alone = set()  # tokens that were acknowledged by a node that heard nobody
        super().__init__(seed, weather, NAMES[:size])

    def make(self, name):
        peers = tuple(n for n in self.names if n != name)
        return self.kind(name, str(self.now), peers, self.timing, self.now)

    def read(self, machine, number):
        return machine.read(self.now, f"r{number}")

    def write(self, machine, asked, request):
        key = "" if request.op == "append" else f"r{request.number}"
        return machine.write(self.now, asked, key, request.token)

    def owner(self, number):
        return None

    def mark(self, machine, number):
        return machine.alone() if machine else True

    def may_be_killed(self, name):
        """One failure at a time: the others serve, and nothing else has been wrong lately."""
        others = [m for n, m in self.machines().items() if n != name]
        whole = len(others) == len(self.names) - 1 and all(m.serving for m in others)
        return whole and not self.cut and self.now > self.troubled_until

    def violations(self):
        alone = {request.token for _, _, request, lonely in self.served if lonely}
        logs = {name: Counter(m.state.tokens) for name, m in self.machines().items()}
        for r in self.requests:
            if r.op != "append" or r.token in alone:
                continue
            for name, log in logs.items():
                if r.status == 200 and r.token not in log:
                    yield f"lost on {name}: {r.token}, acknowledged by {r.node} at {r.done}"
                if r.status in {421, 503} and r.token in log:
                    yield f"resurrected on {name}: {r.token}"
        for name, log in logs.items():
            yield from (f"twice on {name}: {token}" for token, count in log.items() if count > 1)
        if len({frozenset(log) for log in logs.values()}) > 1:
            yield "the logs differ"
        if len({repr(sorted(m.state.kv.items())) for m in self.machines().values()}) > 1:
            yield "the registers differ"
        yield from (f"{n} does not serve" for n, m in self.machines().items() if not m.serving)


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_bad_day_loses_nothing_and_all_come_to_the_same_state(seed, weather):
    assert list(Group(seed, WEATHERS[weather]).bad_day(seed)) == []


@pytest.mark.parametrize("seed", range(3))
def test_two_nodes(seed):
    assert list(Group(seed, WEATHERS["rough"], size=2).bad_day(seed)) == []


def served_between(world, start, end):
    return [at for at, *_ in world.served if start <= at <= end]


def test_of_three_one_may_die_and_nobody_waits():
    world = Group(1, WEATHERS["calm"])
    world.run_for(1_500 * MS)
    world.kill("node-b")
    killed = world.now
    world.run_for(1_000 * MS)
    served = served_between(world, killed, world.now)
    assert max(b - a for a, b in pairwise(served)) < 100 * MS
    writes = [r for _, n, r, _ in world.served if r.op != "get" and r.sent > killed]
    assert max(r.done - r.sent for r in writes if r.done) < 60 * MS


def test_of_two_the_other_waits_for_a_detection_time_with_its_writes():
    world = Group(1, WEATHERS["calm"], size=2)
    world.run_for(1_500 * MS)
    world.kill("node-b")
    killed = world.now
    world.run_for(1_000 * MS)
    waited = [r.done - r.sent for _, _, r, _ in world.served if r.op != "get" and r.sent > killed]
    assert 200 * MS < max(waited) <= world.timing.detect_ns + 30 * MS
    assert min(waited) < 10 * MS, "and then no more"


def test_of_two_puts_without_knowledge_of_each_other_one_wins_the_same_everywhere():
    one, other = Merged(), Merged()
    one.make("a/1", "x", 1)
    other.make("b/1", "x", 2)
    other.make("b/1", "", 7)
    one.make("a/1", "", 7)
    for into, origin, source in ((one, "b/1", other), (other, "a/1", one)):
        into.take(origin, 1, source.after(origin, 0, 10))
        into.take(origin, 1, source.after(origin, 0, 10))  # twice is once
    assert one.kv == other.kv
    assert one.read("x") == (2, 1), "same counter: the greater origin wins"
    assert sorted(one.tokens) == sorted(other.tokens) == [7, 7], "the log keeps both"
    one.make("a/1", "x", 3)
    other.take("a/1", 3, one.after("a/1", 2, 10))
    assert other.read("x")[0] == 3, "made in knowledge of the other: it wins"


def test_a_gap_is_left_until_what_is_before_it_is_there():
    one, other = Merged(), Merged()
    for token in (1, 2, 3):
        one.make("a/1", "", token)
    other.take("a/1", 2, one.after("a/1", 1, 10))
    assert not other.tokens
    other.take("a/1", 1, one.after("a/1", 0, 10))
    assert list(other.tokens) == [1, 2, 3]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_broken_rule_is_found_out_within_some_bad_days(name):
    for seed in range(30):
        if list(Group(seed, WEATHERS["rough"], kind=DEFECTS[name]).bad_day(seed)):
            return
    pytest.fail("thirty bad days and nobody noticed")
