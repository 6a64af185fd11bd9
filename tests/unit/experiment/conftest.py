"""A good experiment with its stack, and a way to break one thing of it."""

import pytest

from chaoskit.errors import BadInput
from chaoskit.experiment.loader import load_experiment

COMPOSE = """\
services:
  node-a:
    command: [python3, -m, http.server, "8080"]
    labels:
      chaoskit.role: primary
      chaoskit.probe.role: http://:8080/role
      chaoskit.endpoint: http://:8080
      chaoskit.detector: interval=100ms misses=3 timeout=50ms promotion=50ms
  node-b:
    command: python3 -m http.server 8080
    labels: [chaoskit.role=backup, "chaoskit.endpoint=http://:8080"]
"""

EXPERIMENT = """\
# what happens when the primary dies
chaoskit: 1
name: good
question: When the primary is killed, are clients served again?
tags: [failover, smoke]
stack: compose.yaml
profile: smoke
probes: {every: 50ms}
load:
  user: http-kv
  rate: 200/s
  new_connections: 10%
  deadline: 100ms
  timeout: 200ms
  warmup: 1s
steps:
  - {at: 3s, fault: kill, target: primary, for: 4s, signal: SIGKILL}
  - at: 9s
    fault: partition
    target: [node-b, "not primary"]
    from: [client]
    action: reject
    for: 500ms
run_for: 12s
thresholds:
  - failover_time < 5s
  - latency.p99@recovered < 2 x baseline
  - "P(failover_time > 5s) <= 10%"
  - {metric: dropped_requests, max: 2%, because: SLO-114}
repeat: {trials: 3, vary: [at]}
seed: 7
max_targets: 2
"""


class Files:
    """``good.yaml`` and ``compose.yaml`` in a folder of their own."""

    def __init__(self, folder):
        self.path = folder / "good.yaml"
        self.compose = folder / "compose.yaml"
        self.path.write_text(EXPERIMENT)
        self.compose.write_text(COMPOSE)

    def load(self, text=None, **overrides):
        """The experiment from ``text``, by default the good one."""
        self.path.write_text(EXPERIMENT if text is None else text)
        changes = {path.replace("__", "."): value for path, value in overrides.items()}
        return load_experiment(self.path, overrides=changes)

    def with_change(self, old, new):
        """The experiment with one text replaced; the text must be there."""
        assert EXPERIMENT.count(old) == 1, old
        return self.load(EXPERIMENT.replace(old, new))

    def problems(self, old, new):
        """``line:column: sentence`` of each problem after the change."""
        with pytest.raises(BadInput) as said:
            self.with_change(old, new)
        return [f"{p.line}:{p.column}: {p.sentence}" for p in said.value.problems]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def good_text():
    return EXPERIMENT
