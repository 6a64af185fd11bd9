"""A netfilter on three bare namespaces, each with an echo server, for tests of cuts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netlab import ECHO, NetLab, Talker

from chaoskit.capabilities import Cut
from chaoskit.contracts import Node
from chaoskit.lab.journal import Journal
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.netns import Namespaces

__all__ = ["cut", "cut_rig", "ruleset", "tcp"]


@contextmanager
def cut_rig(tmp_path: Path) -> Iterator[NetLab]:
    """Three namespaces with an echo server each, a netfilter on them, and talkers on demand."""
    with NetLab(3) as lab, Journal.create("t1", tmp_path / "state") as journal:
        servers = []
        for space in lab.spaces.values():
            server = space.popen(
                sys.executable, "-c", ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            server.stdout.readline()
            servers.append(server)
        lab.journal = journal
        lab.filter = Netfilter("t1", journal, lambda node: Namespaces.of(lab[node.name].pid))
        lab.talkers = {}

        def talker(name):
            if name not in lab.talkers:
                lab.talkers[name] = Talker(lab[name])
            return lab.talkers[name]

        lab.talker = talker
        lab.node = {n: Node(n, s.address) for n, s in lab.spaces.items()}
        yield lab
        lab.filter.close()
        for talker in lab.talkers.values():
            talker.close()
        for server in servers:
            server.stdin.close()
            server.stdout.close()
            server.wait(10)


def ruleset(space) -> str:
    return space.run("nft", "list", "ruleset").stdout


def tcp(net, source: str, target: str) -> str:
    return net.talker(source)(f"connect('{net[target].address}').close()")


def cut(net, target: str, *peers: str, **how) -> str:
    return net.filter.cut([Cut(net.node[target], tuple(net.node[p] for p in peers), **how)])
