"""Quantities: what is accepted, what is refused and how it is said, and the way back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from chaoskit.units import (
    ByteSize,
    BytesPerSecond,
    PositiveSeconds,
    RatePerSecond,
    Ratio,
    Seconds,
    UnitError,
    format_bandwidth,
    format_duration,
    format_rate,
    format_ratio,
    format_size,
    parse_bandwidth,
    parse_duration,
    parse_rate,
    parse_ratio,
    parse_size,
)

DURATIONS = {
    "500ms": 0.5,
    "1.5s": 1.5,
    "1m30s": 90.0,
    "250us": 0.00025,
    "250µs": 0.00025,
    "1h": 3600.0,
    "1d": 86400.0,
    "1 s": 1.0,
    "1 m 30 s": 90.0,
    " 2s ": 2.0,
    "0": 0.0,
    "0s": 0.0,
    "15ns": 15e-9,
    0: 0.0,
    "0.0": 0.0,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_a_duration_is_read_as_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("bare", [10, "10", 1.5, "2.5"])
def test_a_bare_number_is_refused_with_two_suggestions(bare):
    with pytest.raises(UnitError, match=f"write '{bare}s' or '{bare}ms'"):
        parse_duration(bare)


@pytest.mark.parametrize("text", ["-1s", "-5", "-0", -0.0, -3])
def test_a_negative_duration_is_refused_even_minus_zero(text):
    with pytest.raises(UnitError, match="negative"):
        parse_duration(text)


NO_DURATION = [
    "",
    "s",
    "5x",
    "1s1m",
    "1s 1s",
    "1e3s",
    "nan",
    "inf",
    ".inf",
    "1_000s",
    "٣s",
    "1..5s",
]
NO_DURATION += ["5 s x", "400d", "99999999999999d", "9" * 400 + "s", "1m30", "5;s", "5s\x00"]


@pytest.mark.parametrize("text", NO_DURATION)
def test_what_is_no_duration_is_refused_in_a_sentence(text):
    with pytest.raises(UnitError) as said:
        parse_duration(text)
    assert len(str(said.value)) < 160
    assert "\x00" not in str(said.value)


@pytest.mark.parametrize("value", [True, None, [], {}, float("nan"), float("inf")])
def test_what_is_not_even_a_text_is_refused_too(value):
    for parse in (parse_duration, parse_rate, parse_ratio, parse_bandwidth):
        with pytest.raises(UnitError):
            parse(value)


@given(st.integers(0, 366 * 86400 * 10**9))
def test_a_written_duration_reads_back_to_the_same_nanosecond(ns):
    assert round(parse_duration(format_duration(ns / 1e9)) * 1e9) == round(ns / 1e9 * 1e9)


@given(st.text(max_size=30))
def test_no_text_makes_the_parsers_fail_otherwise(text):
    for parse in (parse_duration, parse_rate, parse_ratio, parse_bandwidth):
        try:
            value = parse(text)
        except UnitError:
            continue
        assert math.isfinite(value)
        assert value >= 0


def test_durations_are_written_short():
    shown = {
        0: "0s",
        0.25: "250ms",
        1.5: "1.5s",
        90: "1m30s",
        3600: "1h",
        25e-5: "250us",
        -1: "-1s",
    }
    assert {n: format_duration(n) for n in shown} == shown


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("10%", 0.1), ("0.1", 0.1), (0.25, 0.25), ("100%", 1), (0, 0), (1, 1), ("99.9 %", 0.999)],
)
def test_a_share_is_read_in_per_cent_or_as_a_ratio(text, ratio):
    assert parse_ratio(text) == ratio


@pytest.mark.parametrize("text", ["-1%", "101%", "2", "nan", "%", "1 0%", "ten"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UnitError):
        parse_ratio(text)


def test_a_number_above_one_suggests_per_cent():
    with pytest.raises(UnitError, match="write '2%' if per cent"):
        parse_ratio(2)


@given(st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 6)))
def test_a_written_share_reads_back(ratio):
    assert parse_ratio(format_ratio(ratio)) == pytest.approx(ratio, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("200/s", 200), ("12/min", 0.2), ("12/m", 0.2), ("3600/h", 1), ("0.5 / s", 0.5), (0, 0)],
)
def test_a_rate_is_read_per_second(text, rate):
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text", ["200", 200, "200/", "/s", "200/x", "-5/s", "nan/s", "99999999999999/s"]
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UnitError):
        parse_rate(text)


@given(st.integers(1, 10**6), st.sampled_from(["s", "min", "h"]))
def test_a_written_rate_reads_back(count, unit):
    rate = parse_rate(f"{count}/{unit}")
    assert parse_rate(format_rate(rate)) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1mbit/s", 125e3), ("100KB/s", 100e3), ("8bit/s", 1), ("1KiB/s", 1024), ("2 GB/s", 2e9)],
)
def test_a_bandwidth_is_read_as_bytes_per_second(text, size):
    assert parse_bandwidth(text) == size
    assert parse_bandwidth(format_bandwidth(size)) == size


def test_a_bandwidth_that_could_be_bits_or_bytes_is_refused():
    with pytest.raises(UnitError, match="bits or bytes"):
        parse_bandwidth("100kb/s")


class Latency(BaseModel):
    """A third party's fault model, as far as units go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delay: Seconds
    jitter: Seconds = 0.0
    period: PositiveSeconds = 1.0
    loss: Ratio = 0.0
    rate: RatePerSecond = 0.0
    limit: BytesPerSecond = 0.0


def test_a_model_takes_quantities_and_writes_them_back():
    made = Latency.model_validate(
        {"delay": "200ms", "loss": "1%", "rate": "12/min", "limit": "1mbit/s"}
    )
    assert (made.delay, made.loss, made.rate, made.limit) == (0.2, 0.01, 0.2, 125e3)
    assert Latency.model_validate_json(made.model_dump_json()) == made
    assert '"delay":"200ms"' in made.model_dump_json()


@pytest.mark.parametrize(
    "given_", [{"delay": 5}, {"delay": "1s", "period": 0}, {"delay": "1s", "loss": 2}]
)
def test_a_model_complains_in_our_sentence(given_):
    with pytest.raises(ValidationError) as said:
        Latency.model_validate(given_)
    assert [detail["type"] for detail in said.value.errors()] == ["unit"]


def test_the_json_schema_describes_each_quantity():
    for name, schema in Latency.model_json_schema()["properties"].items():
        assert schema["description"], name
        assert schema["examples"], name
        assert "pattern" in str(schema), name


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), (4096, 4096), ("64k", 65536), ("1 MB", 1 << 20), ("2g", 2 << 30), ("7b", 7)],
)
def test_a_size_is_read_in_powers_of_two(text, size):
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5m", 1.5, True, None, "64t", "m", "1 m b"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UnitError):
        parse_size(text)


def test_a_size_of_a_model_survives_being_written_and_read():
    class Sized(BaseModel):
        size: ByteSize

    made = Sized(size="64m")
    assert made.size == 64 << 20
    assert Sized.model_validate(made.model_dump(mode="json")) == made
