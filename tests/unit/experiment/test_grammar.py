"""The threshold grammar: every form, every refusal with its column, and the way back."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.experiment.catalogue import METRICS, PHASES, STATS, is_stat
from chaoskit.experiment.grammar import ThresholdError, parse_threshold
from chaoskit.measure import reading, view

GOOD = {
    "failover_time < 5s": ("failover_time", "<", 5, "s", None, None),
    "failover_time.p95<=1m30s": ("failover_time", "<=", 90, "s", "p95", None),
    "failover_time.max < 5 s": ("failover_time", "<", 5, "s", "max", None),
    "client_outage == 0": ("client_outage", "==", 0, "s", None, None),
    "client_outage == 0s": ("client_outage", "==", 0, "s", None, None),
    "latency.p99@recovered < 250ms": ("latency", "<", 0.25, "s", "p99", "recovered"),
    "latency.p99.9@fault < 2 x baseline": ("latency", "<", 2, "baseline", "p99.9", "fault"),
    "latency.mean < 1.5x baseline": ("latency", "<", 1.5, "baseline", "mean", None),
    "dropped_requests@outage < 1%": ("dropped_requests", "<", 0.01, "ratio", None, "outage"),
    "dropped_requests < 20": ("dropped_requests", "<", 20, "count", None, None),
    "dropped_requests.count <= 20": ("dropped_requests", "<=", 20, "count", "count", None),
    "dropped_requests.rate <= 2%": ("dropped_requests", "<=", 0.02, "ratio", "rate", None),
    "availability >= 99.9%": ("availability", ">=", 0.999, "ratio", None, None),
    "availability@run >= 0.999": ("availability", ">=", 0.999, "ratio", None, "run"),
    "error_rate@fault <= 3 x baseline": ("error_rate", "<=", 3, "baseline", None, "fault"),
    "lost_writes == 0": ("lost_writes", "==", 0, "count", None, None),
    "lost_writes != 0": ("lost_writes", "!=", 0, "count", None, None),
    "  flaps  <=  1  ": ("flaps", "<=", 1, "count", None, None),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_threshold_is_read(text):
    found = parse_threshold(text)
    assert (
        found.metric,
        found.op,
        pytest.approx(found.value),
        found.unit,
        found.stat,
        found.phase,
    ) == GOOD[text]
    assert found.exceedance is None


def test_a_bound_on_how_often_a_limit_is_exceeded_is_read():
    found = parse_threshold("P( failover_time > 5s ) <= 10%")
    assert (found.metric, found.op, found.value, found.unit, found.exceedance) == (
        "failover_time",
        ">",
        5,
        "s",
        0.1,
    )
    assert found.text == "P(failover_time > 5s) <= 10%"


BAD = {
    "": (0, "begins with a metric"),
    "> 5s": (0, "begins with a metric"),
    "5s > failover_time": (0, "begins with a metric"),
    "failover_tme < 5s": (0, "did you mean 'failover_time'"),
    "failover_time": (13, "comparison is missing"),
    "failover_time 5s": (14, "comparison is missing"),
    "failover_time = 5s": (14, "write =="),
    "failover_time <": (15, "a value is missing"),
    "failover_time < 5": (16, "write '5s' or '5ms'"),
    "failover_time < 5s 6": (16, "not a duration"),
    "failover_time < -5s": (16, "negative"),
    "failover_time < nan": (16, "not a duration"),
    "failover_time < inf": (16, "not a duration"),
    "failover_time < 5%": (16, "not measured like '5%'"),
    "failover_time < 5/s": (16, "not measured like '5/s'"),
    "failover_time == 5s": (17, "is an interval"),
    "failover_time.p0 < 5s": (14, "unknown statistic"),
    "failover_time.p100 < 5s": (14, "unknown statistic"),
    "failover_time.maxx < 5s": (14, "did you mean 'max'"),
    "failover_time. < 5s": (14, "unknown statistic"),
    "failover_time.mean < 5s": (
        14,
        "a mean over trials hides how they scatter; use failover_time.p50",
    ),
    "dropped_requests.mean < 5%": (17, "a mean over trials"),
    "error_rate.mean@fault < 5%": (11, "a mean over trials"),
    "failover_time.count < 5": (14, "no statistic 'count'"),
    "failover_time@fault < 5s": (13, "takes no @phase"),
    "failover_time < 2 x baseline": (16, "no baseline"),
    "latency < 5s": (0, "needs a statistic"),
    "latency.p99@recoverd < 5s": (12, "did you mean 'recovered'"),
    "latency.p99@ < 5s": (12, "unknown phase"),
    "latency.p99@baseline < 2 x baseline": (23, "with itself"),
    "latency.p99 == 2 x baseline": (15, "by <, <="),
    "dropped_requests.count@fault < 2 x baseline": (31, "compare .rate"),
    "latency.p99 < 0 x baseline": (14, "0 x baseline"),
    "latency.p99 < 2 x basline": (14, "2 x baseline"),
    "lost_writes < 1s": (14, "not measured like"),
    "lost_writes < 0.5": (14, "whole numbers"),
    "lost_writes.p99 < 1": (12, "no statistic"),
    "lost_writes < none": (14, "not a value"),
    "dropped_requests < 0.5": (19, "write '0.5%'"),
    "dropped_requests.rate < 5": (24, "is a share"),
    "dropped_requests.count < 5%": (25, "is a number"),
    "availability >= 101%": (16, "more than all"),
    "P(failover_time > 5s": (20, "')'"),
    "P(failover_time < 5s) <= 10%": (15, "write > inside"),
    "P(failover_time > 5s) < 10%": (22, "<= and a share"),
    "P(failover_time > 5s)": (21, "comparison is missing"),
    "P(failover_time > 5s) <= 100%": (25, "between 0% and 100%"),
    "P(failover_time > 5s) <= 0": (25, "between 0% and 100%"),
    "P(failover_time > 5s) <= x": (25, "not a share"),
    "P(failover_time.p99 > 5s) <= 10%": (2, "stands alone"),
    "P(latency > 5s) <= 10%": (2, "needs a statistic"),
    "P(lost_writes > 5) <= 10%": (2, "about trials"),
    "P(dropped_requests > 2 x baseline) <= 10%": (21, "units is needed"),
    "f" * 201: (0, "at most 200"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_threshold_is_refused_at_its_column(text):
    column, said = BAD[text]
    with pytest.raises(ThresholdError, match=said.replace("(", r"\(").replace(")", r"\)")) as found:
        parse_threshold(text)
    assert found.value.column == column


values = {
    "s": st.sampled_from(["0", "500ms", "5s", "1m30s", "250us", "1.5h"]),
    "ratio": st.sampled_from(["0%", "1%", "99.9%", "100%", "12.34%"]),
    "count": st.integers(0, 10**6).map(str),
}
blanks = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def thresholds(draw):
    """Any valid threshold, written with any blanks."""
    metric = draw(st.sampled_from(sorted(METRICS)))
    facts = METRICS[metric]
    kind = draw(st.sampled_from(sorted(facts.kinds)))
    name = metric
    stat = draw(st.sampled_from(["p50", "p99", "p99.99", "max", "mean", "min"]))
    if stat == "mean" and facts.over != "requests":
        stat = "p50"
    if facts.over == "requests" or (facts.over == "trials" and draw(st.booleans())):
        name += f".{stat}"
    phase = None
    if facts.phased and draw(st.booleans()):
        phase = draw(st.sampled_from(PHASES))
        name += f"@{phase}"
    op, value = draw(st.sampled_from(["<", "<=", ">", ">="])), draw(values[kind])
    alone = facts.over == "requests" or name.partition("@")[0] == metric
    if facts.phased and alone and phase != "baseline" and draw(st.booleans()):
        value = draw(st.sampled_from(["2 x baseline", "1.5x baseline", "3  x  baseline"]))
    a, b, c, d = (draw(blanks) for _ in range(4))
    if (
        name == metric
        and facts.over == "trials"
        and "baseline" not in value
        and draw(st.booleans())
    ):
        share = draw(st.sampled_from(["10%", "0.05", "1 %"]))
        return f"{a}P({b}{name}{c}>{d}{value}{a}){b}<={c}{share}{d}"
    return f"{a}{name}{b}{op}{c}{value}{d}"


@given(thresholds())
@settings(max_examples=400, deadline=None)
def test_every_valid_threshold_is_read_and_its_own_text_reads_back_to_it(text):
    found = parse_threshold(text, line=7, because="why")
    assert parse_threshold(found.text) == replace(found, line=0, because=None)
    assert parse_threshold(found.text).text == found.text


@given(thresholds(), st.integers(0, 300), st.sampled_from(list("<>=@.%()x5s ~-Pe\x00é")))
@settings(max_examples=600, deadline=None)
def test_a_threshold_with_one_character_changed_is_read_or_refused_inside_the_text(
    text, at, character
):
    at %= len(text)
    changed = text[:at] + character + text[at + 1 :]
    try:
        found = parse_threshold(changed)
    except ThresholdError as error:
        assert 0 <= error.column <= len(changed)  # noqa: PT017 - no error is fine too
        assert str(error)  # noqa: PT017 - no error is fine too
    else:
        assert parse_threshold(found.text).value == found.value


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_at_all_is_read_or_refused(text):
    try:
        parse_threshold(text)
    except ThresholdError as error:
        assert 0 <= error.column <= len(text)  # noqa: PT017 - no error is fine too


def test_a_third_partys_metric_takes_any_value():
    for bound in (
        "acme_lag.max@fault < 5s",
        "acme_lag.max@fault < 2%",
        "acme_lag.max@fault < 7",
        "acme_lag.max@fault < 3/s",
        "acme_lag@fault < 2 x baseline",
    ):
        assert parse_threshold(bound, others=["acme_lag"]).metric == "acme_lag"
    with pytest.raises(ThresholdError, match="no statistic 'count'"):
        parse_threshold("acme_lag.count < 5", others=["acme_lag"])
    with pytest.raises(ThresholdError, match="unknown metric"):
        parse_threshold("acme_lag < 5s")


def test_the_catalogue_holds_what_is_measured_and_nothing_else():
    assert set(METRICS) == set(reading.METRICS)
    assert set(PHASES) == set(view.PHASES)


def test_the_catalogue_is_whole():
    assert all(is_stat(stat) for stat in STATS if stat != "pN")
    assert not is_stat("pN")
    for name, facts in METRICS.items():
        assert facts.kinds, name
        assert facts.summary, name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lost_writes.count == 0", "lost_writes has no statistic 'count'"),
        ("promotions.count == 1", "promotions has no statistic 'count'"),
        ("lost_goodput.count < 30", "lost_goodput has no statistic 'count'"),
        ("error_rate.count < 3", "error_rate has no statistic 'count'"),
        ("error_rate.p95@recovered < 2 x baseline", "each trial has a baseline of its own"),
    ],
)
def test_a_statistic_that_could_never_be_told_is_refused(text, sentence):
    with pytest.raises(ThresholdError, match=sentence):
        parse_threshold(text)


def test_what_only_looks_like_one_is_not():
    for text in ("dropped_requests.count < 3", "dropped_requests.rate < 3%", "lost_writes == 0"):
        assert parse_threshold(text).text == text
