"""The positive control: an outage of known length, through the real load and the real measure."""

import pytest

from chaoskit.clock import NS
from chaoskit.history.records import Outcome
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.view import View
from live import rig

pytestmark = pytest.mark.loopback

RATE = 200


def valid_outage(folder, style, for_s):
    view, truth = rig.valid(
        folder, lambda inner: rig.record_outage(inner, style, for_s=for_s, rate=RATE)
    )
    return view.history, measure_view(view), truth


def worst_lag_s(history):
    sent = history.requests[history.requests["sent_ns"] > 0]
    return float((sent["sent_ns"] - sent["due_ns"]).max()) / NS


@pytest.mark.timeout(120)
@pytest.mark.parametrize("style", ["refuse", "stall", "drop", "503"])
def test_the_outage_of_one_second_is_bracketed_and_estimated_within_one_interval(tmp_path, style):
    history, metrics, (began, ended) = valid_outage(tmp_path, style, for_s=1.0)
    truth = (ended - began) / NS
    outage = metrics.client_outage
    assert outage.low_s <= truth <= outage.high_s
    assert abs(outage.value_s - truth) < 1 / RATE + worst_lag_s(history)
    assert not outage.censored
    assert metrics.lost_writes.count == 0


@pytest.mark.timeout(120)
def test_every_request_due_in_a_stall_is_really_sent(tmp_path):
    history, _metrics, (began, ended) = valid_outage(tmp_path, "stall", for_s=2.0)
    requests = history.requests
    inside = requests[(requests["due_ns"] > began) & (requests["due_ns"] < ended)]
    due = sum(stream.rate for stream in history.streams) * (ended - began) / NS
    assert len(inside) > 0.98 * due
    sent = inside[inside["outcome"] != Outcome.NOT_SENT]
    assert len(sent) >= 0.99 * len(inside)


@pytest.mark.timeout(120)
def test_a_stub_without_an_outage_shows_none(tmp_path):
    history, truth = rig.record_outage(tmp_path / "clean", "none", for_s=0.5, rate=RATE)
    metrics = measure_view(View(history))
    assert metrics.client_outage.value_s <= 2 * worst_lag_s(history)
    assert metrics.lost_writes.count == 0
    assert truth[1] > truth[0]
