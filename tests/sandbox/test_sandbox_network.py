"""Who gets which address: worked out before anything is started."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from chaoskit.errors import Refused
from chaoskit.lab.sandbox_network import LAB_RANGE, plan_network
from chaoskit.stack.model import Service, Stack


def stack(services: dict[str, dict[str, str | None]], *networks: str) -> Stack:
    made = {name: Service(name, command=("x",), networks=nets) for name, nets in services.items()}
    return Stack("s", Path("compose.yaml"), made, networks=networks or ("default",))


def test_services_client_and_observer_get_addresses_of_their_own_inside_the_range():
    plan = plan_network(stack({"a": {}, "b": {}}))
    found = {name: plan.addresses(name) for name in ("a", "b", "client", "observer")}
    flat = [address for addresses in found.values() for address in addresses]
    assert len(set(flat)) == len(flat) == 4
    assert all(IPv4Address(address) in LAB_RANGE for address in flat)


def test_a_static_address_is_kept_and_given_to_nobody_else():
    plan = plan_network(stack({"a": {}, "b": {"default": "198.18.5.2"}, "c": {}}))
    assert plan.addresses("b") == ("198.18.5.2",)
    others = [plan.addresses(n)[0] for n in ("a", "c", "client", "observer")]
    assert "198.18.5.2" not in others
    assert all(address.startswith("198.18.5.") for address in others)


def test_static_addresses_far_apart_share_a_wider_network():
    plan = plan_network(stack({"a": {"n": "198.18.1.1"}, "b": {"n": "198.18.200.1"}}, "n"))
    assert {nic.prefix for nics in plan.nics.values() for nic in nics} == {16}


def test_a_network_with_static_addresses_and_one_without_do_not_overlap():
    plan = plan_network(
        stack({"a": {"x": None}, "b": {"y": "198.18.0.9"}, "c": {"x": None, "y": None}}, "x", "y")
    )
    assert plan.addresses("b") == ("198.18.0.9",)
    assert not plan.addresses("a")[0].startswith("198.18.0.")
    assert len(plan.addresses("c")) == 2
    assert len(plan.addresses("client")) == 2


def test_names_mean_an_address_on_a_network_that_both_are_on():
    plan = plan_network(
        stack({"a": {"x": None}, "b": {"y": None}, "c": {"x": None, "y": None}}, "x", "y")
    )
    on_x, on_y = plan.addresses("c")
    assert f"{on_x} c\n" in plan.hosts("a")
    assert f"{on_y} c\n" in plan.hosts("b")
    assert " b\n" not in plan.hosts("a")
    assert " a\n" in plan.hosts("client")
    assert " b\n" in plan.hosts("client")


@pytest.mark.parametrize(
    ("services", "networks", "says"),
    [
        ({"a": {"default": "10.0.0.1"}}, ("default",), "outside of 198.18.0.0/15"),
        ({"a": {"default": "198.18.0.300"}}, ("default",), "no IPv4 address"),
        (
            {"a": {"default": "198.18.0.2"}, "b": {"default": "198.18.0.2"}},
            ("default",),
            "belongs to another service",
        ),
        (
            {"a": {"default": "198.18.0.2"}, "b": {"default": "198.19.0.2"}},
            ("default",),
            "in no one /16",
        ),
        ({"a": {"x": "198.18.0.2"}, "b": {"y": "198.18.0.3"}}, ("x", "y"), "overlaps"),
        ({"a": {"elsewhere": None}}, ("default",), "unknown here"),
        ({"client": {}}, ("default",), "a name that every lab uses"),
    ],
)
def test_what_cannot_be_given_is_refused_with_the_service_and_the_reason(services, networks, says):
    with pytest.raises(Refused, match=says):
        plan_network(stack(services, *networks))
