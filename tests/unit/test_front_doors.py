"""What the load is told of who answers at an endpoint: the service itself, or one behind it."""

import json
from pathlib import Path

import pytest

from chaoskit.children import load_config
from chaoskit.contracts import Node
from chaoskit.experiment.loader import load_experiment
from chaoskit.stack.compose import load_stack

ROOT = Path(__file__).resolve().parents[2]
KILL = ROOT / "experiments" / "active-passive-kill.yaml"


class Places:
    """As much of a lab as tells where services are: each on two networks."""

    def __init__(self, stack):
        self._nodes = {
            name: Node(name, f"198.18.0.{i}", {}, (f"198.18.0.{i}", f"198.18.1.{i}"), ("alias",))
            for i, name in enumerate(stack.services, start=2)
        }

    def node(self, name):
        return self._nodes[name]

    def inside(self, path):
        return path


def told(folder, file):
    experiment, stack = load_experiment(KILL), load_stack(file)
    return load_config(experiment, stack, Places(stack), folder, 1, 1)


def doors(places):
    return {place["node"]: place["frontdoor"] for place in places}


NOBODY = dict.fromkeys(("node-a", "node-b"), False)


@pytest.mark.parametrize(
    ("stack", "endpoints"),
    [
        ("active-passive/compose.yaml", NOBODY),
        ("active-passive/haproxy.yaml", {"haproxy": True}),
        ("active-active/haproxy.yaml", {"haproxy": True}),
        ("cluster-3/compose.yaml", NOBODY | {"node-c": False}),
    ],
)
def test_the_stacks_that_ship_say_which_endpoints_are_front_doors(tmp_path, stack, endpoints):
    config = told(tmp_path, ROOT / "compose" / stack)
    assert doors(config["endpoints"]) == endpoints
    assert not any(doors(config["nodes"]).values())


def test_every_address_and_name_of_a_node_is_told(tmp_path):
    place = told(tmp_path, ROOT / "compose" / "active-passive" / "compose.yaml")["nodes"][0]
    address = place["url"].split("//")[1].split(":")[0]
    second = address.replace("198.18.0.", "198.18.1.")
    assert place["addresses"] == [address, second, "node-a", "alias"]


def service(role=None, at="http://:80", **labels):
    known = {"role": role, "endpoint": at, **labels}
    return {f"chaoskit.{name}": text for name, text in known.items() if text is not None}


MOVING = "http://198.18.0.100:80"


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param({"a": service()}, {"a": False}, id="nobody holds data"),
        pytest.param(
            {"lb": service(), "a": service("primary", None)},
            {"lb": True},
            id="a way to data that no label calls a front door",
        ),
        pytest.param(
            {"app": service(clients="spread"), "a": service("primary", None)},
            {"app": False},
            id="one of several that share requests out, before data",
        ),
        pytest.param(
            {"lb": service("frontdoor", clients="spread"), "a": service("primary")},
            {"lb": True},
            id="a front door, whatever else it says",
        ),
        pytest.param(
            {"a": service("primary", MOVING), "b": service("backup", MOVING)},
            {"a": True, "b": True},
            id="an address that moves between nodes",
        ),
        pytest.param(
            {"a": service("primary"), "b": service("backup", data="false")},
            {"a": False, "b": False},
            id="a node from which no final read is owed",
        ),
    ],
)
def test_an_answer_is_the_services_own_unless_another_may_have_given_it(
    tmp_path, services, expected
):
    file = tmp_path / "compose.yaml"
    parts = {name: {"command": ["x"], "labels": labels} for name, labels in services.items()}
    file.write_text(json.dumps({"services": parts}))
    assert doors(told(tmp_path, file)["endpoints"]) == expected
