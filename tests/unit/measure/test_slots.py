"""The comb that a metric is taken from decides what its times cannot resolve."""

from dataclasses import replace

import pytest

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.slots import slots_per_second
from chaoskit.measure.view import View

MIXED = (
    ("read", "read", "kept"),
    ("write/new", "write", "new"),
    ("write", "write", "kept"),
)


@pytest.fixture(scope="module")
def mixed():
    """Writes at 50 a second, fewer of them on new connections, and ten times as many reads."""
    scenario = Scenario(outage_s=0.0, rate=50.0, streams=MIXED, pinned=20.0, registers=1)
    history, _ = simulate(scenario)
    rates = {"read": 500.0, "write/new": 5.0, "write": 50.0}
    streams = (replace(s, rate=rates.get(s.name, s.rate)) for s in history.streams)
    return replace(history, streams=tuple(streams))


@pytest.mark.parametrize(
    ("metric", "rate"),
    [
        ("client_outage", 50.0),
        ("failover_time", 50.0),
        ("client_outage_read", 500.0),
        ("client_outage_worst", 50.0),
        ("fencing_latency", 20.0),
    ],
)
def test_a_metric_has_the_slots_of_its_own_comb(mixed, metric, rate):
    assert slots_per_second(View(mixed), metric) == rate


def test_of_a_client_alone_and_of_a_shard_it_is_their_share(mixed):
    four = replace(mixed, clients=("", "a", "b", "c", "d"))
    assert slots_per_second(View(four), "client_outage_worst") == 12.5
    assert slots_per_second(View(four), "client_outage") == 50.0
    sharded = replace(mixed, notes={**mixed.notes, "sharing": {"shards": 5}})
    assert slots_per_second(View(sharded), "failover_time") == 10.0


def test_where_nothing_is_written_reads_are_the_headline():
    history, _ = simulate(Scenario(outage_s=0.0, streams=(("read", "read", "kept"),)))
    assert slots_per_second(View(history), "client_outage") == 200.0
    assert slots_per_second(View(history), "fencing_latency") == 200.0
