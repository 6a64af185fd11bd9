"""What the report says was not checked: true for what was measured and for what was asked."""

from dataclasses import replace

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.verdict import Case, TrialInput, judge_histories

PINNED = (("write", "write", "kept"), ("pinned:node-a", "write", "kept"))
BEHIND = "two primaries at once behind the nodes' backs (no writer is pinned to each node)"
OUTAGE = "how long clients were without service: no threshold speaks of it"
DUAL = "two nodes acknowledged writes at once, and no threshold speaks of it"


def said(history, *thresholds):
    case = Case("x", tuple(parse_threshold(t) for t in thresholds), 1)
    return judge_histories(case, [TrialInput(1, history)]).not_checked


@pytest.fixture(scope="module")
def plain():
    return simulate(Scenario())[0]


@pytest.fixture(scope="module")
def pinned():
    history = simulate(Scenario(streams=PINNED))[0]
    write, other = history.streams
    return replace(history, streams=(write, replace(other, pinned="node-a")))


def test_two_primaries_are_not_checked_without_pinned_writers_only(plain, pinned):
    assert BEHIND in said(plain, "dual_primary == 0s")
    assert BEHIND not in said(pinned, "dual_primary == 0s")


def test_a_threshold_on_two_primaries_alone_says_nothing_of_outages(pinned):
    found = said(pinned, "dual_primary == 0s")
    assert OUTAGE in found
    assert "no threshold on lost_writes: losses are counted, not judged" in found


@pytest.mark.parametrize("bound", ["client_outage < 5s", "dropped_requests < 50%"])
def test_a_threshold_on_service_speaks_of_outages(plain, bound):
    assert OUTAGE not in said(plain, bound)


def test_two_primaries_that_were_seen_and_not_judged_are_said(plain):
    requests = plain.requests.copy()
    after = requests["due_ns"] > plain.faults[0].acknowledged_ns + 1_500_000_000
    old = list(plain.servers).index("node-a")
    requests["server"][after & (requests["token"] % 2 == 0)] = old
    both = replace(plain, requests=requests)
    assert DUAL in said(both, "client_outage < 5s")
    assert DUAL not in said(both, "client_outage < 5s", "dual_primary == 0s")
    assert DUAL not in said(plain, "client_outage < 5s")
