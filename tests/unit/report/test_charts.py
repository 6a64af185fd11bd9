"""Geometry: nothing that matters is lost between the records and the picture."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.judge.result import Interval
from chaoskit.measure.model import Heartbeats
from chaoskit.measure.timeline import Band, Dot, RoleSpan, Timeline
from chaoskit.report.closeup_chart import build_closeup
from chaoskit.report.figures import bound_s, metric_of
from chaoskit.report.format import NONE
from chaoskit.report.heartbeats_chart import build_beats
from chaoskit.report.scale import Range, nice_ceiling, place, time_axis
from chaoskit.report.timeline_chart import build_chart, columns
from chaoskit.report.trials_chart import build_phases, build_strip
from chaoskit.report.views import choose
from tests.unit.report import samples
from tests.unit.report.parts import timeline


def quiet(bins=10_000, **changes):
    base = {
        "start_s": -10.0,
        "bin_s": 0.01,
        "outcomes": {"write": {"ok": (2,) * bins, "fail_definite": (0,) * bins}},
        "latency": {"max": (0.001,) * bins},
        "roles": (),
        "faults": (),
        "outages": (),
        "dots": (),
    }
    return Timeline(**{**base, **changes})


@pytest.mark.parametrize("where", [0, 1234, 9_999])
def test_one_failed_request_among_ten_thousand_bins_is_drawn(where):
    failed = tuple(1 if i == where else 0 for i in range(10_000))
    chart = build_chart(
        quiet(outcomes={"write": {"ok": (2,) * 10_000, "fail_definite": failed}}), 180
    )
    marks = chart.bars[0].marks
    assert [m.kind for m in marks] == ["fail_definite"]
    assert float(marks[0].h) >= 2


def test_a_latency_spike_of_one_bin_is_drawn_at_its_height():
    spiky = tuple(2.0 if i == 777 else 0.001 for i in range(10_000))
    flat = build_chart(quiet(), 180).lines
    spike = build_chart(quiet(latency={"max": spiky}), 180).lines
    assert flat is not None
    assert spike is not None
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", spike.lines[0].path)]
    tops = sorted(set(heights))
    assert len(tops) == 2
    assert heights.count(tops[0]) == 1


def test_columns_keep_every_count():
    rng = random.Random(3)
    counts = tuple(rng.randrange(5) for _ in range(997))
    cols = columns(quiet(outcomes={"write": {"ok": counts}, "write/new": {"ok": counts}}), 60)
    assert len(cols) <= 60
    assert sum(c.counts["write"]["ok"] for c in cols) == 2 * sum(counts)


def test_a_gap_without_answers_is_a_gap_in_the_line():
    known = (0.001, None, None, 0.002, 0.002)
    chart = build_chart(quiet(5, latency={"p50": known}), 180)
    assert chart.lines is not None
    assert chart.lines.lines[0].path.count("M") == 2


def test_the_rarest_outcome_is_drawn_whole_and_last():
    dots = [Dot(i / 1000, 0.01, "fail_definite", "write") for i in range(3_000)]
    dots += [Dot(1.5, None, "not_sent", "write"), Dot(1.6, 0.2, "ambiguous", "write")]
    made = build_closeup(quiet(dots=tuple(dots)), 100, 60)
    assert made is not None
    assert {r.kind for r in made.rare[-2:]} == {"not_sent", "ambiguous"}
    assert len(made.rare) <= 62
    assert dict(made.counts) == {"fail_definite": 3_000, "ambiguous": 1, "not_sent": 1}


def test_an_unknown_outcome_is_ambiguous_as_in_every_count():
    made = build_closeup(quiet(dots=(Dot(0.0, None, "strange", "write"),)), 10, 10)
    assert made is not None
    assert made.counts == (("ambiguous", 1),)


def test_two_nodes_that_say_primary_at_once_get_a_lane():
    def lanes(overlap, **more):
        roles = (
            RoleSpan("a", -1.0, 1.0 + overlap, "primary"),
            RoleSpan("b", 1.0, 3.0, "primary"),
        )
        chart = build_chart(quiet(roles=roles), 180, poll_s=0.05, **more)
        return {lane.label: [s.kind for s in lane.spans] for lane in chart.lanes}

    assert lanes(0.5)["two primaries"] == ["double"]
    assert "two primaries" not in lanes(0.08)  # what polling every 50 ms can blur
    assert "two primaries" not in lanes(0.5, several=True)  # they are meant to


def test_a_silent_node_and_a_strange_role_have_looks_of_their_own():
    roles = (RoleSpan("a", -10.0, 40.0, None), RoleSpan("b", -10.0, 40.0, 'x" onload="y'))
    chart = build_chart(quiet(roles=roles), 180)
    assert [s.kind for lane in chart.lanes[-2:] for s in lane.spans] == ["silent", "other"]


def test_a_short_outage_has_its_length_beside_it():
    chart = build_chart(quiet(outages=(Band("outage", 0.0, 0.4),)), 180)
    span = chart.lanes[0].spans[0]
    assert (span.text, span.beside) == ("0.400 s", "start")


def test_a_strip_marks_censored_and_invalid_trials_by_shape():
    strip = build_strip(samples.failing().result, "client_outage", "client outage", 100)
    assert strip is not None
    assert [d.kind for d in strip.dots] == ["arrow", "arrow", "dot"]
    strip = build_strip(samples.invalid().result, "client_outage", "client outage", 100)
    assert strip is not None
    assert [d.kind for d in strip.dots] == ["dot", "hollow", "hollow"]


def test_a_strip_shows_thresholds_and_the_expected_band():
    strip = build_strip(samples.passing().result, "failover_time", "failover time", 100)
    assert strip is not None
    assert [g.label for g in strip.guides] == ["threshold 2 s"]
    assert strip.band is not None
    assert strip.band[2] == "expected 0.25 to 0.45 s"


def test_phases_end_where_the_failover_did():
    trial = samples.passing().result.trials[0]
    made = build_phases([trial])
    assert made is not None
    assert trial.metrics is not None
    assert made.rows[0].total == "0.433 s"
    assert trial.metrics.failover_time.value_s == pytest.approx(0.433)


def with_phases(n, *parts):
    """Trial ``n`` with phases of (name, low, value, high) seconds."""
    trial = samples.passing().result.trials[0]
    found = {name: Interval(value_s=v, low_s=lo, high_s=hi) for name, lo, v, hi in parts}
    metrics = trial.metrics.model_copy(update={"phases": found})
    return trial.model_copy(update={"n": n, "metrics": metrics})


def test_an_error_bar_says_between_when_a_phase_may_have_ended():
    made = build_phases([with_phases(1, ("detect", 0.3, 0.4, 0.6), ("reroute", 0.1, 0.1, 0.1))])
    polled, told = made.rows[0].bars
    scale = Range(0.0, 0.5 * 1.12)
    assert polled.ends == (scale.x(0.3), scale.x(0.6))
    assert told.ends is None, "a moment that a node told has no width"
    assert polled.y != told.y


def test_trials_stand_by_length_and_the_one_in_the_middle_is_the_median():
    trials = [with_phases(n, ("detect", s, s, s)) for n, s in ((1, 0.5), (2, 0.2), (3, 0.4))]
    assert [r.label for r in build_phases(trials).rows] == ["trial 2", "median (3)", "trial 1"]
    assert [r.label for r in build_phases(trials[:2]).rows] == ["trial 2", "trial 1"]


def test_each_trial_has_its_phases_in_its_own_order_and_with_the_patterns_of_all():
    """In the second, whose choice nobody saw, two are merged: they do not move to the end."""
    parts = {"detect": 0.2, "elect": 0.1, "promote": 0.1, "reroute": 0.3}
    merged = {"detect": 0.2, "elect+promote": 0.4, "reroute": 0.1}
    trials = [
        with_phases(n, *((name, s - 0.04, s, s + 0.04) for name, s in own.items()))
        for n, own in ((1, parts), (2, merged))
    ]
    first, second = build_phases(trials).rows
    told = [[b.title.split()[0] for b in row.bars] for row in (first, second)]
    assert told == [list(parts), list(merged)]
    assert [b.kind for b in second.bars] == [0, 4, 3]
    scale = Range(0.0, 0.7 * 1.12)
    assert [b.x for b in second.bars] == [scale.x(0.0), scale.x(0.2), scale.x(0.2 + 0.4)]
    assert second.bars[1].ends == (scale.x(0.2 + 0.36), scale.x(0.2 + 0.44))
    assert [b.y for b in second.bars] == ["26", "23", "26"], "neighbours' error bars stand apart"
    assert second.cells[1:3] == (NONE, NONE)


def test_a_phase_beyond_the_columns_of_the_table_is_drawn_all_the_same():
    many = [(f"part-{i}", 0.1, 0.1, 0.1) for i in range(14)]
    made = build_phases([with_phases(1, *many)])
    assert (len(made.names), len(made.rows[0].cells), len(made.rows[0].bars)) == (12, 12, 14)
    assert made.rows[0].total == "1.40 s"


def beating(n, **links):
    trial = samples.passing().result.trials[0]
    return trial.model_copy(
        update={"n": n, "metrics": trial.metrics.model_copy(update={"heartbeats": links})}
    )


REGULAR = Heartbeats(
    seen=40,
    interval_s=0.1,
    p05_s=0.098,
    p95_s=0.104,
    jitter_s=0.006,
    longest_s=0.2,
    missed_before=0,
    missed_after=3,
)


def test_a_link_is_drawn_with_its_interval_its_jitter_its_longest_and_what_was_missed():
    made = build_beats([beating(1, **{"node-b from node-a": REGULAR})])
    (row,) = made.rows
    scale = Range(0.0, 0.2 * 1.06)
    assert (row.at, row.longest) == (scale.x(0.1), scale.x(0.2))
    assert row.band == (scale.x(0.098), scale.width(0.098, 0.104))
    assert (row.label, row.aside, row.bad) == ("node-b from node-a", "missed 0, then 3", False)
    assert row.cells == (
        "1", "node-b from node-a", "40", "0.100 s", "6.0 ms", "0.200 s", "0", "3",
    )  # fmt: skip


def test_a_link_that_was_hardly_heard_has_a_row_without_a_box_and_a_miss_before_is_bad():
    few = REGULAR.model_copy(
        update={
            **dict.fromkeys(("interval_s", "p05_s", "p95_s", "jitter_s", "longest_s")),
            "missed_before": 2,
        }
    )
    (row,) = build_beats([beating(1, b=few)]).rows
    assert (row.at, row.longest, row.band, row.bad) == ("", "", ("", ""), True)
    assert row.cells[3:6] == (NONE,) * 3


def test_where_no_node_told_of_heartbeats_nothing_is_drawn_and_many_links_are_cut():
    assert build_beats([beating(1)]) is None
    many = build_beats([beating(n, **{f"n{i}": REGULAR for i in range(10)}) for n in range(5)])
    assert (len(many.rows), many.left_out) == (36, 14)


def test_the_worst_trial_is_the_censored_one_however_short():
    trials = list(samples.many(9).result.trials)
    short = trials[2].metrics.model_copy(
        update={"client_outage": Interval(value_s=0.001, censored=True)}
    )
    trials[2] = trials[2].model_copy(update={"metrics": short})
    assert choose(trials, 3)[3] == "worst"


@pytest.mark.parametrize(
    ("expression", "metric", "bound"),
    [
        ("failover_time < 5s", "failover_time", 5.0),
        ("client_outage.p95 <= 250ms", "client_outage", 0.25),
        ("latency.p99@recovered < 2 x baseline", "latency", None),
        ("P(failover_time > 5s) <= 10%", "failover_time", 5.0),
        ("lost_writes == 0", "lost_writes", None),
    ],
)
def test_thresholds_are_read_for_their_line_in_a_chart(expression, metric, bound):
    assert metric_of(expression) == metric
    assert bound_s(expression) == bound


@given(st.floats(-1e6, 1e6, allow_nan=False), st.floats(1e-6, 1e6), st.floats(-1e9, 1e9))
def test_a_place_is_always_inside_the_plot(low, width, value):
    scale = Range(low, low + width)
    assert 0.0 <= float(scale.x(value)) <= 100.0
    assert len(time_axis(scale, "x").ticks) <= 41


@given(st.floats(1e-9, 1e9))
def test_the_top_of_an_axis_is_at_or_above_what_it_shows(value):
    assert nice_ceiling(value) >= value * (1 - 1e-6)
    assert nice_ceiling(value) <= value * 3
    assert place(value)


def test_the_sample_timelines_hold_what_they_say():
    one = timeline(random.Random(1), outage_s=0.4)
    write = one.outcomes["write"]
    assert sum(write["fail_definite"]) + sum(write["ambiguous"]) == pytest.approx(80, abs=8)
