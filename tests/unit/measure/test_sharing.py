"""Several nodes that serve: outages by shard, two owners of one shard, shares, the second after."""

import numpy as np
import pytest

from chaoskit.history.history import History
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.requests import dropped, until_recovery
from chaoskit.measure.shards import shard_of
from chaoskit.measure.view import View
from tests.unit.measure.sharing_script import (
    MS,
    SHARDS,
    history_of,
    orphan,
    spread_out,
    taken_over,
)


def test_each_shard_has_its_outage_and_the_headline_is_the_worst():
    metrics = measure_view(View(history_of(taken_over, shards=SHARDS)))
    by_shard = {k: i.value_s for k, i in metrics.sharing.outage_by_shard.items()}
    assert by_shard["1"] == by_shard["4"] == 0
    assert by_shard["2"] == pytest.approx(0.6, abs=0.05)
    assert by_shard["3"] == pytest.approx(0.2, abs=0.05)
    outage = metrics.client_outage
    assert outage.value_s == by_shard["2"]
    assert outage.low_s <= 0.6 <= outage.high_s
    assert metrics.failover_time.value_s == pytest.approx(0.6, abs=0.05)
    assert metrics.recovery == "failover"


def test_without_the_declaration_the_good_shards_hide_the_bad_one():
    """Why shards must be declared: three good requests in a row are no sign that all is well."""
    metrics = measure_view(View(history_of(taken_over, shards=SHARDS)))
    history = history_of(taken_over, shards=SHARDS)
    plain = measure_view(View(History(**{**vars(history), "notes": {}})))
    assert plain.client_outage.value_s < metrics.client_outage.value_s
    assert plain.sharing is None


def test_a_shard_that_stays_out_is_out_whatever_the_others_do():
    metrics = measure_view(View(history_of(orphan, shards=SHARDS)))
    assert metrics.client_outage.censored
    assert metrics.recovery == "failed"
    assert not metrics.sharing.outage_by_shard["1"].censored


@pytest.mark.parametrize(("one_shard", "dual"), [(True, True), (False, False)])
def test_two_owners_are_two_of_the_same_shard(one_shard, dual):
    """Two nodes acknowledge at once: in one shard a violation, in different ones the design."""

    def act(due, shard):
        if one_shard:
            return (1 if (due // (SHARDS * 10 * MS)) % 2 else 3), 1
        return (1 if shard < 3 else 3), 1

    found = measure_view(View(history_of(act, shards=SHARDS))).dual_primary
    assert (found.low_s > 0) is dual


def test_shares_and_the_second_after_a_node_was_lost():
    view = View(history_of(spread_out, spread=True))
    metrics = measure_view(view)
    shares = metrics.sharing.shares
    assert shares["node-b"].before == pytest.approx(1 / 3, abs=0.01)
    assert shares["node-b"].fault == 0
    assert shares["node-a"].fault == pytest.approx(1 / 2, abs=0.01)
    assert shares["node-b"].after == pytest.approx(1 / 3, abs=0.01)
    second = metrics.sharing.impact
    assert (second.due, second.bad, second.bad_before) == (100, 1, 0)
    assert (second.p99_before_s, second.p99_s) == (0.001, 0.002)
    assert metrics.recovery == "absorbed"
    assert not metrics.failover_time.applicable
    assert "all nodes serve" in metrics.failover_time.note
    assert not metrics.dual_primary.applicable


def test_the_share_of_dropped_requests_is_of_the_whole_time_that_a_node_was_missing():
    view = View(history_of(spread_out, spread=True))
    found = dropped(view, until_recovery(view))
    assert (found.count, found.due) == (1, 200)
    alone = View(history_of(spread_out))
    assert dropped(alone, until_recovery(alone)).due < 5, "with one node serving: until recovery"


def test_all_keep_their_share_where_nobody_was_lost():
    view = View(history_of(lambda due, _: (due // (10 * MS) % 3 + 1, 1), spread=True))
    metrics = measure_view(view)
    assert metrics.recovery == "none"
    assert metrics.sharing.impact.bad == 0


def test_the_rule_of_shards():
    keys = np.array([0, 1, 4, 5, 9], dtype=np.uint32)
    assert shard_of(keys, 4).tolist() == [0, 1, 4, 1, 1]
