"""The shift between two sets of trials, against enumeration of every order and by simulation."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from chaoskit.measure.shift import (
    EXACT_UP_TO,
    LEAST_TRIALS,
    Observed,
    cliffs_delta,
    least_p,
    mann_whitney_p,
    shift,
    trials_to_decide,
    u_counts,
)

CAMPAIGNS = 1_500


def observed(*values):
    return [Observed(value) for value in values]


def u_of(base, new):
    """Pairs in which NEW is larger; a tie is a half."""
    return sum((y > x) + Fraction(x == y, 2) for x in base for y in new)


def splits(values, n):
    """Every way to call ``n`` of the values NEW: what chance alone could have done."""
    for chosen in itertools.combinations(range(len(values)), n):
        new = [values[i] for i in chosen]
        yield [v for i, v in enumerate(values) if i not in chosen], new


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 4), (2, 3), (3, 3), (4, 4), (3, 6), (5, 5)])
def test_the_distribution_is_that_of_all_orders(m, n):
    counted = [0] * (m * n + 1)
    for base, new in splits(list(range(m + n)), m):
        counted[int(u_of(base, new))] += 1
    assert list(u_counts(m, n)) == counted
    assert sum(counted) == math.comb(m + n, m)


@pytest.mark.parametrize(
    ("base", "new"),
    [
        ([1, 2, 3], [4, 5, 6]),
        ([1, 2, 3, 4], [5, 6, 7, 8]),
        ([1, 5, 3, 9], [2, 4, 8]),
        ([1, 1, 2, 2], [2, 2, 3, 3]),
        ([1, 1, 1], [1, 1, 1]),
        ([1, 2, 2, math.inf], [3, math.inf, math.inf, 4, 2]),
    ],
)
def test_p_is_the_share_of_splits_that_are_as_far_out_on_either_side(base, new):
    seen = u_of(base, new)
    all_u = [u_of(*split) for split in splits([*base, *new], len(new))]
    tail = min(sum(u <= seen for u in all_u), sum(u >= seen for u in all_u))
    given = [[Observed(9.0, v < math.inf) if v == math.inf else Observed(v) for v in side]
             for side in (base, new)]  # fmt: skip
    assert mann_whitney_p(*given) == pytest.approx(min(1.0, 2 * tail / len(all_u)))


def test_three_against_three_cannot_show_anything_and_four_against_four_can():
    assert least_p(3, 3) == pytest.approx(0.10)
    assert least_p(4, 4) == pytest.approx(0.0286, abs=1e-4)
    worst = shift(observed(1, 2, 3), observed(1001, 1002, 1003))
    assert (worst.coverage, worst.low, worst.high) == (None, -math.inf, math.inf)
    assert worst.p == pytest.approx(0.10)
    four = shift(observed(1, 2, 3, 4), observed(11, 12, 13, 14))
    assert four.coverage == pytest.approx(1 - 2 / 70)
    assert (four.low, four.point, four.high) == (7, 10, 13)
    assert LEAST_TRIALS == 4


@pytest.mark.parametrize(
    ("m", "n", "k"), [(4, 4, 1), (5, 5, 3), (6, 6, 6), (8, 8, 14), (10, 10, 24), (20, 20, 128)]
)
def test_the_interval_takes_the_ranks_of_the_published_tables(m, n, k):
    # k - 1 is the tables' critical value of U at 2.5 % a side (Mann-Whitney: 0 2 5 13 23 127).
    base, new = observed(*range(m)), observed(*(1000.0 + 100 * i for i in range(n)))
    differences = sorted(y.value - x.value for x in base for y in new)
    found = shift(base, new)
    assert (found.low, found.high) == (differences[k - 1], differences[-k])
    assert found.coverage >= 0.95


def test_the_estimate_is_the_middle_of_all_differences():
    found = shift(observed(1, 2, 4), observed(3, 8, 9))
    assert found.point == sorted(y - x for x in (1, 2, 4) for y in (3, 8, 9))[4]
    assert found.delta == cliffs_delta(observed(1, 2, 4), observed(3, 8, 9)) == 7 / 9


def test_many_trials_go_over_to_the_normal_distribution_without_a_step():
    rng = random.Random(5)
    n = math.isqrt(EXACT_UP_TO)
    base = observed(*(rng.gauss(1, 0.1) for _ in range(n)))
    new = observed(*(rng.gauss(1.03, 0.1) for _ in range(n)))
    exact = shift(base, new)
    more = shift(base, [*new, new[0]])  # one more pair than is counted
    assert more.low == pytest.approx(exact.low, abs=0.005)
    assert more.high == pytest.approx(exact.high, abs=0.005)
    assert more.p == pytest.approx(exact.p, rel=0.2)


# ---------------------------------------------------------------- trials without an end


def test_a_trial_without_end_ranks_last_and_opens_one_end_only():
    base = observed(1.0, 1.1, 1.2, 1.3)
    new = [*observed(1.0, 1.1, 1.2), Observed(6.0, ended=False)]
    found = shift(base, new)
    assert found.high == math.inf
    assert found.low == pytest.approx(1.0 - 1.3)
    assert found.point == pytest.approx(0.0)  # eighth and ninth of sixteen differences
    assert found.delta > 0


def test_the_low_end_counts_a_trial_without_end_from_what_is_known_of_it():
    base = observed(1.0, 1.1, 1.2, 1.3)
    new = [Observed(6.0, ended=False)] * 4
    found = shift(base, new)
    assert (found.low, found.point, found.high) == (pytest.approx(4.7), math.inf, math.inf)


def test_in_the_baseline_it_opens_the_low_end():
    base = [*observed(1.0, 1.1, 1.2), Observed(6.0, ended=False)]
    found = shift(base, observed(1.0, 1.1, 1.2, 1.3))
    assert found.low == -math.inf
    assert found.high == pytest.approx(0.3)


def test_if_nothing_ends_on_both_sides_nothing_is_known():
    gone = [Observed(6.0, ended=False)] * 8
    found = shift(gone, gone)
    assert (found.low, found.point, found.high) == (-math.inf, 0.0, math.inf)
    assert (found.delta, found.p) == (0.0, 1.0)


# ---------------------------------------------------------------- simulated campaigns


def campaign(rng, n, shifted, until=math.inf):
    """Failover times with a heavy tail; observation ends at ``until``."""

    def side(more):
        values = (rng.lognormvariate(0.0, 0.4) + more for _ in range(n))
        return [Observed(v) if v <= until else Observed(until, ended=False) for v in values]

    return side(0.0), side(shifted)


@pytest.mark.parametrize(("n", "until"), [(4, math.inf), (6, math.inf), (8, 1.5), (10, 1.3)])
def test_the_interval_contains_the_true_shift_as_often_as_it_says(n, until):
    rng = random.Random(n)
    hits, said = 0, None
    for _ in range(CAMPAIGNS):
        found = shift(*campaign(rng, n, 0.2, until))
        hits += found.low <= 0.2 <= found.high
        said = found.coverage
    assert said >= 0.95
    error = 3 * math.sqrt(said * (1 - said) / CAMPAIGNS)
    assert hits / CAMPAIGNS >= said - error
    if until == math.inf:  # exact without censoring; with it the interval is wider than it need be
        assert hits / CAMPAIGNS <= said + error


def test_an_interval_that_is_one_rank_too_narrow_would_be_found():
    rng = random.Random(4)
    hits = 0
    for _ in range(CAMPAIGNS):
        base, new = campaign(rng, 6, 0.2)
        differences = sorted(y.value - x.value for x in base for y in new)
        hits += differences[8] <= 0.2 <= differences[-9]
    assert hits / CAMPAIGNS < 0.93


# ---------------------------------------------------------------- how many trials would tell


def normal(rng, n, mean, cv=0.12):
    return observed(*(rng.gauss(mean, cv) for _ in range(n)))


@pytest.mark.parametrize("true", [0.0, 0.25])
def test_the_number_of_trials_that_it_asks_for_does_decide(true):
    rng = random.Random(8)
    asked = []
    for _ in range(200):
        base, new = normal(rng, 5, 1.0), normal(rng, 5, 1.0 + true)
        found = shift(base, new)
        needed = trials_to_decide(base, new, found, 0.1)
        if abs(found.point - true) < 0.02 and needed is not None:
            asked.append(needed)
    n = sorted(asked)[len(asked) // 2]
    decided = 0
    for _ in range(100):
        found = shift(normal(rng, n, 1.0), normal(rng, n, 1.0 + true))
        decided += found.high < 0.1 if true == 0 else (found.low > 0 and found.point > 0.1)
    assert decided >= 60, f"{n} trials decide only {decided} of 100"


def test_it_asks_for_no_number_where_none_would_help():
    same = observed(1.0, 1.1, 1.2, 1.3, 1.4)
    open_ended = [*same[:3], Observed(6.0, ended=False), Observed(6.0, ended=False)]
    assert trials_to_decide(same, open_ended, shift(same, open_ended), 0.1) is None
    assert trials_to_decide(same, same, shift(same, same), 0.0) is None
    assert trials_to_decide(same[:3], same[:3], shift(same[:3], same[:3]), 0.1) > 4
