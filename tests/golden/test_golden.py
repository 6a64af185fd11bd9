"""Stored histories are judged as they were when somebody last looked at the result.

``CHAOSKIT_GOLDEN=write`` writes the results anew: read the difference before committing it.
"""

import json
import os
from pathlib import Path

import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.reader import read_trial
from chaoskit.judge.validity import Gates
from chaoskit.judge.verdict import Band, Case, TrialInput, judge_histories
from chaoskit.measure.timeline import timeline

HERE = Path(__file__).parent
CASES = sorted(p.parent.parent.parent.name for p in HERE.glob("*/trials/01/marks.jsonl"))
THRESHOLDS = {
    "nothing-happens": (Threshold("client_outage == 0", "client_outage", "==", 0.0, "s"),),
    "came-back-apart": (
        Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count"),
        Threshold("divergent_writes == 0", "divergent_writes", "==", 0.0, "count"),
    ),
    "two-primaries": (
        Threshold("dual_primary == 0", "dual_primary", "==", 0.0, "s"),
        Threshold("fencing_latency < 1s", "fencing_latency", "<", 1.0, "s"),
        Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count"),
    ),
}
USUAL = (
    Threshold("failover_time < 5s", "failover_time", "<", 5.0, "s"),
    Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count"),
)
EXPECTED = {
    "held-and-served": "PASS",
    "async-loss": "FAIL",
    "never-back": "FAIL",
    "came-back-apart": "FAIL",
    "nothing-happens": "PASS",
    "node-gone": "FAIL",
    "two-primaries": "FAIL",
    "load-died": "INVALID",
}


def judged(name):
    case = Case(
        name,
        THRESHOLDS.get(name, USUAL),
        gates=Gates(baseline_requests=75),
        lab="sandbox",
        band=Band(0.8, 1.2, "declared"),
    )
    history = read_trial(HERE / name / "trials" / "01")
    return judge_histories(case, [TrialInput(1, history)]), timeline(history)


def rounded(value):
    """Floats to a nanosecond, so that the order of a sum does not matter."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def test_every_stored_history_has_an_expected_verdict():
    assert sorted(EXPECTED) == CASES


@pytest.mark.parametrize("name", CASES)
def test_a_stored_history_is_judged_as_before(name):
    result, shown = judged(name)
    assert result.verdict == EXPECTED[name]
    found = rounded(json.loads(result.model_dump_json()))
    found["timeline"] = {
        "bins": len(shown.latency["max"]),
        "dots": len(shown.dots),
        "roles": [[s.node, rounded(s.from_s), rounded(s.to_s), s.role] for s in shown.roles],
        "outages": [[b.label, rounded(b.from_s), rounded(b.to_s)] for b in shown.outages],
    }
    stored = HERE / name / "expected.json"
    if os.environ.get("CHAOSKIT_GOLDEN") == "write":
        stored.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(stored.read_text(encoding="utf-8"))
