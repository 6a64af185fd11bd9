"""The grammar of ``--fail-if`` and ``--metric``: what is read, and where it complains."""

import pytest

from chaoskit.experiment.grammar import ThresholdError
from chaoskit.experiment.margin import parse_compared, parse_margin


@pytest.mark.parametrize(
    ("text", "name", "value", "unit"),
    [
        ("failover_time +10%", "failover_time", 0.1, "ratio"),
        ("  failover_time   + 150 % ", "failover_time", 1.5, "ratio"),
        ("client_outage +50ms", "client_outage", 0.05, "s"),
        ("client_outage +0", "client_outage", 0.0, "s"),
        ("dropped_requests +20", "dropped_requests", 20.0, "count"),
        ("dropped_requests.rate +20%", "dropped_requests.rate", 0.2, "ratio"),
        ("latency.p99@recovered +10%", "latency.p99@recovered", 0.1, "ratio"),
    ],
)
def test_a_margin_is_a_metric_and_what_is_allowed(text, name, value, unit):
    found = parse_margin(text)
    assert (found.name, found.value, found.unit) == (name, value, unit)
    assert parse_margin(found.text) == found


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 0, "a metric is missing"),
        ("failover +10%", 0, "did you mean 'failover_time'"),
        ("failover_time", 13, "a + and an amount are missing"),
        ("failover_time 10%", 14, "a + and an amount are missing"),
        ("failover_time -10%", 14, "a + and an amount are missing"),
        ("failover_time +", 15, "an amount is missing"),
        ("failover_time +10", 15, "needs a unit"),
        ("failover_time +  10 x", 17, "is not a duration"),
        ("failover_time +10% and more", 15, "is not a duration"),
        ("failover_time.p95 +10%", 13, "not a statistic of them"),
        ("failover_time@outage +10%", 13, "takes no @phase"),
        ("dropped_requests +2s", 18, "no amount of dropped_requests"),
        ("error_rate +2s", 12, "no amount of error_rate"),
        (" lost_writes +1", 1, "has no margin"),
        ("availability +1%", 0, "compare error_rate"),
        ("user_uptime +1%", 0, "compare client_outage_union"),
        ("query_accuracy +1%", 0, "compare mistake_duration"),
        ("dropped_requests.rate +20", 23, "no amount of dropped_requests.rate; write e.g. +10%"),
        ("latency +10%", 0, "needs a statistic"),
        ("x" * 300, 0, "at most 200"),
    ],
)
def test_every_complaint_knows_its_column(text, column, says):
    with pytest.raises(ThresholdError, match=says.replace("+", r"\+")) as caught:
        parse_margin(text)
    assert caught.value.column == column


def test_a_metric_alone_takes_no_amount():
    assert parse_compared("failover_time ").name == "failover_time"
    with pytest.raises(ThresholdError, match="--fail-if") as caught:
        parse_compared("failover_time +10%")
    assert caught.value.column == 14
