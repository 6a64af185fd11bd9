"""Subnets and addresses of a run's networks, without an engine."""

from ipaddress import IPv4Network

import pytest

from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import Refused
from chaoskit.lab import docker_net
from chaoskit.lab.docker_net import LAB_RANGE, host_routes
from chaoskit.stack.model import Service, Stack

SUBNET = IPv4Network("198.18.7.0/24")


def stack_of(tmp_path, **services):
    made = {name: Service(name, networks=nets) for name, nets in services.items()}
    return Stack("s", tmp_path / "compose.yaml", made)


def test_candidates_stay_in_the_lab_range_and_never_repeat():
    found = list(docker_net._candidates("abc"))
    assert len(set(found)) == len(found) >= 32
    assert all(net.subnet_of(LAB_RANGE) and net.prefixlen == 24 for net in found)


def test_two_runs_begin_their_search_at_different_subnets():
    firsts = {next(docker_net._candidates(f"run{n}")) for n in range(50)}
    assert len(firsts) > 25


def test_every_node_has_one_address_and_static_ones_are_kept(tmp_path):
    stack = stack_of(
        tmp_path, a={"default": None}, b={"default": "198.18.7.10"}, c={"other": None}, d={}
    )
    found = docker_net._addresses(stack, "default", SUBNET)
    assert found["b"] == "198.18.7.10"
    assert "c" not in found
    assert set(found) == {CLIENT, OBSERVER, "a", "b", "d"}
    assert len(set(found.values())) == len(found)


def test_a_static_address_that_the_lab_needs_itself_is_refused(tmp_path):
    stack = stack_of(tmp_path, a={"default": "198.18.7.2"})
    with pytest.raises(Refused, match=r"198\.18\.7\.2"):
        docker_net._addresses(stack, "default", SUBNET)


def test_static_addresses_decide_the_subnet(tmp_path):
    stack = stack_of(tmp_path, a={"default": "198.19.3.9"}, b={"default": None})
    assert docker_net._fixed(stack, "default") == IPv4Network("198.19.3.0/24")
    assert docker_net._fixed(stack, "other") is None


@pytest.mark.parametrize("second", ["10.0.0.5", "198.18.8.9"])
def test_static_addresses_outside_of_one_lab_subnet_are_refused(tmp_path, second):
    stack = stack_of(tmp_path, a={"default": "198.18.7.9"}, b={"default": second})
    with pytest.raises(Refused, match="static addresses"):
        docker_net._fixed(stack, "default")


def test_the_hosts_routes_are_read_and_the_default_one_left_out(tmp_path):
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "tun0\t000012C6\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert host_routes(str(table)) == [IPv4Network("198.18.0.0/16")]
    assert host_routes(str(tmp_path / "none")) == []
