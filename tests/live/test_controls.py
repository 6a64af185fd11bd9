"""A dozen scripted outages through the real load: whole, partial, flapping; short and long."""

import importlib.util
import random
from pathlib import Path

import pytest

from chaoskit.clock import NS
from chaoskit.judge.validity import Gates, reasons
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.outage import find_outages
from chaoskit.measure.view import View

spec = importlib.util.spec_from_file_location("rig", Path(__file__).with_name("rig.py"))
rig = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rig)

RATE, TRIES = 200, 4
GATES = Gates(baseline_s=1.0, baseline_requests=100, stable_s=0.0)
PHASE = random.Random(11)  # each control begins at another point of the comb
WRITES = ["POST", "PUT"]
WHOLE = [
    (style, seconds, None)
    for style, lengths in {
        "refuse": (0.15, 0.6, 3.0),
        "503": (0.1, 1.7),
        "drop": (0.25, 2.0),
        "stall": (0.4, 10.0),
    }.items()
    for seconds in lengths
]
PARTIAL = [("503", 0.8, WRITES), ("drop", 0.5, WRITES), ("stall", 0.7, WRITES)]


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("style", "seconds", "only"), WHOLE + PARTIAL)
def test_the_bracket_holds_and_the_estimate_is_within_an_interval(tmp_path, style, seconds, only):
    after, seen = 2.0 + PHASE.random() / RATE, []
    for n in range(TRIES):
        history, (began, ended) = rig.record_outage(
            tmp_path / str(n), style, for_s=seconds, rate=RATE, after_s=after, only=only
        )
        view = View(history)
        seen = reasons(view, GATES)
        if not seen:
            break
    else:
        pytest.fail(f"no valid trial in {TRIES}: {seen}")
    truth = (ended - began) / NS
    metrics = measure_view(view)
    outage, gap = metrics.client_outage, metrics.goodput_gap
    sent = history.requests[history.requests["sent_ns"] > 0]
    lag = float((sent["sent_ns"] - sent["due_ns"]).max()) / NS
    assert outage.low_s <= truth <= outage.high_s
    assert gap.low_s <= truth <= gap.high_s
    assert abs(outage.value_s - truth) < 1 / RATE + lag
    if only is not None:  # reads went on, but for what a busy machine delays
        reads = view.tracks["read"]
        longest = max(
            ((o.end_ns - o.start_ns) / NS for o in find_outages(reads, view.observed[1])),
            default=0.0,
        )
        assert longest < truth / 2 + lag


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("style", "seconds"), [("refuse", 0.4), ("503", 0.3)])
def test_of_a_service_that_flaps_every_outage_is_counted_and_the_longest_bracketed(
    tmp_path, style, seconds
):
    seen = []
    for n in range(TRIES):
        facts = {}
        history, _ = rig.record_outage(
            tmp_path / str(n), style, for_s=seconds, rate=RATE, facts=facts, flap=(3, 0.4)
        )
        view = View(history)
        seen = reasons(view, GATES)
        if not seen:
            break
    else:
        pytest.fail(f"no valid trial in {TRIES}: {seen}")
    lengths = [(ended - began) / NS for began, ended in facts["spans"]]
    metrics = measure_view(view)
    assert len(view.outages(view.headline)) == 3
    assert metrics.flaps.count >= 3
    assert metrics.client_outage.low_s <= max(lengths)
    assert min(lengths) <= metrics.client_outage.high_s
    assert metrics.bad_time.low_s <= sum(lengths) <= metrics.bad_time.high_s + 3 / RATE
