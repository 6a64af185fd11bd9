"""Counts, shares, latencies and gaps."""

import math
from dataclasses import replace

import numpy as np
import pytest

from chaoskit.history.history import NodeEvent
from chaoskit.history.records import Outcome
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.kept import found_once
from chaoskit.measure.metrics import measure_trial, measure_view, percentile_s
from chaoskit.measure.reading import METRICS, read
from chaoskit.measure.requests import latencies_at, latency, latency_at
from chaoskit.measure.view import View

MS = 1_000_000


@pytest.mark.parametrize(
    ("style", "classes"),
    [
        ("refuse", {"fail_definite"}),
        ("503", {"fail_definite"}),
        ("drop", {"ambiguous"}),
        ("stall", {"ambiguous", "ok_late"}),
    ],
)
def test_dropped_requests_are_counted_by_class_and_by_error(style, classes):
    history, _ = simulate(Scenario(style=style, outage_s=1.0))
    found = measure_trial(history).dropped_requests
    assert {name for name, count in found.by_class.items() if count} == classes
    assert set(found.by_class) == {"ok_late", "fail_definite", "ambiguous", "not_sent"}
    assert found.count == sum(found.by_class.values())
    assert found.ratio == found.count / found.due
    held = 0.1 if style == "stall" else 0  # answered within the deadline after recovery
    assert found.count == pytest.approx(200 * (1.0 - held), abs=3)
    assert sum(found.by_error.values()) == found.count - found.by_class["ok_late"]


def test_requests_after_recovery_do_not_dilute_the_share_that_was_dropped():
    short = measure_trial(simulate(Scenario(after_s=1.0))[0]).dropped_requests
    long = measure_trial(simulate(Scenario(after_s=8.0))[0]).dropped_requests
    assert short.ratio == pytest.approx(long.ratio, abs=0.01)
    assert short.ratio > 0.97


def test_where_nothing_happens_nothing_is_dropped():
    found = measure_trial(simulate(Scenario(outage_s=0.0))[0])
    assert (found.dropped_requests.count, found.dropped_requests.ratio) == (0, 0.0)
    assert found.bad_time.value_s == 0
    assert found.flaps.count == 0
    assert found.values["error_rate@run"] == 0.0
    assert found.values["availability@run"] == 1.0
    assert found.values["error_rate@outage"] == 0.0


def test_bad_time_is_the_number_of_bad_requests_over_the_rate():
    history, _ = simulate(Scenario(outage_s=1.0))
    bad = int((history.requests["outcome"] != Outcome.OK).sum())
    found = measure_trial(history).bad_time
    assert found.value_s == bad / 200
    assert found.low_s <= 1.0 <= found.high_s


def test_the_tally_covers_all_that_was_observed_and_the_impact_only_that():
    found = measure_trial(simulate(Scenario())[0])
    assert found.tally["write"]["due"] > found.tally_impact["write"]["due"]
    for counts in (found.tally["write"], found.tally_impact["write"]):
        assert counts["due"] == sum(v for k, v in counts.items() if k != "due")
    assert found.tally_impact["write"]["fail_definite"] == found.dropped_requests.count


def test_max_stall_is_censored_by_the_clients_timeout():
    held = measure_trial(simulate(Scenario(style="stall", timeout_s=5.0))[0]).max_stall
    assert held.value_s == pytest.approx(1.0, abs=0.01)
    assert not held.censored
    cut = measure_trial(simulate(Scenario(style="stall", timeout_s=0.3))[0]).max_stall
    assert cut.value_s == pytest.approx(0.3, abs=0.01)
    assert cut.censored
    assert cut.high_s is None


def test_the_goodput_gap_sees_fast_failures_and_held_requests_alike():
    for style in ("refuse", "stall"):
        found = measure_trial(simulate(Scenario(style=style))[0]).goodput_gap
        assert found.value_s == pytest.approx(1.0, abs=0.015)
        assert found.low_s <= 1.0 <= found.high_s
    never = measure_trial(simulate(Scenario(outage_s=math.inf))[0]).goodput_gap
    assert never.censored


def test_the_goodput_gap_is_blind_to_a_partial_outage_and_the_window_is_not():
    history, truth = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    hit = (requests["due_ns"] > truth.begin_ns) & (requests["due_ns"] < truth.begin_ns + 10**9)
    hit &= requests["token"] % 2 == 0
    requests["outcome"][hit] = Outcome.FAIL_DEFINITE
    found = measure_trial(replace(history, requests=requests))
    assert found.client_outage.value_s == pytest.approx(1.0, abs=0.02)
    assert found.goodput_gap.value_s < 0.02
    assert found.flaps.count == pytest.approx(100, abs=2)


def test_a_percentile_is_one_of_the_latencies_by_nearest_rank():
    history, truth = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    after = np.flatnonzero(requests["due_ns"] >= truth.begin_ns - MS)
    requests["done_ns"][after] = requests["due_ns"][after] + 5 * MS
    slow = after[np.argsort(requests["due_ns"][after])[:3]]
    requests["done_ns"][slow] = requests["due_ns"][slow] + 80 * MS
    view = View(replace(history, requests=requests))
    size = view.counts(view.headline, view.spans["recovered"])["due"]
    assert percentile_s(view, "fault", 1.0) == 0.08
    assert percentile_s(view, "fault", 0.5) == 0.005
    assert size > 100


@pytest.mark.parametrize("size", [0, 1, 2, 10, 99, 100, 101, 1000])
def test_percentiles_found_together_are_those_of_all_that_is_sorted(size):
    history, truth = simulate(Scenario(outage_s=0.0, baseline_s=6.0))
    view = View(history)
    track, start = view.headline, truth.begin_ns - 5_500 * MS
    span = (start, start + size * track.interval_ns)
    everything, qs = latency(track, span), (0.99, 0.5, 1.0, 0.0001, 0.95, 0.5)
    assert everything.size == size
    ranks = [max(1, math.ceil(q * size - 1e-9)) for q in qs]
    expected = [int(everything[rank - 1]) if size else None for rank in ranks]
    assert latencies_at(track, span, qs) == expected
    assert [latency_at(track, span, q) for q in qs] == expected


def test_a_finding_that_is_kept_belongs_to_its_view_alone():
    asked = []

    @found_once
    def measured(view):
        asked.append(view)
        return view.observed

    one, other = View(simulate(Scenario())[0]), View(simulate(Scenario(baseline_s=3.0))[0])
    assert measured(one) == measured(one) == one.observed
    assert measured(other) == other.observed != one.observed
    assert len(asked) == 2


# ---------------------------------------------------------------- readings


@pytest.fixture(scope="module")
def seen():
    view = View(simulate(Scenario())[0])
    return view, measure_view(view)


def test_every_metric_of_the_list_can_be_read():
    both = (("write", "write", "kept"), ("read", "read", "kept"))
    history = simulate(Scenario(registers=8, streams=both, pinned=50.0))[0]
    start = history.window.baseline_start_ns
    beats = [NodeEvent("node-b", start + n, "heartbeat-seen", start + n, str(n)) for n in (0, 1)]
    view = View(replace(history, events=tuple(beats)))
    seen = view, measure_view(view)
    for name in METRICS:
        stat = "p50" if name == "latency" else None
        found = read(*seen, name, stat=stat, phase=None, unit="count")
        # The simulated role stays where it went, and asks nobody.
        happened = not name.startswith("failback_") and name != "time_to_approval"
        assert found.applicable is happened, name
        if found.applicable:
            assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("metric", "stat", "phase", "why"),
    [
        ("nonsense", None, None, "not measured"),
        ("client_outage", None, "baseline", "not measured by phase"),
        ("latency", "p99", "nowhere", "no phase"),
        ("latency", "px", "run", "no statistic"),
        ("client_outage_read", None, None, "was not observed"),
    ],
)
def test_what_is_not_there_says_so(seen, metric, stat, phase, why):
    found = read(*seen, metric, stat=stat, phase=phase, unit="s")
    assert not found.applicable
    assert why in found.note


def test_dropped_requests_are_a_count_or_a_share(seen):
    count = read(*seen, "dropped_requests", stat=None, phase=None, unit="count")
    share = read(*seen, "dropped_requests", stat=None, phase=None, unit="ratio")
    rate = read(*seen, "dropped_requests", stat="rate", phase="outage", unit="count")
    assert (count.unit, share.unit, rate.unit) == ("count", "ratio", "ratio")
    assert count.value == 200
    assert 0.97 < share.value <= 1


def test_slots_that_were_not_sent_may_or_may_not_have_failed(seen):
    history, truth = simulate(Scenario(outage_s=0.0))
    requests = history.requests.copy()
    after = np.flatnonzero(requests["due_ns"] > truth.begin_ns)[:4]
    requests["outcome"][after] = Outcome.NOT_SENT
    view = View(replace(history, requests=requests))
    metrics = measure_view(view)
    found = read(view, metrics, "dropped_requests", stat=None, phase=None, unit="count")
    assert (found.low, found.value, found.high) == (0, 4, 4)
    found = read(view, metrics, "availability", stat=None, phase="run", unit="ratio")
    assert found.low < found.high == 1.0


def test_a_percentile_of_too_few_answers_is_not_enough(seen):
    view, metrics = seen
    found = read(view, metrics, "latency", stat="p99.9", phase="recovered", unit="s")
    assert found.applicable
    assert not found.enough
    assert "needs 1000" in found.note


def test_what_the_heal_costs_is_part_of_recovery_and_of_the_impact_but_not_of_the_fault():
    """Starting a container can hold up the whole machine for longer than losing it did."""
    history, truth = simulate(Scenario(outage_s=0.5, after_s=4.0))
    (fault,) = history.faults
    heal_ns, healed_ns = truth.begin_ns + 1500 * MS, truth.begin_ns + 2000 * MS
    healed = {"healed_ns": healed_ns, "felt_healed_ns": healed_ns}
    requests = history.requests.copy()
    slow = (requests["due_ns"] >= heal_ns) & (requests["due_ns"] < healed_ns)
    requests["done_ns"][slow] = requests["due_ns"][slow] + 50 * MS
    history = replace(
        history,
        requests=requests,
        faults=(replace(fault, heal_commanded_ns=heal_ns, **healed),),
    )
    view = View(history)
    assert view.spans["fault"] == (fault.commanded_ns, heal_ns)
    assert view.spans["recovery"][1] == view.spans["recovered"][0] == healed_ns
    assert percentile_s(view, "fault", 0.99) < 0.005
    assert percentile_s(view, "recovery", 0.99) == pytest.approx(0.05, abs=0.001)
    assert percentile_s(view, "recovered", 0.99) < 0.005


def test_a_fault_that_nobody_began_to_heal_lasts_until_the_end():
    history, _ = simulate(Scenario())
    (fault,) = history.faults
    open_ = replace(fault, heal_commanded_ns=None, healed_ns=None, felt_healed_ns=None)
    view = View(replace(history, faults=(open_,)))
    assert view.spans["fault"][1] == view.observed[1]
