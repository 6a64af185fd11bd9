"""Defects of the cluster that lose nothing: shards that flap, and a node that never recovers.

A node is killed and comes back, in nobody's real time; what clients were told is measured.
"""

import numpy as np
import pytest
from mesh_simulation import MS, WEATHERS
from test_cluster_simulated import Cluster

from chaoskit.history.history import FaultRecord, History, Stream, Window
from chaoskit.history.records import Op, Outcome, empty
from chaoskit.measure.takeovers import false_failovers, promotions, takeovers
from chaoskit.measure.view import View
from chaoskit.measure.watching import flapping
from chaoskit.reference.cluster.defects import NODES
from chaoskit.reference.cluster.node import Node

SHARDS = 3
SERVERS = ("", "node-a", "node-b", "node-c")


def day(kind, seed=1):
    """node-b is killed after 3 s and comes back 3 s later; then clients stop, and all rest."""
    world = Cluster(seed, WEATHERS["calm"], kind=kind)
    world.run_for(3_000 * MS)
    killed = world.now
    world.kill("node-b")
    world.run_for(3_000 * MS)
    world.start("node-b")
    world.run_for(3_000 * MS)
    world.clients_on = False
    world.run_for(1_000 * MS)
    return world, killed


def view_of(world, killed):
    """What a harness would have recorded of the writes."""
    epochs = {id(request): epoch for _, _, request, (_, epoch) in world.served}
    asked = [r for r in world.requests if r.op != "get" and r.status is not None]
    records = empty(len(asked))
    for row, request in zip(records, asked, strict=True):
        good = request.status == 200
        row["op"] = Op.APPEND if request.op == "append" else Op.PUT
        row["key"], row["token"] = request.number, request.token
        row["due_ns"] = row["sent_ns"] = request.sent
        row["done_ns"], row["client"] = request.done, 1
        row["outcome"] = Outcome.OK if good else Outcome.FAIL_DEFINITE
        row["server"] = SERVERS.index(request.node)
        row["epoch"] = epochs[id(request)] if good else 0
    end = world.now - 1_000 * MS
    stream = Stream("write", "write", 200.0, "kept", 100 * MS, 200 * MS)
    healed = killed + 3_000 * MS
    kill = FaultRecord(
        0, "kill", "service:node-b", ("node-b",), killed, killed, killed, killed,
        healed, healed, healed,
    )  # fmt: skip
    start = int(np.min(records["due_ns"]))
    return View(
        History(
            records, (stream,), ("",), SERVERS, ("", "client"), (), (kill,),
            Window(start, start + 1_500 * MS, end), {}, SERVERS[1:],
            notes={"sharing": {"shards": SHARDS}},
        )
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_in_a_sound_cluster_a_dead_nodes_shards_change_hands_once(seed):
    view = view_of(*day(Node, seed))
    assert flapping(view).count == 0
    assert false_failovers(view).count == 0
    assert promotions(view).count == 1
    (one,) = takeovers(view)
    assert (one.shard, one.before, one.node) == (2, "node-b", "node-c")


@pytest.mark.parametrize("seed", range(4))
def test_shards_that_flap_are_seen_though_every_node_is_primary_throughout(seed):
    world, killed = day(NODES["shard-flaps"], seed)
    view = view_of(world, killed)
    assert flapping(view).count >= 3
    assert false_failovers(view).count == 0, "it begins with the first takeover"
    assert {t.shard for t in takeovers(view)} == {2}
    assert {t.node for t in takeovers(view)} >= {"node-a", "node-c"}


@pytest.mark.parametrize("name", ["shard-flaps", "never-recovers"])
def test_that_is_their_only_flaw(name):
    """Nothing lost, nothing doubled, no two owners, no old read."""
    world, _ = day(NODES[name])
    away = "node-b" if name == "never-recovers" else "nobody"
    found = [v for v in world.violations() if away not in v and "has no owner" not in v]
    assert found == []


def test_a_node_that_never_recovers_stays_out_and_a_sound_one_does_not():
    sound, flawed = day(Node)[0], day(NODES["never-recovers"])[0]
    assert sound.machines()["node-b"].role(sound.now) in ("primary", "backup")
    assert flawed.machines()["node-b"].role(flawed.now) == "joining"
    assert all(flawed.owner(n) for n in (1, 2, 3)), "the others serve without it"
