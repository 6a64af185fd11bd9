"""Expected failover times against published constants and against a simulation."""

import random

import pytest

from chaoskit.stack.band import expected_band, graceful
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
    "interval=100ms misses=3 timeout=50ms promotion=50ms reroute=20ms": (0.27, 0.42),
    "interval=100ms misses=3 timeout=50ms promotion=50ms reroute=0s-150ms": (0.25, 0.55),
    "kind=vrrp interval=1s reroute=100ms-1s": (2.709375, 4.609375),
    "kind=lease ttl=30s interval=10s promotion=2s reroute=3s-6s": (23.0, 48.0),  # HAProxy, 3 s
    "kind=sentinel down-after=2s reroute=50ms": (1.05, 6.05),
}


@pytest.mark.parametrize("text", BANDS)
def test_a_band_follows_its_formula(text):
    found = band(text)
    assert (found.low_s, found.high_s) == pytest.approx(BANDS[text])
    assert found.formula


def test_what_rerouting_adds_is_shown_in_the_formula():
    assert band("interval=1s reroute=0s-150ms").formula.endswith("each + reroute 0s to 150ms")
    assert band("interval=1s reroute=20ms").formula.endswith("each + reroute 20ms")
    assert "reroute" not in band("interval=1s").formula


def test_who_hands_over_need_not_be_detected():
    crash = band("interval=100ms misses=3 timeout=50ms promotion=50ms")
    asked = graceful(crash)
    assert (asked.low_s, asked.high_s) == (0.0, crash.high_s)
    assert crash.formula in asked.formula
    assert "handed over" in asked.formula


def test_a_simulated_check_by_a_proxy_always_falls_into_its_band_and_fills_it():
    """The new primary is there at a random phase of the checks; each takes up to its timeout."""
    rng = random.Random(4)
    inter, timeout, interval, misses = 0.1, 0.05, 0.1, 3
    found = band("interval=100ms misses=3 reroute=0s-150ms")
    seen = []
    for _ in range(5000):
        detected = misses * interval - rng.uniform(0, interval)
        seen.append(detected + rng.uniform(0, inter) + rng.uniform(0, timeout))
    assert found.low_s <= min(seen)
    assert max(seen) <= found.high_s
    assert max(seen) - min(seen) > 0.8 * (found.high_s - found.low_s)
    assert max(seen) > band("interval=100ms misses=3").high_s, "without it, it would be too slow"


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


def test_a_simulated_lease_always_falls_into_its_band_and_fills_it():
    """As Patroni does: renewed every interval, looked at as often by who waits, then promoted."""
    rng = random.Random(2)
    ttl, interval, promotion = 20.0, 1.0, 3.0
    found = band("kind=lease ttl=20s interval=1s promotion=3s")
    seen = []
    for _ in range(5000):
        died = rng.uniform(0, interval)  # since the last renewal
        look = rng.uniform(0, interval)  # until the other one sees that it has lapsed
        seen.append(ttl - died + look + rng.uniform(0, promotion))
    assert found.low_s <= min(seen)
    assert max(seen) <= found.high_s
    assert max(seen) - min(seen) > 0.8 * (found.high_s - found.low_s)
    # One that is renewed half as often is faster than this band allows, and would be told.
    assert min(ttl - rng.uniform(0, 2 * interval) for _ in range(100)) < found.low_s


@pytest.mark.parametrize("priority", [1, 100, 254])
def test_a_simulated_vrrp_router_always_falls_into_its_band_and_fills_it(priority):
    """RFC 5798: a backup waits for three intervals and its skew since the last advertisement."""
    rng = random.Random(3)
    found = band(f"kind=vrrp interval=1s priority={priority}")
    skew = (256 - priority) / 256
    seen = [3 + skew - rng.uniform(0, 1) for _ in range(5000)]
    assert found.low_s <= min(seen)
    assert max(seen) <= found.high_s
    assert max(seen) - min(seen) > 0.8 * (found.high_s - found.low_s)
