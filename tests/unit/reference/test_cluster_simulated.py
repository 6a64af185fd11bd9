"""The cluster's protocol against a seeded bad world: with a majority alive nothing is lost, no
shard has two owners, no read is old."""

import bisect
from collections import Counter
from itertools import pairwise

import pytest
from mesh_simulation import MS, WEATHERS, Mesh

from chaoskit.reference.cluster.defects import NODES as DEFECTS
from chaoskit.reference.cluster.messages import CODEC
from chaoskit.reference.cluster.node import Node
from chaoskit.reference.cluster.office import Office
from chaoskit.reference.cluster.recovery import Recovery
from chaoskit.reference.cluster.shard import Shard

LIVENESS = {"shard-without-owner", "shard-flaps", "never-recovers"}
"""Defects that break no rule of safety: see ``test_cluster_defects.py``."""
NAMES = ("node-a", "node-b", "node-c", "node-d", "node-e")


class Cluster(Mesh):
    """A cluster of ``size`` nodes with three shards, in a bad world."""

    codec = CODEC

    def __init__(self, seed, weather, size=3, kind=Node):
        self.kind = kind
        super().__init__(seed, weather, NAMES[:size])

    def make(self, name):
        return self.kind(name, self.now, self.names, 3, self.timing, self.now)

    def read(self, machine, number):
        return machine.read(self.now, number, f"r{number}")

    def write(self, machine, asked, request):
        key = "" if request.op == "append" else f"r{request.number}"
        return machine.write(self.now, asked, request.number, key, request.token)

    def owner(self, number):
        for name, machine in self.machines().items():
            if machine.shard_of(number).number in machine.owned(self.now):
                return name
        return None

    def mark(self, machine, number):
        shard = machine.shard_of(number)
        return shard.number, shard.ballot

    def may_be_killed(self, name):
        """A majority must go on, and whoever has forgotten everything is not part of it."""
        whole = [n for n, m in self.machines().items() if m.recovery is None and n != name]
        return len(whole) > len(self.names) // 2

    def tokens(self, name):
        machine = self.machines()[name]
        return Counter(t for shard in machine.shards for t in shard.store.tokens)

    def violations(self):
        return [*self._overlaps(), *self._reads(), *self._writes(), *self._down()]

    def _overlaps(self):
        newest, owner = {}, {}
        for when, node, request, (shard, ballot) in self.served:
            if ballot < newest.get(shard, 0):
                yield f"{node} served shard {shard} in {ballot} at {when} ({request.op}): old"
            if owner.setdefault((shard, ballot), node) != node:
                yield f"two owners of shard {shard} in {ballot}"
            newest[shard] = max(newest.get(shard, 0), ballot)

    def _reads(self):
        for number in range(1, self.numbers + 1):
            ok = [
                r
                for r in self.requests
                if r.number == number and r.op != "append" and r.status == 200
            ]
            values = {}
            for r in ok:
                if values.setdefault(r.version, r.value) != r.value:
                    yield f"version {r.version} of r{number} had two values"
            newest = sorted((w.done, w.version) for w in ok)
            for i in range(1, len(newest)):
                newest[i] = (newest[i][0], max(newest[i][1], newest[i - 1][1]))
            for r in ok:
                before = bisect.bisect_left(newest, (r.sent, 0)) - 1
                known = newest[before][1] if before >= 0 else 0
                if r.op == "get" and r.version < known:
                    yield f"stale read of r{number}: {r.version} after {known}"

    def _writes(self):
        logs = {name: self.tokens(name) for name in self.machines()}
        for r in self.requests:
            if r.op == "append" and r.status == 200:
                for name, log in logs.items():
                    if r.token not in log:
                        yield f"lost on {name}: {r.token}, acknowledged by {r.node} at {r.done}"
            if r.op == "append" and r.status in {421, 503}:
                for name, log in logs.items():
                    if r.token in log:
                        yield f"resurrected on {name}: {r.token}, refused with {r.status}"
        for name, log in logs.items():
            yield from (f"twice on {name}: {token}" for token, count in log.items() if count > 1)

    def _down(self):
        for number in range(1, 4):
            if self.owner(number) is None:
                yield f"shard {number} has no owner after everything healed"


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize("seed", range(6))
def test_a_bad_day_of_three_loses_nothing_and_no_shard_has_two_owners(seed, weather):
    assert Cluster(seed, WEATHERS[weather]).bad_day(seed) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_day_of_five(seed):
    assert Cluster(seed, WEATHERS["rough"], size=5).bad_day(seed, seconds=5) == []


def test_bad_days_are_bad_and_clients_are_served_all_the_same():
    days = [Cluster(seed, WEATHERS["rough"]) for seed in range(4)]
    assert not any(day.bad_day(seed) for seed, day in enumerate(days))
    events = {event for day in days for _, _, event, _ in day.notes}
    assert {"promoted", "deposed", "in-sync", "declared-dead", "stalled"} <= events
    answered = sum(r.status == 200 for day in days for r in day.requests)
    assert answered > sum(len(day.requests) for day in days) / 5


def test_in_calm_weather_the_shards_are_shared_out_and_a_dead_nodes_are_taken_over_in_time():
    world = Cluster(1, WEATHERS["calm"])
    world.run_for(1_500 * MS)
    assert [world.owner(n) for n in (1, 2, 3)] == list(NAMES[:3])
    world.kill("node-b")
    killed = world.now
    world.run_for(600 * MS)
    assert world.owner(2) == "node-c"
    served = [at for at, _, _, (shard, _) in world.served if shard == 2 and at > killed + 2 * MS]
    assert world.timing.lease_ns - 100 * MS < min(served) - killed < 500 * MS
    others = [at for at, _, _, (shard, _) in world.served if shard != 2 and at > killed]
    assert max(b - a for a, b in pairwise([killed, *others])) < 200 * MS


def test_a_node_that_was_away_does_not_depose_whoever_went_on_without_it():
    world = Cluster(2, WEATHERS["calm"])
    world.run_for(1_500 * MS)
    away = {way for n in NAMES[:2] for way in (("node-c", n), (n, "node-c"))}
    world.cut |= away
    world.run_for(3_000 * MS)
    before = [world.owner(n) for n in (1, 2, 3)]
    world.cut -= away
    world.notes.clear()
    world.run_for(2_000 * MS)
    assert [world.owner(n) for n in (1, 2, 3)] == before
    assert not [n for n in world.notes if n[2] == "deposed" and n[1] != "node-c"]


def test_a_majority_that_is_lost_is_not_made_up():
    world = Cluster(3, WEATHERS["calm"])
    world.run_for(2_000 * MS)
    world.kill("node-a")
    world.kill("node-b")
    world.run_for(200 * MS)
    world.start("node-a")
    world.start("node-b")
    answered = len(world.served)
    world.run_for(5_000 * MS)
    late = [at for at, *_ in world.served[answered:] if at > world.now - 4_000 * MS]
    assert late == []


# ---------------------------------------------------------------- a checker that sees nothing
# proves nothing: each of these breaks one rule of the protocol and must be found out.


class _NoLease(Office):
    def may_ack(self, now):
        return self.elected


class _ReadsAtOnce(Office):
    def may_read(self, now):
        return self.may_ack(now)


class _TakesAnything(Office):
    """Forgets what the voters had accepted."""

    def _begin(self, now, votes):
        super()._begin(now, [v.__class__(**{**vars(v), "entries": ()}) for v in votes])


class _TrustsTheDead(Office):
    def _forgotten(self, vote):
        return False


class _Amnesiac(Recovery):
    """Takes part at once, with an empty memory."""

    def tick(self, now):
        self.node.found(now, {self.node.name: self.node.inc})


def with_office(kind):
    shard = type("BrokenShard", (Shard,), {"office_type": kind})
    return type("Broken", (Node,), {"shard_type": shard})


class Forgetful(Node):
    def __init__(self, *args):
        super().__init__(*args)
        self.recovery = _Amnesiac(self, args[-1])


BROKEN = {
    "no lease": with_office(_NoLease),
    "forgets what was accepted": with_office(_TakesAnything),
    "takes part with an empty memory": Forgetful,
    **{n: k for n, k in DEFECTS.items() if n not in LIVENESS},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found_out_within_some_bad_days(name):
    for seed in range(40):
        if Cluster(seed, WEATHERS["rough"], kind=BROKEN[name]).bad_day(seed):
            return
    pytest.fail("forty bad days and nobody noticed")
