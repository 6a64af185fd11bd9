"""Our exact methods against scipy's, written by others: an oracle for tests only."""

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from chaoskit.measure.shift import Observed, cliffs_delta, mann_whitney_p, shift
from chaoskit.measure.statistics import (
    exceedance_lower,
    exceedance_upper,
    median_interval,
    more_often,
    quantile_lower,
    quantile_upper,
    trials_needed,
)

CASES = [(k, n) for n in (1, 3, 10, 30, 59, 299) for k in {0, 1, n // 3, n - 1, n} if k <= n]


@pytest.mark.parametrize(("k", "n"), CASES)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9875])
def test_exceedance_bounds_are_those_of_clopper_and_pearson(k, n, confidence):
    exact = stats.binomtest(k, n).proportion_ci(2 * confidence - 1, method="exact")
    assert exceedance_upper(k, n, confidence) == pytest.approx(exact.high, abs=1e-9)
    assert exceedance_lower(k, n, confidence) == pytest.approx(exact.low, abs=1e-9)


@pytest.mark.parametrize("n", [6, 7, 9, 10, 15, 30, 59, 200])
def test_the_ranks_of_the_median_are_those_of_the_binomial_distribution(n):
    found = median_interval(range(1, n + 1))
    scipys = stats.quantile_test(range(1, n + 1), q=0, p=0.5).confidence_interval(0.95)
    # scipy splits the error evenly too, so both take the same pair of order statistics
    assert (found.low, found.high) == (scipys.low, scipys.high)
    k = found.low_rank
    assert found.coverage == pytest.approx(1 - 2 * stats.binom.cdf(k - 1, n, 0.5), abs=1e-12)


@pytest.mark.parametrize(("q", "n"), [(0.9, 29), (0.9, 60), (0.95, 59), (0.95, 124), (0.5, 20)])
def test_the_bounds_of_a_percentile_are_those_of_the_quantile_test(q, n):
    values = list(range(1, n + 1))
    upper = stats.quantile_test(values, q=0, p=q, alternative="less").confidence_interval(0.95)
    lower = stats.quantile_test(values, q=0, p=q, alternative="greater").confidence_interval(0.95)
    assert quantile_upper(values, q) == upper.high
    assert quantile_lower(values, q) == lower.low


@pytest.mark.parametrize("k", range(8))
@pytest.mark.parametrize("others", [(0, 9), (1, 10), (7, 30), (5, 5)])
def test_more_often_is_fishers_exact_test(k, others):
    table = [[k, 7 - k], [others[0], others[1] - others[0]]]
    p = stats.fisher_exact(table, alternative="greater").pvalue
    assert more_often(k, 7, *others) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize("q", [0.5, 0.25, 0.1, 0.05, 0.01])
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_so_many_trials_are_needed_by_scipys_binomial_too(q, allowed):
    n = trials_needed(q, allowed)
    assert stats.binom.cdf(allowed, n, q) <= 0.05 < stats.binom.cdf(allowed, n - 1, q)


def sample(rng, n, *, ties=False):
    values = [rng.lognormvariate(1, 0.4) for _ in range(n)]
    return [round(v, 0 if ties else 9) for v in values]


@pytest.mark.parametrize(("m", "n"), [(3, 3), (4, 7), (10, 10), (8, 25)])
def test_p_is_that_of_mann_and_whitney_exactly(m, n):
    rng = random.Random(m * 100 + n)
    for _ in range(10):
        base, new = sample(rng, m), sample(rng, n)
        ours = mann_whitney_p([*map(Observed, base)], [*map(Observed, new)])
        exact = stats.mannwhitneyu(new, base, alternative="two-sided", method="exact")
        assert ours == pytest.approx(exact.pvalue, rel=1e-9)
        delta = cliffs_delta([*map(Observed, base)], [*map(Observed, new)])
        assert delta == pytest.approx(2 * exact.statistic / (m * n) - 1, abs=1e-12)


@pytest.mark.parametrize(("m", "n"), [(4, 4), (5, 6)])
def test_with_ties_p_is_that_of_every_permutation(m, n):
    rng = random.Random(n)
    for _ in range(5):
        base, new = sample(rng, m, ties=True), sample(rng, n, ties=True)
        ranks = stats.rankdata([*new, *base])
        sums = [
            float(ranks[list(chosen)].sum()) for chosen in itertools.combinations(range(m + n), n)
        ]
        seen = float(ranks[:n].sum())
        tail = min(sum(s <= seen for s in sums), sum(s >= seen for s in sums)) / len(sums)
        ours = mann_whitney_p([*map(Observed, base)], [*map(Observed, new)])
        assert ours == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


@pytest.mark.parametrize(("m", "n"), [(4, 4), (6, 9), (10, 10), (20, 15)])
def test_the_shift_and_its_interval_are_those_that_invert_scipys_exact_test(m, n):
    """Hodges-Lehmann: every shift inside is one that the exact test does not reject, none outside."""
    rng = random.Random(m + n)
    base, new = sample(rng, m), sample(rng, n)
    found = shift([*map(Observed, base)], [*map(Observed, new)])
    differences = sorted(y - x for x in base for y in new)
    assert found.point == pytest.approx(float(np.median(differences)))
    step = 1e-7

    def p(by):
        moved = [y - by for y in new]
        return stats.mannwhitneyu(moved, base, alternative="two-sided", method="exact").pvalue

    assert p(found.low - step) <= 0.05 < p(found.low + step)
    assert p(found.high + step) <= 0.05 < p(found.high - step)


# ---------------------------------------------------------------- simulated coverage

CAMPAIGNS = 4000


def near(hits, runs, exact):
    """Within four standard errors of the simulation."""
    return abs(hits / runs - exact) <= 4 * math.sqrt(exact * (1 - exact) / runs) + 1e-9


@pytest.mark.parametrize("n", [6, 10, 30])
@pytest.mark.parametrize("until", [math.inf, 1.3])
def test_the_interval_of_the_median_covers_as_often_as_it_says(n, until):
    """``until``: trials that take longer never end; the true median, 1, is below it."""
    rng, hits = random.Random(n), 0
    for _ in range(CAMPAIGNS):
        drawn = (rng.lognormvariate(0, 0.5) for _ in range(n))
        found = median_interval([v if v < until else math.inf for v in drawn])
        hits += found.low <= 1.0 <= found.high
    assert found.coverage >= 0.95
    assert near(hits, CAMPAIGNS, found.coverage)


@pytest.mark.parametrize(("n", "p"), [(10, 0.1), (30, 0.05), (59, 0.05), (59, 0.3)])
def test_clopper_and_pearson_cover_at_least_95_percent_and_as_exactly_computed(n, p):
    rng = random.Random(n)
    upper = [exceedance_upper(k, n) for k in range(n + 1)]
    exact = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if p <= upper[k])
    hits = sum(p <= upper[sum(rng.random() < p for _ in range(n))] for _ in range(CAMPAIGNS))
    assert exact >= 0.95
    assert near(hits, CAMPAIGNS, exact)


@pytest.mark.parametrize(("n", "until"), [(6, math.inf), (10, math.inf), (10, 5.0)])
def test_the_interval_of_the_shift_covers_as_often_as_it_says(n, until):
    rng, hits, true = random.Random(n), 0, 0.4

    def observed(value):
        return Observed(value) if value < until else Observed(until, ended=False)

    runs = 1500
    for _ in range(runs):
        base = [observed(rng.lognormvariate(1, 0.5)) for _ in range(n)]
        new = [observed(rng.lognormvariate(1, 0.5) + true) for _ in range(n)]
        found = shift(base, new)
        hits += found.low <= true <= found.high
    assert found.coverage >= 0.95
    if until == math.inf:
        assert near(hits, runs, found.coverage)
    else:  # a trial without an end only widens the interval
        assert hits / runs >= found.coverage - 4 * math.sqrt(0.05 * 0.95 / runs)


def test_an_interval_too_narrow_would_be_found():
    rng, hits = random.Random(1), 0
    for _ in range(CAMPAIGNS):
        values = sorted(rng.lognormvariate(0, 0.5) for _ in range(10))
        hits += values[2] <= 1.0 <= values[7]  # one rank too narrow: 89 %
    assert not near(hits, CAMPAIGNS, median_interval(range(10)).coverage)
