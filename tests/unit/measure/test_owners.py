"""Shards that change hands while every node stays primary: counted from who acknowledged."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.history import FaultRecord, History, Observation, Stream, Window
from chaoskit.history.records import Op, Outcome, empty
from chaoskit.judge.findings import findings
from chaoskit.judge.soaking import soaked
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.owners import owners
from chaoskit.measure.reading import read
from chaoskit.measure.takeovers import false_failovers, promotions, takeovers
from chaoskit.measure.view import View
from chaoskit.measure.watching import flapping

MS = 1_000_000
NS = 1_000 * MS
RATE, SHARDS, END = 200.0, 4, 9 * NS
FAULT, HEALED = 4 * NS, 6 * NS
SERVERS = ("", "node-a", "node-b", "node-c")
KILL = FaultRecord(
    0, "kill", "node-b", ("node-b",), FAULT, FAULT, FAULT, FAULT, HEALED, HEALED, HEALED
)


def cluster(act, *, epochs=True, faults=(KILL,), shards=SHARDS):
    """A comb of appends to four shards. ``act(due, shard)``: server (0: refused), epoch.

    Each node says at every poll that it is primary, as it is: of some shard.
    """
    dues = np.arange(0, END, int(NS / RATE), dtype=np.int64)
    records = empty(dues.size)
    for k, (row, due) in enumerate(zip(records, dues.tolist(), strict=True)):
        row["op"], row["key"], row["client"] = Op.APPEND, k % SHARDS + 1, 1
        row["server"], epoch = act(due, k % SHARDS + 1)
        row["epoch"] = epoch if epochs else 0
        row["due_ns"] = row["sent_ns"] = due
        row["done_ns"] = due + MS
        row["outcome"] = Outcome.OK if row["server"] else Outcome.FAIL_DEFINITE
    records["token"] = np.arange(1, dues.size + 1)
    stream = Stream("write", "write", RATE, "kept", 100 * MS, 200 * MS)
    polls = tuple(
        Observation(node, "role", at, at + MS, "primary")
        for node in SERVERS[1:]
        for at in range(0, END, 50 * MS)
    )
    return History(
        records, (stream,), ("",), SERVERS, ("", "client"), polls, tuple(faults),
        Window(0, NS // 2, END, END), {}, SERVERS[1:], notes={"sharing": {"shards": shards}},
    )  # fmt: skip


def at_home(_due, shard):
    """Each shard with the node that has it from the beginning: node-b has the second and third."""
    return (1, 2, 2, 3)[shard - 1], 1


def sound(due, shard):
    """node-b dies and loses its two shards, one to each of the others; nobody gives any back."""
    if shard not in (2, 3) or due < FAULT:
        return at_home(due, shard)
    return (0, 0) if due < FAULT + 300 * MS else (1 if shard == 2 else 3, 2)


def swapping(since, shards=(1,), else_=sound):
    """From ``since`` on those shards go to and fro between two nodes every half second."""

    def act(due, shard):
        turn = int((due - since) // (500 * MS)) + 1 if due >= since else 0
        if shard not in shards or not turn:
            return else_(due, shard)
        return (3 if turn % 2 else 1), 10 + turn

    return act


def counts(history):
    view = View(history)
    return flapping(view).count, promotions(view).count, false_failovers(view).count


@pytest.mark.parametrize("epochs", [True, False])
def test_a_node_that_dies_loses_each_of_its_shards_once(epochs):
    """The clean twin: two takeovers, one in each shard, and the fault explains both."""
    history = cluster(sound, epochs=epochs)
    assert counts(history) == (0, 2, 0)
    first, second = takeovers(View(history))
    assert (first.shard, first.before, first.node) == (2, "node-b", "node-a")
    assert (second.shard, second.before, second.node) == (3, "node-b", "node-c")
    assert first.seen_ns == pytest.approx(FAULT + 300 * MS, abs=40 * MS)


@pytest.mark.parametrize("epochs", [True, False])
def test_a_shard_that_goes_to_and_fro_after_the_fault_flaps(epochs):
    """The planted violation: seven changes of one shard's owner, all nodes primary throughout."""
    history = cluster(swapping(FAULT + NS), epochs=epochs)
    assert counts(history) == (7, 2 + 8, 0)
    both = cluster(swapping(FAULT + NS, shards=(1, 4)), epochs=epochs)
    assert flapping(View(both)).count == 7 + 7 - 1, "shard 4 was node-c's to begin with"


def test_each_biting_fault_explains_one_takeover_of_each_shard():
    once = cluster(swapping(8500 * MS, shards=(2,)))
    assert counts(once) == (1, 3, 0)
    again = replace(KILL, step=1, commanded_ns=8 * NS, acknowledged_ns=8 * NS)
    assert flapping(View(replace(once, faults=(KILL, again)))).count == 0
    noop = replace(again, must_bite=False)
    assert flapping(View(replace(once, faults=(KILL, noop)))).count == 1


@pytest.mark.parametrize("epochs", [True, False])
def test_a_shard_that_moves_while_nothing_is_wrong_is_a_false_failover(epochs):
    history = cluster(lambda due, s: (3, 2) if s == 1 and due >= 2 * NS else sound(due, s))
    assert counts(history) == (0, 2, 1)
    (said,) = [text for _, text in findings(View(history)) if "no fault" in text]
    assert said.startswith("shard 1 moved from node-a to node-c at -2.00 s")


def test_a_soak_proves_a_rate_only_of_what_it_could_see():
    asks = (parse_threshold("false_failovers == 0"),)
    calm = measure_view(View(cluster(at_home, faults=())))
    assert (calm.false_failovers.count, calm.false_failovers.soak) == (0, True)
    assert calm.false_failovers.watched_s == pytest.approx(8.5)
    (said,) = soaked(asks, (calm,))
    assert said.startswith("0 false failovers in 8.50 s")
    moved = measure_view(View(cluster(swapping(4 * NS, else_=at_home), faults=())))
    assert (moved.false_failovers.count, moved.flapping.count) == (10, 10)
    assert soaked(asks, (moved,))[0].startswith("10 false failovers in ")


@pytest.mark.parametrize("metric", ["flapping", "promotions", "false_failovers"])
def test_where_nobody_is_named_nothing_is_counted_and_no_bound_holds(metric):
    """Of all shards, or of one: the shard that cannot be told may be the one that flaps."""
    for unnamed in ((1, 2, 3, 4), (3,)):
        history = cluster(sound)
        rows = np.isin(history.requests["key"], unnamed)
        history.requests["server"][rows] = 0
        view = View(history)
        assert owners(view) is None
        found = read(view, measure_view(view), metric, stat=None, phase=None, unit="count")
        assert not found.applicable
        assert "no acknowledged write says which node owned its shard" in found.note


def test_a_shard_that_nothing_was_asked_of_hides_nothing():
    assert counts(cluster(sound, shards=100)) == (0, 2, 0)


# ---------------------------------------------------------------- what is no takeover


def test_an_owner_that_is_silent_or_elected_anew_took_nothing_over():
    def away(due, shard):
        if shard == 1 and NS <= due < 2 * NS:
            return 0, 0
        return (1, 1 if due < NS else 7) if shard == 1 else sound(due, shard)

    assert counts(cluster(away)) == (0, 2, 0)
    assert counts(cluster(away, epochs=False)) == (0, 2, 0)


def test_a_deposed_owner_that_goes_on_in_its_old_epoch_takes_nothing_back():
    """Two owners is ``dual_primary``; the shard changed hands once."""

    def both(due, shard):
        old = shard == 1 and (due // (20 * MS)) % 2 == 0
        return (3, 2) if shard == 1 and due >= FAULT + NS and not old else sound(due, shard)

    assert counts(cluster(both)) == (0, 3, 0)


def test_writes_that_were_under_way_already_do_not_show_who_came_later():
    """One that node-c acknowledges after node-a did, but was sent before that."""
    history = cluster(at_home, faults=(), epochs=False)
    rows = np.flatnonzero(history.requests["key"] == 1)
    history.requests["server"][rows[0]] = 3
    history.requests["done_ns"][rows[0]] = history.requests["done_ns"][rows[1]] + MS
    assert takeovers(View(history)) == ()
