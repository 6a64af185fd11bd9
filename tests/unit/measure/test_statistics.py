"""Exact methods against published tables and against their own exact coverage."""

import math
import random

import pytest

from chaoskit.measure.statistics import (
    exceedance_lower,
    exceedance_upper,
    median,
    median_interval,
    quantile_lower,
    quantile_upper,
    trials_needed,
)


@pytest.mark.parametrize(
    ("n", "ranks", "coverage"),
    [
        (6, (1, 6), 0.969),
        (8, (1, 8), 0.992),
        (9, (2, 8), 0.961),
        (10, (2, 9), 0.979),
        (15, (4, 12), 0.965),
        (20, (6, 15), 0.959),
        (30, (10, 21), 0.957),
    ],
)
def test_the_interval_of_the_median_is_that_of_the_tables(n, ranks, coverage):
    found = median_interval(range(1, n + 1))
    assert (found.low_rank, found.high_rank) == ranks == (found.low, found.high)
    assert found.coverage == pytest.approx(coverage, abs=0.0006)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_below_six_trials_the_median_has_no_interval(n):
    assert median_interval([1.0] * n) is None


def test_the_interval_of_the_median_covers_as_often_as_it_says():
    rng = random.Random(3)
    hits, runs, n = 0, 4000, 9
    for _ in range(runs):
        found = median_interval([rng.lognormvariate(0, 1) for _ in range(n)])
        hits += found.low <= 1.0 <= found.high  # the median of this distribution is 1
    error = math.sqrt(found.coverage * (1 - found.coverage) / runs)
    assert hits / runs == pytest.approx(found.coverage, abs=4 * error)
    assert found.coverage >= 0.95


def test_censored_trials_sort_last():
    assert median([1.0, math.inf, 2.0]) == 2.0
    assert median([1.0, math.inf, math.inf]) == math.inf
    found = median_interval([1, 2, 3, 4, 5, 6, 7, math.inf, math.inf])
    assert (found.low, found.high) == (2, math.inf)


@pytest.mark.parametrize(
    ("n", "percent"),
    [(5, 45), (9, 28), (10, 26), (20, 13.9), (30, 9.5), (59, 4.95), (299, 1.0)],
)
def test_no_exceedance_in_n_trials_leaves_this_much_open(n, percent):
    assert exceedance_upper(0, n) * 100 == pytest.approx(percent, rel=0.02)
    assert exceedance_upper(0, n) == pytest.approx(1 - 0.05 ** (1 / n), abs=1e-9)


def test_exceedance_bounds_are_those_of_clopper_and_pearson():
    assert exceedance_upper(1, 10) == pytest.approx(0.3942, abs=1e-4)  # beta.ppf(.95, 2, 9)
    assert exceedance_lower(1, 10) == pytest.approx(0.005116, abs=1e-6)  # beta.ppf(.05, 1, 10)
    assert exceedance_lower(0, 10) == 0.0
    assert exceedance_upper(10, 10) == 1.0
    assert exceedance_lower(10, 10) == pytest.approx(0.05**0.1, abs=1e-9)
    with pytest.raises(ValueError, match="not a share"):
        exceedance_upper(3, 2)
    with pytest.raises(ValueError, match="not a share"):
        exceedance_lower(-1, 2)


@pytest.mark.parametrize(
    ("q", "needed"),
    [
        (0.5, (5, 8, 11)),
        (0.25, (11, 18, 23)),
        (0.2, (14, 22, 30)),
        (0.1, (29, 46, 61)),
        (0.05, (59, 93, 124)),
        (0.01, (299, 473, 628)),
    ],
)
def test_so_many_trials_are_needed_allowing_none_one_or_two(q, needed):
    assert tuple(trials_needed(q, allowed) for allowed in (0, 1, 2)) == needed


@pytest.mark.parametrize(("q", "n"), [(0.9, 29), (0.95, 59), (0.99, 299)])
def test_the_largest_bounds_a_percentile_from_these_numbers_of_trials_on(q, n):
    assert quantile_upper(range(n), q) == n - 1
    assert quantile_upper(range(n - 1), q) is None


def test_a_lower_bound_of_a_percentile_lies_below_it():
    assert quantile_lower(range(1, 60), 0.95) < 57
    assert quantile_lower([1.0], 0.05) is None
    assert quantile_lower(range(1, 6), 0.5) == 1  # 1 - 1/32


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="no values"):
        median([])
    with pytest.raises(ValueError, match="between 0 and 1"):
        trials_needed(0)
