"""PostgreSQL under Patroni, for real: its primary dies, and the failover is inside its band."""

import pytest
from support import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.patroni, pytest.mark.timeout(300)]

STACK = ROOT / "compose" / "postgres-patroni" / "compose.yaml"

# The experiment of the same name, as short as the lease allows.
SHORT = {
    "stack": str(STACK),
    "load": "{user: postgres, rate: 50/s, deadline: 500ms, timeout: 500ms}",
    "probes": "{every: 100ms}",
    "steps": "[{at: 4s, fault: kill, target: primary, for: 23s}]",
    "run_for": "34s",
    "thresholds": "[failover_time > 18s, failover_time < 30s, duplicate_writes == 0]",
}


def test_patroni_fails_over_when_the_lease_has_lapsed_and_not_before(experiment, run_until_valid):
    ran = run_until_valid(experiment(**SHORT), "--lab", "sandbox")
    assert ran.code == 0, ran.text
    trial, band = ran.trial(), ran.result["band"]
    metrics = trial["metrics"]
    assert (band["low_s"], band["high_s"]) == (19.0, 24.0)
    assert metrics["failover_time"]["high_s"] >= band["low_s"], "faster than the lease allows"
    dropped = metrics["dropped_requests"]
    assert dropped["by_class"]["not_sent"] < dropped["count"] / 10
    known = {
        "connection refused",
        "closed without an answer",
        "connection reset",
        "postgres: the session is read-only",
        "timeout before anything was sent",
        "timeout after send",
    }
    named = {error for error in dropped["by_error"] if not error.startswith("postgres: the data")}
    assert named <= known | {"SQLSTATE FATAL 57P01", "SQLSTATE 25006"}
    assert trial["faults"][0]["node"] == "pg-1"
    detected = metrics["time_to_detect"]
    assert detected["note"].endswith("pg-2 was seen to be primary by then")
    assert detected["low_s"] == 0
    assert detected["value_s"] == detected["high_s"]
