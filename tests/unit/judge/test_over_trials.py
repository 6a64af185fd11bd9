"""Medians over trials have an interval, percentiles a bound, and neither says more than n allows."""

import math
import random

import pytest
from scipy import stats

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.over_trials import summary
from chaoskit.judge.result import OverTrials, RunResult
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.judge.wording import over_trials
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.model import Interval
from chaoskit.report import format as report


@pytest.fixture(scope="module")
def measured():
    return measure_trial(simulate(Scenario())[0])


def over(measured, values, half=0.0):
    """The summary of ``client_outage`` over trials; ``inf``: not over after 5 s."""
    found = [
        Interval(value_s=5.0, low_s=5.0, censored=True)
        if math.isinf(v)
        else Interval(value_s=v, low_s=v - half, high_s=v + half)
        for v in values
    ]
    each = [measured.model_copy(update={"client_outage": one}) for one in found]
    return summary(each)["client_outage"]


TENTHS = [round(n / 10, 1) for n in range(1, 200)]


@pytest.mark.parametrize(
    ("n", "ranks", "coverage"),
    [(5, None, None), (6, (1, 6), 0.969), (9, (2, 8), 0.961), (10, (2, 9), 0.979),
     (15, (4, 12), 0.965), (20, (6, 15), 0.959), (30, (10, 21), 0.957)],
)  # fmt: skip
def test_the_median_has_its_interval_of_order_statistics_from_six_trials_on(
    measured, n, ranks, coverage
):
    values = TENTHS[:n]
    random.Random(n).shuffle(values)
    found = over(measured, values, half=0.01)
    assert (found.n, found.low_s, found.high_s) == (n, 0.1 - 0.01, n / 10 + 0.01)
    if ranks is None:
        assert (found.median_low_s, found.median_high_s, found.coverage) == (None, None, None)
        return
    assert found.median_low_s == pytest.approx(ranks[0] / 10 - 0.01)  # of the low ends
    assert found.median_high_s == pytest.approx(ranks[1] / 10 + 0.01)
    assert found.coverage == pytest.approx(coverage, abs=5e-4)


@pytest.mark.parametrize(("n", "rank"), [(58, None), (59, 59), (92, 92), (93, 92), (124, 122)])
def test_the_95th_percentile_has_a_bound_from_59_trials_on(measured, n, rank):
    found = over(measured, TENTHS[:n])
    assert found.p95_high_s == (None if rank is None else rank / 10)
    assert found.last_s == (n if rank is None else rank) / 10
    if rank is not None:
        assert stats.binom.cdf(rank - 1, n, 0.95) >= 0.95
        assert rank == 1 or stats.binom.cdf(rank - 2, n, 0.95) < 0.95


TEXTS = {
    "one": ([0.4], "0.40 s", "0.400 s"),
    "five": ([0.1, 0.2, 0.3, 0.4, 0.5], "0.30 s (0.10 s to 0.50 s)", "0.300 s (0.100 to 0.500)"),
    "ten": (
        TENTHS[:10],
        "0.55 s (0.20 s to 0.90 s; max of 10: 1.00 s)",
        "0.550 s (0.200 s to 0.900 s, 97.9 %); max of 10: 1.00 s",
    ),
    "one without end": (
        [*TENTHS[:9], math.inf],
        "0.55 s (0.20 s to 0.90 s; max of 10: no end)",
        "0.550 s (0.200 s to 0.900 s, 97.9 %); max of 10: ∞",
    ),
    "half without end": (
        [*TENTHS[:3], *[math.inf] * 3],
        "no end (0.10 s to no end; max of 6: no end)",
        "∞ (0.100 s to ∞, 96.9 %); max of 6: ∞",
    ),
    "one of three without end": (
        [0.41, 0.42, math.inf],
        "0.42 s (0.41 s to no end)",
        None,
    ),
    "two of three without end": (
        [0.41, math.inf, math.inf],
        "over 5.00 s, not over when observation ended",
        None,
    ),
    "59": (
        TENTHS[:59],
        "3.00 s (2.20 s to 3.80 s; p95 at most 5.90 s)",
        "3.00 s (2.20 s to 3.80 s, 96.4 %); p95 at most 5.90 s",
    ),
    "nothing in all": ([0.0] * 8, "0 s", "0 s"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_what_is_printed_says_which_it_is(measured, case):
    values, said, reported = TEXTS[case]
    found = over(measured, values)
    assert over_trials(found, of=found.n) == said
    assert reported is None or report.over_trials(found) == reported


def test_extremes_among_intervals_are_named_as_such(measured):
    few = over(measured, [0.1, 0.2, 0.3])
    assert over_trials(few, of=10) == "0.20 s (0.10 s to 0.30 s), extremes of 3"
    assert over_trials(few, of=3) == "0.20 s (0.10 s to 0.30 s)"


def test_the_interval_covers_the_median_as_often_as_it_says(measured):
    rng, hits, runs = random.Random(5), 0, 2000
    for _ in range(runs):
        found = over(measured, [rng.lognormvariate(0, 1) for _ in range(9)])
        hits += found.median_low_s <= 1.0 <= found.median_high_s
    assert hits / runs == pytest.approx(0.961, abs=0.015)


def test_the_sentence_and_the_json_have_it():
    trials = [
        TrialInput(n, simulate(Scenario(outage_s=0.4 + n / 100, after_s=2.5, seed=n))[0])
        for n in range(1, 7)
    ]
    many = judge_histories(Case("kill", (), 6), trials)
    assert many.sentence.startswith("In 6 trials (medians, 95 % intervals): clients were without")
    assert "; max of 6: 0.4" in many.sentence
    few = judge_histories(Case("kill", (), 5), trials[:5])
    assert few.sentence.startswith("In 5 trials (medians, extremes): clients were without")
    assert "max of" not in few.sentence
    again = RunResult.model_validate_json(many.model_dump_json())
    assert again.summary["client_outage"].coverage == pytest.approx(0.969, abs=5e-4)
    assert isinstance(again.summary["phases.mask"], OverTrials)
