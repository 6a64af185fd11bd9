"""Bounds of a share that cost the same for any number of requests."""

import pytest

from chaoskit.measure.chernoff import share_lower, share_upper
from chaoskit.measure.statistics import binomial_cdf, exceedance_lower, exceedance_upper

SHARES = [(0, 10), (1, 10), (5, 21), (10, 10), (0, 300), (3, 300), (200, 1000), (999, 1000)]


@pytest.mark.parametrize(("k", "n"), SHARES)
def test_they_lie_outside_the_exact_ones_and_not_far(k, n):
    low, high = share_lower(k, n, 0.99), share_upper(k, n, 0.99)
    assert low <= exceedance_lower(k, n, 0.99) + 1e-12
    assert exceedance_upper(k, n, 0.99) <= high + 1e-12
    assert low <= k / n <= high
    assert high - low <= 1.6 * (exceedance_upper(k, n, 0.99) - exceedance_lower(k, n, 0.99))


def test_of_none_it_is_the_exact_one():
    assert share_upper(0, 300, 0.99) == pytest.approx(1 - 0.01 ** (1 / 300), rel=1e-9)
    assert share_lower(300, 300, 0.99) == pytest.approx(0.01 ** (1 / 300), rel=1e-9)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5])
@pytest.mark.parametrize("n", [20, 400])
def test_they_are_wrong_no_more_often_than_they_say(p, n):
    """Over every k that may come, with its probability."""
    chance = [binomial_cdf(k, n, p) - binomial_cdf(k - 1, n, p) for k in range(n + 1)]
    above = sum(c for k, c in enumerate(chance) if share_lower(k, n, 0.99) > p)
    below = sum(c for k, c in enumerate(chance) if share_upper(k, n, 0.99) < p)
    assert above <= 0.01
    assert below <= 0.01


def test_of_ten_million_they_are_as_near_as_they_should_be():
    assert share_lower(2_000_000, 10_000_000, 0.99) == pytest.approx(0.2, abs=0.0005)
    assert share_upper(2_000_000, 10_000_000, 0.99) == pytest.approx(0.2, abs=0.0005)


def test_of_nothing_nothing_is_known():
    assert (share_lower(0, 0, 0.99), share_upper(0, 0, 0.99)) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3)])
def test_what_is_no_share_is_refused(k, n):
    with pytest.raises(ValueError, match="not a share"):
        share_lower(k, n, 0.99)
