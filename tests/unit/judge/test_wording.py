"""Numbers as people read them."""

import math

import pytest

from chaoskit.judge.wording import interval, joined, plural, quantity, reading, seconds
from chaoskit.measure.model import Interval
from chaoskit.measure.reading import Reading


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"), (0.00012, "0.12 ms"), (0.0052, "5.2 ms"), (0.052, "52 ms"), (0.0996, "100 ms"),
        (0.5, "0.50 s"), (1.309, "1.31 s"), (61.25, "61.25 s"), (345.6, "346 s"),
        (math.inf, "no end"),
    ],
)  # fmt: skip
def test_seconds_have_the_digits_that_mean_something(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01234, "ratio", "1.23 %"), (0.99954, "ratio", "99.95 %"), (1.0, "ratio", "100 %"),
        (3.0, "count", "3"), (199.99, "rate", "200/s"), (math.inf, "count", "no end"),
    ],
)  # fmt: skip
def test_other_units_too(value, unit, text):
    assert quantity(value, unit) == text


def test_a_bracket_is_shown_where_it_says_more_than_the_value():
    assert interval(Interval(value_s=1.31, low_s=1.29, high_s=1.34)) == "1.31 s (1.29 s to 1.34 s)"
    assert interval(Interval(value_s=1.31, low_s=1.3099, high_s=1.3101)) == "1.31 s"
    assert reading(Reading(0, 0, 0, "count")) == "0"


def test_where_only_an_upper_end_is_known_it_says_at_most():
    known = Interval(value_s=1.02, low_s=0.0, high_s=1.02)
    assert interval(known) == "at most 1.02 s"
    assert reading(Reading(0.0, 1.02, 1.02, "s")) == "at most 1.02 s"
    assert interval(Interval(value_s=1.02, low_s=0.0, high_s=1.1)) == "1.02 s (0 s to 1.10 s)"
    assert reading(Reading(0.0, 3.0, 3.0, "count")).startswith("3 ")


def test_what_never_ended_or_never_happened_has_words_of_its_own():
    never = Interval(value_s=6.0, low_s=5.9, censored=True)
    assert interval(never) == "over 5.90 s, not over when observation ended"
    assert interval(Interval(applicable=False, note="nothing failed over")) == "nothing failed over"
    assert interval(Interval(applicable=False)) == "not applicable"


def test_lists_and_plurals():
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert plural(1, "trial") == "1 trial"
    assert plural(1200, "trial") == "1,200 trials"
    assert plural(2, "copy", "copies") == "2 copies"
