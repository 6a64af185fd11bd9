"""Outages of each client, of any and of all of them: the truth lies inside, whoever they are."""

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.vantage import by_client, common, joined
from chaoskit.measure.view import View

sys.path.insert(0, str(Path(__file__).parent))
from clients_script import STYLES, S, script

INF = float("inf")


def length(stretches):
    return sum(end - start for start, end in stretches) / S


def assert_inside(found, truth):
    assert found.low_s <= truth <= found.high_s, (found, truth)


# ---------------------------------------------------------------- known truths


def drawn(seed):
    """Two to nine clients, each with none, one or two outages, some together, some not."""
    rng = np.random.default_rng(seed)
    together = (0.3, 0.3 + float(rng.uniform(0.3, 1.0)))
    outages = []
    for _ in range(int(rng.integers(2, 10))):
        kind = rng.integers(0, 4)
        later = 2.5 + float(rng.uniform(0, 0.5))
        spans = [together] if kind in (1, 3) else []
        if kind in (2, 3):
            spans.append((later, later + float(rng.uniform(0.3, 1.5))))
        outages.append(spans)
    return outages


@pytest.mark.parametrize("style", STYLES)
def test_the_truth_lies_in_every_bracket(style):
    for seed in range(70):
        outages = drawn(seed)
        history, truth = script(outages, style=style, seed=seed)
        found = measure_trial(history).clients
        longest = [max((length([o]) for o in spans), default=0.0) for spans in truth]
        for number, value in enumerate(longest):
            assert_inside(found.by_client[f"c{number}"], value)
        assert_inside(found.worst, max(longest))
        assert_inside(found.median, float(np.median(longest)))
        assert_inside(found.union, length(joined(truth)))
        assert_inside(found.intersection, length(common(truth)))
        start, end = View(history).observed
        down = sum(length(spans) for spans in truth)
        assert_inside(found.user_uptime, 1 - down / (len(outages) * (end - start) / S))


def test_one_client_is_the_stream():
    history, _ = script([[(0.2, 0.9)]])
    found = measure_trial(history)
    one, all_together = found.clients.by_client["c0"], found.client_outage
    assert (one.value_s, one.low_s, one.high_s) == (
        all_together.value_s,
        all_together.low_s,
        all_together.high_s,
    )
    assert found.clients.union == found.clients.intersection
    assert found.clients.worst == found.clients.median == one


# ---------------------------------------------------------------- the planted violation


def test_one_of_eight_that_stays_stuck_is_seen_though_the_stream_seems_well():
    """Seven good requests follow each bad one: to the stream as a whole that is calm."""
    history, _ = script([[]] * 5 + [[(0.1, 3.1)]] + [[]] * 2)
    found = measure_trial(history)
    assert found.client_outage.value_s < 0.1
    assert found.clients.worst.value_s == pytest.approx(3.0, abs=0.05)
    assert found.clients.worst_client == "c5"
    assert found.clients.median.value_s == 0
    assert found.clients.intersection.value_s == 0
    assert found.clients.bad["c5"] > 100
    assert sum(found.clients.bad.values()) == found.clients.bad["c5"]


def test_its_clean_twin_is_silent():
    found = measure_trial(script([[]] * 8)[0]).clients
    assert found.worst.value_s == found.union.value_s == 0
    assert found.worst.high_s == found.union.high_s == 0
    assert found.worst_client is None
    assert found.user_uptime.value_s == found.user_uptime.low_s == 1


def test_a_client_that_is_not_back_in_the_end_is_the_worst_and_a_lower_bound():
    found = measure_trial(script([[(0.0, 4.0)], [(5.0, INF)], []])[0]).clients
    assert (found.worst_client, found.worst.censored, found.worst.high_s) == ("c1", True, None)
    assert found.worst.value_s < 4.0
    assert (found.union.censored, found.intersection.censored) == (True, False)
    assert not found.median.censored
    assert_inside(found.median, 4.0)


def test_the_median_is_censored_where_half_of_the_clients_are():
    found = measure_trial(script([[(1.0, INF)], [(5.0, INF)], []])[0]).clients
    assert found.median.censored
    assert found.median.high_s is None


def test_clients_of_shards_are_looked_at_by_shard():
    """Where half of the keys have an owner, the other half is out, for every client."""
    history, _ = script([[], []], registers=2, streams=(("read", "read", "kept"),))
    history = replace(history, notes={"sharing": {"shards": 2}})
    records = history.requests.copy()
    # each client's requests go to the two keys in turn
    order = np.argsort(records["due_ns"])
    records["key"][order] = np.arange(records.size) // 2 % 2 + 1
    zero = history.faults[0].acknowledged_ns
    out = (records["key"] == 2) & (records["sent_ns"] >= zero) & (records["sent_ns"] < zero + S)
    records["outcome"][out] = 3
    found = measure_trial(replace(history, requests=records)).clients
    for one in found.by_client.values():
        assert_inside(one, 1.0)
    assert_inside(found.intersection, 1.0)


# ---------------------------------------------------------------- properties


def test_who_is_called_what_changes_nothing():
    history, _ = script(drawn(3))
    number = len(history.clients) - 1
    turned = history.requests.copy()
    turned["client"] = number + 1 - turned["client"]
    one, other = (measure_trial(h).clients for h in (history, replace(history, requests=turned)))
    assert list(one.by_client.values()) == list(other.by_client.values())[::-1]
    for name in ("worst", "median", "union", "intersection", "user_uptime"):
        assert getattr(one, name) == getattr(other, name), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(STYLES))
def test_any_is_at_least_the_worst_and_all_at_most_the_best(seed, style):
    found = measure_trial(script(drawn(seed), style=style, rate=200.0, seed=seed)[0]).clients
    values = [one.value_s for one in found.by_client.values()]
    assert max(values) == found.worst.value_s >= found.median.value_s >= min(values)
    assert found.union.value_s >= found.worst.value_s
    assert found.union.value_s >= found.intersection.value_s
    for one in (found.union, found.intersection, found.median):
        assert one.low_s <= one.value_s <= one.high_s
    assert 0 <= found.user_uptime.low_s <= found.user_uptime.value_s <= 1


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5)


@given(st.lists(spans, min_size=1, max_size=4))
def test_stretches_are_joined_and_cut_as_sets_of_moments_are(parts):
    moments = [{t for start, end in part for t in range(start, end)} for part in parts]

    def seen(found):
        assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
        return {t for start, end in found for t in range(start, end)}

    assert seen(joined(parts)) == set.union(*moments)
    assert {t for a, b in common(parts) for t in range(a, b)} == set.intersection(*moments)


def test_a_stream_in_which_a_client_asked_nothing_leaves_it_out():
    history, _ = script([[], []])
    known = replace(history, clients=(*history.clients, "idle"))
    assert set(by_client(View(known), View(known).headline)) == {"c0", "c1"}


def test_the_rate_of_a_client_is_its_share():
    history, _ = script([[]] * 4)
    tracks = by_client(View(history), View(history).headline)
    assert all(math.isclose(t.stream.rate, 100, rel_tol=0.01) for t in tracks.values())
