"""What must hold for every history, whatever happened in it."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.history.records import Outcome, empty
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.phases import split
from chaoskit.measure.timeline import timeline
from chaoskit.measure.view import PHASES, View

MS = 1_000_000

scenarios = st.builds(
    Scenario,
    style=st.sampled_from(["refuse", "503", "stall", "drop"]),
    outage_s=st.one_of(st.just(0.0), st.floats(0.05, 1.5), st.just(float("inf"))),
    rate=st.sampled_from([20.0, 50.0, 100.0]),
    timeout_s=st.sampled_from([0.1, 0.2, 0.5]),
    lag_s=st.sampled_from([0.0, 0.003]),
    fails_over=st.booleans(),
    baseline_s=st.sampled_from([0.5, 2.5]),
    after_s=st.sampled_from([1.5, 3.5]),
    streams=st.just((("write", "write", "kept"), ("read", "read", "kept"))),
    registers=st.sampled_from([0, 2]),
    seed=st.integers(0, 10**6),
)
quick = settings(max_examples=40, deadline=None)


@st.composite
def histories(draw):
    """A simulated trial with some outcomes changed at random."""
    history, _ = simulate(draw(scenarios))
    requests = history.requests.copy()
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    hit = rng.random(requests.size) < draw(st.sampled_from([0.0, 0.02, 0.3]))
    requests["outcome"][hit] = rng.integers(1, 6, int(hit.sum()))
    return replace(history, requests=requests)


def timeless(metrics):
    """Metrics without the moments at which single examples happened."""
    cut = {}
    for name in (
        "lost_writes",
        "split_brain_loss",
        "post_heal_loss",
        "duplicate_writes",
        "resurrected_writes",
        "divergent_writes",
        "stale_reads",
        "session_violations",
        "linearizability_violations",
    ):
        found = getattr(metrics, name)
        cut[name] = found.model_copy(
            update={
                "examples": tuple(
                    e.model_copy(update={"sent_ns": None, "acknowledged_ns": None})
                    for e in found.examples
                )
            }
        )
    return metrics.model_copy(update=cut)


@quick
@given(histories(), st.integers(-(10**12), 10**12))
def test_shifting_all_times_changes_nothing(history, shift):
    requests = history.requests.copy()
    for name in ("due_ns", "sent_ns", "done_ns"):
        requests[name] += shift
    moved = replace(
        history,
        requests=requests,
        window=replace(
            history.window,
            load_start_ns=history.window.load_start_ns + shift,
            baseline_start_ns=history.window.baseline_start_ns + shift,
            observe_end_ns=history.window.observe_end_ns + shift,
        ),
        faults=tuple(
            replace(
                f,
                commanded_ns=f.commanded_ns + shift,
                acknowledged_ns=f.acknowledged_ns + shift,
                verified_ns=f.verified_ns + shift,
                heal_commanded_ns=f.heal_commanded_ns + shift,
                healed_ns=f.healed_ns + shift,
                felt_healed_ns=f.felt_healed_ns + shift,
            )
            for f in history.faults
        ),
        observations=tuple(
            replace(o, sent_ns=o.sent_ns + shift, done_ns=o.done_ns + shift)
            for o in history.observations
        ),
    )
    assert timeless(measure_trial(moved)) == timeless(measure_trial(history))
    assert timeline(moved) == timeline(history)


@quick
@given(histories(), st.integers(0, 10**6))
def test_the_order_of_the_records_does_not_matter(history, seed):
    shuffled = np.random.default_rng(seed).permutation(history.requests)
    assert measure_trial(replace(history, requests=shuffled)) == measure_trial(history)


@quick
@given(histories(), st.integers(0, 10**6))
def test_more_good_requests_never_lengthen_an_outage(history, seed):
    before = View(history)
    rng = np.random.default_rng(seed)
    extra = empty(25)
    low, high = before.observed
    extra["due_ns"] = extra["sent_ns"] = rng.integers(low, high - MS, extra.size)
    extra["done_ns"] = extra["due_ns"] + rng.integers(1, MS, extra.size)
    extra["outcome"] = int(Outcome.OK)
    after = View(replace(history, requests=np.concatenate([history.requests, extra])))

    def longest(view):
        return max((o.end_ns - o.start_ns for o in view.all_outages["write"]), default=0)

    assert longest(after) <= longest(before)


@quick
@given(histories())
def test_the_classes_add_up_in_every_phase_and_the_phases_cover_the_run(history):
    view = View(history)
    for track in view.tracks.values():
        for phase in PHASES:
            counts = view.counts(track, view.spans[phase])
            assert counts.pop("due") == sum(counts.values())
        parts = [view.counts(track, view.spans[p])["due"] for p in ("baseline", "run")]
        assert parts[0] <= parts[1] == len(track)
    spans = view.spans
    assert spans["recovery"][1] == spans["recovered"][0]
    assert all(a <= b for a, b in spans.values())


@quick
@given(histories())
def test_every_bracket_contains_its_value(history):
    found = measure_trial(history)
    every = [
        found.client_outage,
        found.failover_time,
        found.bad_time,
        found.goodput_gap,
        found.max_stall,
        *found.phases.values(),
        *(
            one
            for one in (found.time_to_detect, found.time_to_steady, found.gray_time)
            if one is not None
        ),
    ]
    for one in every:
        if one.applicable:
            assert 0 <= one.low_s <= one.value_s
            assert (one.high_s is None) == one.censored
            assert one.high_s is None or one.value_s <= one.high_s


@quick
@given(histories())
def test_the_phases_sum_to_the_failover_time(history):
    found = measure_trial(history)
    if found.phases:
        total = sum(round(p.value_s * 1e9) for p in found.phases.values())
        assert total == round(found.failover_time.value_s * 1e9)


@given(
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**9),
    st.lists(st.integers(-(10**10), 10**10), min_size=1, max_size=6),
)
def test_parts_sum_exactly_wherever_the_marks_fall(start, length, times):
    marks = [(f"p{i}", t) for i, t in enumerate(times)]
    parts = split(start, marks, start + length)
    assert sum(ns for _, ns in parts) == length
    assert all(ns >= 0 for _, ns in parts)
    assert {name for name, _ in parts} == {name for name, _ in marks}


@quick
@given(histories())
def test_a_timeline_shows_every_request_once(history):
    view = View(history)
    shown = timeline(history)
    for name, track in view.tracks.items():
        assert sum(map(sum, shown.outcomes[name].values())) == len(track)
    bins = {len(row) for rows in shown.outcomes.values() for row in rows.values()}
    assert bins == {len(shown.latency["max"])}
