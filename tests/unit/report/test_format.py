"""How figures and foreign words are printed."""

import pytest

from chaoskit.judge.result import Interval
from chaoskit.report.format import (
    block,
    clean,
    count,
    interval,
    percent,
    plus_minus,
    seconds,
    short,
    signed,
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 s"),
        (0.0000421, "42 µs"),
        (0.00342, "3.4 ms"),
        (0.3124, "0.312 s"),
        (0.0312, "31 ms"),
        (1.3149, "1.31 s"),
        (18.24, "18.2 s"),
        (123.4, "123 s"),
        (-0.0024, "\N{MINUS SIGN}2.4 ms"),
        (None, "not measured"),
        (float("nan"), "not measured"),
        (float("inf"), "∞"),
    ],
)
def test_a_duration_has_sensible_digits_and_a_unit(value, said):
    assert seconds(value) == said


def test_an_interval_is_printed_with_its_bracket():
    assert interval(Interval(value_s=1.312, low_s=1.291, high_s=1.338)) == "1.31 s (1.29 to 1.34)"


def test_a_bracket_is_rounded_outwards_so_that_it_still_holds_the_truth():
    said = interval(Interval(value_s=0.4, low_s=0.39999, high_s=0.40001))
    low, high = said.split("(")[1].rstrip(")").split(" to ")
    assert float(low) <= 0.39999
    assert float(high) >= 0.40001


def test_a_narrow_bracket_gets_the_digits_to_be_seen():
    said = interval(Interval(value_s=1.3125, low_s=1.309, high_s=1.316))
    assert said == "1.312 s (1.309 to 1.316)"


def test_a_censored_interval_is_a_lower_bound():
    assert interval(Interval(value_s=18.24, low_s=18.24, censored=True)) == "≥ 18.2 s"


def test_an_upper_end_alone_is_an_upper_bound_and_is_rounded_up():
    assert interval(Interval(value_s=0.9561, low_s=0.0, high_s=0.9561)) == "≤ 0.957 s"
    assert (
        interval(Interval(value_s=0.9561, low_s=0.1, high_s=0.9561)) == "0.956 s (0.100 to 0.957)"
    )
    assert plus_minus(Interval(value_s=0.9561, low_s=0.0, high_s=0.9561)) is None
    assert interval(Interval(value_s=0.0, low_s=0.0, high_s=0.0)) == "0 s"


def test_what_did_not_happen_is_not_a_number():
    assert interval(Interval(applicable=False)) == "not applicable"
    assert interval(Interval()) == "not measured"
    assert interval(None) == "not measured"


def test_zero_with_a_bracket_keeps_the_bracket():
    assert interval(Interval(value_s=0.0, low_s=0.0, high_s=0.005)) == "0 ms (0 to 5.0)"


def test_plus_minus_is_the_wider_side():
    assert plus_minus(Interval(value_s=1.0, low_s=0.99, high_s=1.03)) == "± 30 ms"
    assert plus_minus(Interval(value_s=1.0, low_s=1.0, high_s=1.0)) is None
    assert plus_minus(Interval(value_s=1.0, low_s=1.0, high_s=1.5, censored=True)) is None


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0, "0 %"), (0.05, "5.0 %"), (0.0000123, "0.0012 %"), (1.0, "100 %"), (0.99991, "99.99 %")],
)
def test_a_share_never_rounds_something_to_nothing(ratio, said):
    assert percent(ratio) == said


def test_moments_carry_their_sign_and_chosen_values_no_zeros():
    assert signed(1.314) == "+1.31 s"
    assert signed(-0.012) == "\N{MINUS SIGN}12 ms"
    assert short(2.0) == "2 s"
    assert short(0.1) == "100 ms"
    assert count(12345) == "12\N{NARROW NO-BREAK SPACE}345"


@pytest.mark.parametrize(
    "unseen",
    [
        "\x00",
        "\x1b",
        "\x7f",
        "\x9b",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\U000e0041",
    ],
)
def test_characters_that_do_not_show_are_stripped(unseen):
    assert clean(f"a{unseen}b") == "ab"
    assert block(f"a{unseen}\nb") == "a\nb"


def test_line_separators_become_line_ends_or_blanks():
    assert block("a\u2028b\r\nc") == "a\nb\nc"
    assert clean("a\u2028b\r\nc") == "a b c"


def test_a_password_in_an_address_is_hidden():
    assert clean("redis://app:s3cret@198.18.0.2:6379/0") == "redis://…@198.18.0.2:6379/0"
    assert clean("redis://:s3cret@198.18.0.2") == "redis://…@198.18.0.2"
    assert clean("http://198.18.0.2:8080/a@b") == "http://198.18.0.2:8080/a@b"


def test_text_has_a_limit():
    assert len(clean("x" * 10_000, 50)) == 50
    assert len(block("x" * 10_000, 50)) == 50
