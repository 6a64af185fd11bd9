"""What charts are drawn from."""

import math

import numpy as np
import pytest

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.timeline import timeline

TWO = (("write", "write", "kept"), ("read", "read", "kept"))


def test_zero_of_the_axis_is_when_the_fault_was_acknowledged():
    shown = timeline(simulate(Scenario(streams=TWO))[0])
    assert shown.start_s == pytest.approx(-3.5, abs=0.02)
    assert shown.faults[0].label == "kill node-a"
    assert shown.faults[0].from_s == pytest.approx(0, abs=0.01)
    assert shown.faults[0].to_s == pytest.approx(2.0, abs=0.01)
    assert {band.label for band in shown.outages} == {"write", "read"}
    assert shown.outages[0].to_s == pytest.approx(1.0, abs=0.02)


def test_latencies_are_absent_where_nothing_was_answered_and_ordered_elsewhere():
    shown = timeline(simulate(Scenario())[0])
    out = [
        i for i in range(len(shown.latency["max"])) if 0.1 < shown.start_s + i * shown.bin_s < 0.8
    ]
    assert all(shown.latency["max"][i] is None for i in out)
    rows = zip(shown.latency["p50"], shown.latency["p99"], shown.latency["max"], strict=True)
    present = [row for row in rows if row[0] is not None]
    assert len(present) > 40
    assert all(p50 <= p99 <= top for p50, p99, top in present)


def test_a_long_run_is_drawn_with_few_bins_and_dots():
    shown = timeline(simulate(Scenario(rate=1000, baseline_s=40, after_s=60, streams=TWO))[0])
    assert len(shown.latency["max"]) <= 401
    assert shown.bin_s > 0.1
    assert len(shown.dots) <= 3010


def test_dots_keep_the_bad_and_thin_out_the_good():
    history, _ = simulate(Scenario(rate=1000, outage_s=0.5))
    shown = timeline(history)
    bad = sum(dot.outcome == "fail_definite" for dot in shown.dots)
    assert bad == np.count_nonzero(history.requests["outcome"] == 3)
    assert {dot.outcome for dot in shown.dots} == {"ok", "fail_definite"}
    assert all(dot.latency_s is None for dot in shown.dots if dot.outcome != "ok")
    assert min(dot.due_s for dot in shown.dots) > -1.1


def test_a_service_that_stays_away_is_shaded_to_the_end():
    history, truth = simulate(Scenario(outage_s=math.inf))
    shown = timeline(history)
    end = (history.window.observe_end_ns - truth.begin_ns) / 1e9
    assert shown.outages[0].to_s == pytest.approx(end)


def test_roles_begin_with_the_observation():
    shown = timeline(simulate(Scenario())[0])
    assert min(span.from_s for span in shown.roles) >= shown.start_s
    assert [s.role for s in shown.roles if s.node == "node-b"] == ["backup", "primary"]
