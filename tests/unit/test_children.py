"""What the child inside the lab is told to ask, and how often."""

from pathlib import Path

import pytest

from chaoskit.children import streams
from chaoskit.experiment.loader import load_experiment
from chaoskit.stack.compose import load_stack

KILL = Path(__file__).resolve().parents[2] / "experiments" / "active-passive-kill.yaml"


def pinned(*thresholds, **changes):
    """Rates of the pinned streams by node."""
    chosen = {f"thresholds.{n}": text for n, text in enumerate(thresholds)}
    experiment = load_experiment(KILL, overrides=chosen | changes)
    found = streams(experiment, load_stack(experiment.stack))
    return {one["pinned"]: one["rate"] for one in found if "pinned" in one}


@pytest.mark.parametrize(
    "bound",
    [
        "dual_primary == 0",
        "fencing_latency < 1s",
        "split_brain_loss == 0",
        "post_heal_loss == 0",
        "fencing_latency.max < 1s",
        "P(fencing_latency > 1s) <= 60%",
    ],
)
def test_a_bound_on_what_a_deposed_primary_does_has_every_data_node_asked(bound):
    assert pinned(bound) == {"node-a": 20.0, "node-b": 20.0}
    assert pinned(bound, **{"load.rate": "500/s"}) == {"node-a": 50.0, "node-b": 50.0}
    assert pinned(bound, **{"load.pinned": "0"}) == {}


def test_nobody_is_asked_past_the_front_door_for_other_bounds():
    assert pinned("lost_writes == 0") == {}
    assert pinned(**{"load.pinned": "7/s"}) == {"node-a": 7.0, "node-b": 7.0}
