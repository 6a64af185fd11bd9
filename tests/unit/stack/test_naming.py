"""Names of a service beside its own: read, checked, and written where programs look them up."""

import pytest

from chaoskit.errors import BadInput
from chaoskit.lab.sandbox_network import plan_network
from chaoskit.lab.sandbox_orders import service_order

TWO = """\
    services:
      a: {command: x, hostname: alpha, container_name: pg-1, networks: {x: {aliases: [db, pg-1]}}}
      b: {command: x, networks: {x: , y: {aliases: [cache]}}}
      c: {command: x, networks: [y]}
    networks: {x: , y: }
    """


def hosts(stack, viewer):
    """Name → address, as a program finds it: the first line counts."""
    found = {}
    for line in plan_network(stack).hosts(viewer).splitlines():
        address, *names = line.split()
        for name in names:
            found.setdefault(name, address)
    return found


def test_aliases_and_the_name_of_the_container_are_read_for_each_network(load):
    stack = load(TWO)
    assert stack.services["a"].aliases == {"x": ("pg-1", "db")}
    assert stack.services["b"].aliases == {"y": ("cache",)}
    assert stack.services["c"].aliases == {}
    assert stack.sandbox_refusals == ()
    assert not any("container_name" in note or "aliases" in note for note in stack.notes)


def test_others_find_a_service_by_every_name_that_it_has_where_they_are(load):
    stack = load(TWO)
    plan = plan_network(stack)
    (a,) = plan.addresses("a")
    on_x, on_y = plan.addresses("b")
    from_b = hosts(stack, "b")
    assert (from_b["a"], from_b["db"], from_b["pg-1"]) == (a, a, a)
    assert "alpha" not in from_b, "a hostname is known to its own machine alone"
    assert hosts(stack, "a")["alpha"] == a
    assert hosts(stack, "a")["b"] == on_x
    assert "cache" not in hosts(stack, "a"), "that is a name on a network where a is not"
    assert hosts(stack, "c")["cache"] == on_y
    assert hosts(stack, "client")["db"] == a


def test_a_service_is_told_its_hostname(load):
    stack = load(TWO)
    order = service_order(stack.services["a"], "r1", None)
    assert (order["hostname"], order["env"]["HOSTNAME"]) == ("alpha", "alpha")
    assert service_order(stack.services["b"], "r1", None)["hostname"] == "b"


@pytest.mark.parametrize("name", ["a b", "x\\n198.18.0.9 b", "-x", "a/b", "localhost", "client"])
@pytest.mark.parametrize(
    "line",
    ["hostname: NAME", "container_name: NAME", "networks: {default: {aliases: [ok, NAME]}}"],
)
def test_what_cannot_be_a_name_is_a_mistake_at_its_place(load, name, line):
    body = line.replace("NAME", f'"{name}"')
    with pytest.raises(BadInput) as error:
        load(f"services:\n  a:\n    command: x\n    {body}")
    (problem,) = error.value.problems
    assert str(problem).startswith("compose.yaml:4:")
    assert "cannot name a service" in str(problem)


@pytest.mark.parametrize(("replicas", "fine"), [("1", True), ("3", False)])
def test_several_containers_of_one_service_are_a_mistake(load, replicas, fine):
    text = f"services: {{a: {{command: x, deploy: {{replicas: {replicas}}}}}}}"
    if fine:
        assert "'deploy' of a has no effect in the sandbox lab" in load(text).notes
        return
    with pytest.raises(BadInput, match="a node is one container"):
        load(text)
