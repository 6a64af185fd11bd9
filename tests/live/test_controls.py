"""A dozen scripted outages through the real load: whole, partial, flapping; short and long."""

import random

import pytest

from chaoskit.clock import NS
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.outage import find_outages
from live import rig

pytestmark = pytest.mark.loopback

RATE = 200
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
    after = 2.0 + PHASE.random() / RATE
    how = {"for_s": seconds, "rate": RATE, "after_s": after, "only": only}
    view, (began, ended) = rig.valid(
        tmp_path, lambda folder: rig.record_outage(folder, style, **how)
    )
    history, truth, metrics = view.history, (ended - began) / NS, measure_view(view)
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
    facts = {}
    how = {"for_s": seconds, "rate": RATE, "facts": facts, "flap": (3, 0.4)}
    view, _ = rig.valid(tmp_path, lambda folder: rig.record_outage(folder, style, **how))
    lengths = [(ended - began) / NS for began, ended in facts["spans"]]
    metrics = measure_view(view)
    assert len(view.outages(view.headline)) == 3
    assert metrics.flaps.count >= 3
    assert metrics.client_outage.low_s <= max(lengths)
    assert min(lengths) <= metrics.client_outage.high_s
    assert metrics.bad_time.low_s <= sum(lengths) <= metrics.bad_time.high_s + 3 / RATE
