"""Cuts of some connections and some packets, on real namespaces."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from chaoskit.capabilities import Action, Connections, Direction

sys.path.insert(0, str(Path(__file__).parents[1]))
from netrig import cut, cut_rig, ruleset, tcp

pytestmark = [
    pytest.mark.nft,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make bare network namespaces"),
]


@pytest.fixture
def net(tmp_path):
    with cut_rig(tmp_path) as lab:
        yield lab


def kept(net, source, target):
    talk = net.talker(source)
    talk(f"!k = connect('{net[target].address}')")
    assert talk("echo(k)") == "True"
    return talk


@pytest.mark.parametrize("source", ["a", "b"])
def test_half_open_old_connections_go_silent_and_new_ones_work(net, source):
    other = "b" if source == "a" else "a"
    talk = kept(net, source, other)
    handle = cut(net, "a", "b", connections=Connections.ESTABLISHED)
    assert net.filter.in_force(handle)
    assert talk("echo(k)") == "TimeoutError"
    for _ in range(3):
        assert talk(f"echo(connect('{net[other].address}'))") == "True"
    assert talk(f"ask(udp('{net[other].address}'))") == "True"
    net.filter.join(handle)
    talk("!k.settimeout(20)")
    assert talk("k.recv(1)") == "b'x'"
    assert ruleset(net["a"]) == ""


@pytest.mark.parametrize("source", ["a", "b"])
def test_new_only_no_connection_opens_and_open_ones_go_on(net, source):
    other = "b" if source == "a" else "a"
    talk = kept(net, source, other)
    handle = cut(net, "a", "b", connections=Connections.NEW)
    assert tcp(net, source, other) == "TimeoutError"
    for _ in range(3):
        assert talk("echo(k)") == "True"
    net.filter.join(handle)
    assert tcp(net, source, other) == "None"


@pytest.mark.parametrize(
    ("direction", "blocked"), [(Direction.RECEIVE, "echo(k)"), (Direction.SEND, "echo(k)")]
)
def test_half_open_one_way_is_still_silence(net, direction, blocked):
    talk = kept(net, "b", "a")
    cut(net, "a", "b", connections=Connections.ESTABLISHED, direction=direction)
    assert talk(blocked) == "TimeoutError"
    assert talk(f"echo(connect('{net['a'].address}'))") == "True"


def test_established_connections_can_be_reset_while_new_ones_work(net):
    talk = kept(net, "b", "a")
    cut(net, "a", "b", connections=Connections.ESTABLISHED, action=Action.REJECT)
    assert talk("echo(k)") in ("ConnectionResetError", "TimeoutError")
    assert talk("echo(k)") in ("ConnectionResetError", "BrokenPipeError")
    assert talk(f"echo(connect('{net['a'].address}'))") == "True"


def test_new_connections_can_be_refused_while_open_ones_go_on(net):
    talk = kept(net, "b", "a")
    cut(net, "a", "b", connections=Connections.NEW, action=Action.REJECT)
    assert tcp(net, "b", "a") == "ConnectionRefusedError"
    assert talk("echo(k)") == "True"


@pytest.mark.parametrize("source", ["a", "b"])
def test_unreachable_is_what_a_router_would_say(net, source):
    other = "b" if source == "a" else "a"
    talk = net.talker(source)
    talk(f"!u = udp('{net[other].address}')")
    handle = cut(net, "a", "b", action=Action.UNREACHABLE)
    assert tcp(net, source, other) == "OSError"  # no route to host
    # The kernel itself tells a sender whose own packet is refused on the way out; to others, that
    # a host is unreachable now is no reason to give up on a datagram.
    assert talk("ask(u)") == ("PermissionError" if source == "a" else "TimeoutError")
    net.filter.join(handle)
    assert tcp(net, source, other) == "None"


@pytest.mark.parametrize("direction", [Direction.RECEIVE, Direction.SEND])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_the_packets_is_lost_and_no_more(net, share, direction):
    talk, count = net.talker("b"), 1000
    talk(f"!u = udp('{net['a'].address}')")
    assert int(talk(f"answered(u, {count})")) == count
    handle = cut(net, "a", "b", share=share, direction=direction)
    lost = 1 - int(talk(f"answered(u, {count})")) / count
    assert abs(lost - share) < 5 * (share * (1 - share) / count) ** 0.5
    net.filter.join(handle)
    assert int(talk(f"answered(u, {count})")) == count
