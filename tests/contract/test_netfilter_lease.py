"""Partitions where the kernel knows no owner of a table: rules hold for a lease only."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from chaoskit.capabilities import Action, Cut
from chaoskit.clock import wait_until
from chaoskit.contracts import Node
from chaoskit.lab.journal import Journal
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.nft import LEASE_S

sys.path.insert(0, str(Path(__file__).parents[1]))
from netlab import ECHO, NetLab, Talker

pytestmark = [
    pytest.mark.nft,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make bare network namespaces"),
]


@pytest.fixture
def net(tmp_path):
    import subprocess

    with NetLab(2) as lab, Journal.create("t1", tmp_path / "state") as journal:
        server = lab["a"].popen(
            sys.executable, "-c", ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        server.stdout.readline()
        lab.journal = journal
        lab.filter = Netfilter(
            "t1", journal, lambda node: Namespaces.of(lab[node.name].pid), owned=False
        )
        lab.talk = Talker(lab["b"])
        lab.node = {name: Node(name, space.address) for name, space in lab.spaces.items()}
        yield lab
        lab.filter.close()
        lab.talk.close()
        server.communicate()
        assert journal.open_entries() == ()


def tcp(net) -> str:
    return net.talk(f"connect('{net['a'].address}').close()")


def ruleset(net) -> str:
    return net["a"].run("nft", "list", "ruleset").stdout


@pytest.mark.parametrize(
    ("action", "felt"), [(Action.DROP, "TimeoutError"), (Action.REJECT, "ConnectionRefusedError")]
)
def test_a_leased_cut_holds_for_longer_than_its_lease_and_leaves_nothing(net, action, felt):
    handle = net.filter.cut([Cut(net.node["a"], (net.node["b"],), action=action)])
    assert "owner" not in ruleset(net)
    time.sleep(1.5 * LEASE_S)
    assert net.filter.in_force(handle)
    assert tcp(net) == felt
    net.filter.join(handle)
    assert tcp(net) == "None"
    assert ruleset(net) == ""


def test_a_cut_that_nobody_renews_ends_and_does_not_come_back(net):
    handle = net.filter.cut([Cut(net.node["a"], (net.node["b"],))])
    net.filter._over.set()  # as when the harness is frozen
    assert tcp(net) == "TimeoutError"
    assert wait_until(lambda: tcp(net) == "None", within_s=3 * LEASE_S)
    assert not net.filter.in_force(handle)
    net.filter.join(handle)
    assert ruleset(net) == ""


def test_tables_go_although_the_holder_died_first(net):
    handle = net.filter.cut([Cut(net.node["a"], (net.node["b"],))])
    os.kill(net.journal.open_entries()[0].op.pid, 9)
    assert wait_until(lambda: not net.filter.in_force(handle), within_s=5)
    net.filter.join(handle)
    net.filter.close()
    assert ruleset(net) == ""
