"""Whatever a history holds, it is judged without a crash, and damage is never a pass."""

from dataclasses import replace

import numpy as np
import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.history.records import REQUEST
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.timeline import timeline

BOTH = (("write", "write", "kept"), ("read", "read", "kept"))
CASE = Case(
    "damaged",
    (
        Threshold("failover_time < 5s", "failover_time", "<", 5.0, "s"),
        Threshold("x", "latency", "<", 2.0, "baseline", "p99", "recovered"),
        Threshold("y", "dropped_requests", "<", 0.5, "ratio"),
        Threshold("lost_writes == 0", "lost_writes", "==", 0.0, "count"),
    ),
)
TIMES = ("due_ns", "sent_ns", "done_ns")


def damaged(history, seed):
    """Some records overwritten with noise, some marks and windows moved or missing."""
    rng = np.random.default_rng(seed)
    requests = history.requests.copy()
    hit = rng.integers(0, requests.size, int(rng.choice([40, requests.size])))
    requests[hit] = rng.integers(0, 256, (hit.size, 64), dtype=np.uint8).view(REQUEST)[:, 0]
    for name in TIMES:
        requests[name] = np.abs(requests[name]) % (1 << 61)  # the reader refuses others
    fault, window = history.faults[0], history.window
    for name in ("commanded_ns", "acknowledged_ns", "verified_ns", "healed_ns"):
        if rng.random() < 0.2:
            fault = replace(fault, **{name: int(rng.integers(0, 1 << 61))})
    for name in ("verified_ns", "bitten_ns", "healed_ns", "felt_healed_ns"):
        if rng.random() < 0.2:
            fault = replace(fault, **{name: None})
    for name in ("baseline_start_ns", "observe_end_ns"):
        if rng.random() < 0.2:
            window = replace(window, **{name: int(rng.integers(0, 1 << 61))})
    return replace(
        history,
        requests=requests[: int(rng.choice([0, 1, 2, requests.size], p=[0.1, 0.1, 0.1, 0.7]))],
        faults=(fault,) if rng.random() < 0.9 else (),
        window=window,
        observations=history.observations[:: int(rng.integers(1, 9))],
    )


@pytest.mark.parametrize("seed", range(60))
def test_noise_is_judged_without_a_crash_and_is_not_a_pass(seed):
    clean, _ = simulate(Scenario(streams=BOTH, baseline_s=3.2, after_s=1.5))
    history = damaged(clean, seed)
    result = judge_histories(CASE, [TrialInput(1, history)])
    assert result.verdict in (Verdict.INVALID, Verdict.FAIL)
    assert result.trials[0].invalid_because
    assert len(timeline(history).latency["max"]) <= 402
    result.model_dump_json()
