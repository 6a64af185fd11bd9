"""How far a sample may be off: the interval covers, also where requests are slow together."""

import math

import numpy as np
import pytest
from scipy import stats

from chaoskit.measure.sampling import design_effect, mean_span, quantile_span, share_span

RUNS = 1000


def alone(rng, n):
    """Independent latencies with a tail."""
    return rng.lognormal(-6.5, 0.5, n)


def together(rng, n):
    """The same, and now and then a breath of the machine that delays eight in a row."""
    slow = np.convolve(rng.random(n + 8) < 0.004, np.ones(8), "valid")[:n]
    return alone(rng, n) + 0.005 * slow


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("draw", "n"), [(alone, 400), (alone, 1200), (alone, 3200), (together, 1200), (together, 3200)]
)
def test_the_interval_of_a_quantile_covers_it(draw, n, q):
    truth = np.quantile(draw(np.random.default_rng(1), 2_000_000), q)
    rng = np.random.default_rng(2)
    spans = [quantile_span(draw(rng, n), q) for _ in range(RUNS)]
    covered = sum(low <= truth <= high for low, high in spans) / RUNS
    assert covered >= 0.93  # 95 % but for the scatter of the simulation and of the estimated deff
    assert any(high < 2 * truth for _, high in spans)


def test_slow_ones_in_a_row_are_worth_less_and_would_not_be_covered_without_that():
    rng = np.random.default_rng(3)
    truth = np.quantile(together(np.random.default_rng(1), 2_000_000), 0.99)
    covered = {True: 0, False: 0}
    for _ in range(RUNS):
        sample = together(rng, 1200)
        mixed = rng.permutation(sample)  # as if each were alone
        for rows, values in ((True, sample), (False, mixed)):
            low, high = quantile_span(values, 0.99)
            covered[rows] += low <= truth <= high
    assert covered[True] >= 0.93 * RUNS
    assert covered[False] < 0.9 * RUNS


@pytest.mark.parametrize("n", [30, 100, 1000, 5000])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_alone_its_ranks_are_scipys(monkeypatch, n, q):
    monkeypatch.setattr("chaoskit.measure.sampling.design_effect", lambda hits: 1.0)
    values = np.arange(1.0, n + 1)
    found = stats.quantile_test(values, q=0, p=q).confidence_interval(0.95)
    low, high = quantile_span(values, q)
    assert low == (0.0 if math.isnan(found.low) else found.low)
    assert high == (math.inf if math.isnan(found.high) else found.high)


def test_too_few_have_no_upper_end():
    assert quantile_span(np.array([0.002]), 0.99) == (0.002, math.inf)
    assert quantile_span(np.linspace(0.001, 0.002, 200), 0.99)[1] == math.inf
    assert quantile_span(np.tile([0.001, 0.002], 500), 0.99) == (0.002, 0.002)


@pytest.mark.parametrize(("k", "n"), [(0, 400), (3, 400), (400, 400), (13, 2000)])
def test_the_interval_of_a_share_is_clopper_and_pearsons(k, n):
    bad = np.zeros(n, dtype=bool)
    bad[np.linspace(0, n - 1, k).astype(int)] = True
    exact = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert share_span(bad) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert share_span(bad[:0]) == (0.0, 1.0)


def test_bad_ones_in_a_row_make_the_share_less_sure():
    row, spread = np.zeros(2000, dtype=bool), np.zeros(2000, dtype=bool)
    row[500:540], spread[::50] = True, True
    assert design_effect(spread) == 1.0
    assert design_effect(row) == pytest.approx(40, rel=0.1)
    assert share_span(row)[1] > share_span(spread)[1]
    assert share_span(row)[0] < share_span(spread)[0]


def test_ten_million_requests_are_told_in_a_breath_and_no_surer_than_ten_thousand():
    bad = np.zeros(1_000_000, dtype=bool)
    bad[::100] = True
    assert share_span(bad) == pytest.approx(share_span(bad[:10_000]), abs=1e-9)


@pytest.mark.parametrize("draw", [alone, together])
def test_the_interval_of_a_mean_covers_it(draw):
    truth = draw(np.random.default_rng(1), 2_000_000).mean()
    rng = np.random.default_rng(5)
    spans = [mean_span(draw(rng, 1200)) for _ in range(RUNS)]
    assert sum(low <= truth <= high for low, high in spans) >= 0.9 * RUNS
    assert mean_span(np.ones(19)) == (0.0, math.inf)


def test_alone_means_that_a_burst_counts_in_full():
    rng = np.random.default_rng(9)
    took = alone(rng, 1000)
    took[300:330] += 0.1
    for q, floor in ((0.99, 0.1), (0.98, 0.1)):
        assert quantile_span(took, q, alone=True)[0] > floor
        assert quantile_span(took, q)[0] < floor
    assert mean_span(took, alone=True)[0] > 0.003
    assert mean_span(took)[0] < 0.001
    slow = took > 0.1
    assert share_span(slow, alone=True)[0] > 0.02 > share_span(slow)[0]
