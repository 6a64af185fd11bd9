"""A node that ends at once when it is started again: a finding, and everything else is judged."""

import pytest
from support import ROOT

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(200)]

ONCE = (
    'command: ["sh", "-c", "test -e /mark/once && exit 3; touch /mark/once; '
    'exec python3 -m chaoskit.reference node"]'
)


@pytest.fixture
def once(tmp_path):
    """The reference pair, whose first node can be started once."""
    text = (ROOT / "compose" / "active-passive" / "compose.yaml").read_text("utf-8")
    text = text.replace("context: ../..", f"context: {ROOT}")
    node = "  node-a:\n    <<: *node\n"
    assert text.count(node) == 1
    text = text.replace(node, f"{node}    {ONCE}\n    volumes: [mark:/mark]\n")
    path = tmp_path / "compose.yaml"
    path.write_text(
        text.replace("volumes:\n  witness:", "volumes:\n  mark: {}\n  witness:"), "utf-8"
    )
    return path


def test_it_fails_the_trial_and_erases_nothing(once, experiment, run_until_valid):
    bounds = "[client_outage < 3s, lost_writes == 0, duplicate_writes == 0, failover_time < 1ms]"
    ran = run_until_valid(experiment(stack=str(once), thresholds=bounds), "--lab", "sandbox")
    assert ran.code == 1, ran.err
    judged = {e["expression"]: e for e in ran.result["expectations"]}
    assert {name: e["verdict"] for name, e in judged.items()} == {
        "client_outage < 3s": "PASS",
        "lost_writes == 0": "PASS",  # the other node has them all
        "duplicate_writes == 0": "INCONCLUSIVE",
        "failover_time < 1ms": "FAIL",
        "every data node can be read when all is healed": "FAIL",
    }
    seen = judged["every data node can be read when all is healed"]["observed"]
    assert seen.startswith("node-a could not be read back")
    assert ran.trial()["invalid_because"] == []
