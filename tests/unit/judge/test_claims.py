"""What a run may claim: no more than its trials prove, and less if it looked several times."""

import random

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.judge.bounds import Bound, Bounded
from chaoskit.judge.claims import claims
from chaoskit.judge.several import said
from chaoskit.measure.looks import looks_up_to
from chaoskit.measure.reading import Reading

SLOW, LOST = parse_threshold("failover_time < 30s"), parse_threshold("lost_writes == 0")
LOOKS = looks_up_to(59)


def exact(value, unit="s"):
    return Bounded(1, Reading(value, value, value, unit), Bound.exact(30.0))


def of(n, exceed=0, looks=()):
    trials = [(exact(40.0 if k < exceed else 1.0),) for k in range(n)]
    return claims([SLOW], trials, looks)


def test_one_look_claims_the_bound_of_clopper_and_pearson():
    (ten,) = of(10)
    assert ten == (
        "failover_time: 10 trials, 0 over 30.00 s: we can only claim that at most 26 % of "
        "failovers exceed 30.00 s (95 %)"
    )
    assert "1 trial, 0 over" in of(1)[0]
    assert "at most 39 %" in of(10, exceed=1)[0]
    assert "nothing can be claimed" in of(2, exceed=2)[0]


def test_after_several_looks_the_claim_is_that_of_the_look_at_its_own_level():
    cap = of(59, looks=LOOKS)[0]
    assert "59 trials, 0 over" in cap
    assert "at most 5.2 % of failovers exceed 30.00 s (95 % over all looks)" in cap
    assert "at most 5 %" in of(59)[0]
    assert "at most 16 %" in of(30, looks=LOOKS)[0]
    assert "at most 9.5 %" in of(30)[0]
    assert "nothing can be claimed" in of(3, looks=LOOKS)[0]


def test_between_two_looks_the_trials_up_to_the_last_look_count():
    assert "30 trials, 0 over" in of(41, looks=LOOKS)[0]
    assert of(2, looks=LOOKS) == ()


def test_clean_counts_are_claimed_alike():
    clean = [(exact(0.0, "count"),)] * 59
    assert (
        "59 trials with no lost writes: we can only claim that at most 5 %"
        in (claims([LOST], clean, ())[0])
    )
    assert (
        "at most 5.2 % of failovers have any (95 % over all looks)"
        in (claims([LOST], clean, LOOKS)[0])
    )
    assert claims([LOST], [*clean, (exact(1.0, "count"),)], ()) == ()


def test_whoever_stops_when_it_suits_is_wrong_in_at_most_five_per_cent_of_runs():
    """The share is 9.6 %, just above what 30 trials without a miss claim at a single look."""
    rng, runs = random.Random(11), 4000
    wrong = {"as planned": 0, "naive": 0}
    bounds = {
        (how, n, k): share(of(n, k, LOOKS if how == "as planned" else ()))
        for n in LOOKS
        for k in range(n + 1)
        for how in wrong
    }
    for _ in range(runs):
        trials = [rng.random() < 0.096 for _ in range(59)]
        for how in wrong:
            seen = [bounds[how, n, sum(trials[:n])] for n in LOOKS]
            wrong[how] += min(seen) < 0.096  # whichever look it stops at
    assert wrong["as planned"] / runs <= 0.05
    assert wrong["naive"] / runs > 0.05


def share(found):
    text = found[0]
    if "nothing can be claimed" in text:
        return 1.0
    return float(text.partition("at most ")[2].partition(" %")[0]) / 100


@pytest.mark.parametrize(("looks", "says"), [(LOOKS, True), ((), False)])
def test_what_is_not_corrected_is_said(looks, says):
    text = " ".join(said([SLOW], looks))
    assert ("are those of one look" in text) is says
