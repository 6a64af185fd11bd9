"""Expected failover times against published constants and against a simulation."""

import random

import pytest

from chaoskit.stack.band import expected_band
from chaoskit.stack.model import Service, Stack


def band(*detectors):
    services = {
        f"s{n}": Service(f"s{n}", {"chaoskit.detector": text} if text else {})
        for n, text in enumerate(detectors)
    }
    return expected_band(Stack("x", "x", services))


def test_no_declaration_means_no_band():
    assert band(None, None) is None


# Arithmetic of each: the fault falls anywhere between two heartbeats, so the span is one interval.
BANDS = {
    "interval=100ms misses=3 timeout=50ms promotion=50ms": (0.25, 0.40),
    "interval=1s": (0.0, 1.0),
    "kind=vrrp interval=1s": (2.609375, 3.609375),  # keepalived, priority 100
    "kind=vrrp interval=1s priority=128": (2.5, 3.5),
    "kind=vrrp interval=1s priority=254": (2.0078125, 3.0078125),
    "kind=lease ttl=30s interval=10s promotion=2s": (20.0, 42.0),  # Patroni's defaults
    "kind=sentinel down-after=2s": (1.0, 6.0),
    "kind=sentinel down-after=30s": (29.0, 34.0),
    "kind=sentinel down-after=500ms": (0.0, 4.5),
}


@pytest.mark.parametrize("text", BANDS)
def test_a_band_follows_its_formula(text):
    found = band(text)
    assert (found.low_s, found.high_s) == pytest.approx(BANDS[text])
    assert found.formula


def test_the_same_declaration_on_both_nodes_is_one_band():
    text = "interval=100ms misses=3"
    assert band(text, None, text) == band(text)


def test_different_declarations_span_all():
    found = band("interval=100ms misses=3", "interval=1s misses=3")
    assert (found.low_s, found.high_s) == (pytest.approx(0.2), pytest.approx(3.0))
    assert " or " in found.formula


def test_a_simulated_heartbeat_detector_always_falls_into_its_band_and_fills_it():
    """The node dies at a random phase; the k-th heartbeat due after that and unanswered is a miss."""
    rng = random.Random(1)
    interval, misses, timeout, promotion = 0.1, 3, 0.05, 0.02
    found = band("interval=100ms misses=3 timeout=50ms promotion=20ms")
    seen = []
    for _ in range(5000):
        died = rng.uniform(0, interval)  # heartbeats are due at 0.1, 0.2, 0.3
        answer = rng.uniform(0, timeout)  # a refused connection is known at once, silence later
        seen.append(misses * interval - died + answer + promotion)
    assert found.low_s <= min(seen)
    assert max(seen) <= found.high_s
    width = found.high_s - found.low_s
    assert max(seen) - min(seen) > 0.8 * width
