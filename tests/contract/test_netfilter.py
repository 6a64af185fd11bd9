"""Partitions on real namespaces: what is cut, what is not, who notices, and what is left."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import pytest

from chaoskit.capabilities import Action, Cut, Direction
from chaoskit.clock import wait_until
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.netns import Namespaces

sys.path.insert(0, str(Path(__file__).parents[1]))
from netlab import keeper
from netrig import cut, cut_rig, ruleset, tcp

pytestmark = [
    pytest.mark.nft,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make bare network namespaces"),
]


@pytest.fixture
def net(tmp_path):
    with cut_rig(tmp_path) as lab:
        yield lab


def test_a_cut_separates_the_pair_and_nobody_else(net):
    handle = cut(net, "a", "b")
    assert net.filter.in_force(handle)
    assert tcp(net, "b", "a") == "TimeoutError"
    assert tcp(net, "a", "b") == "TimeoutError"
    assert tcp(net, "c", "a") == tcp(net, "a", "c") == tcp(net, "c", "b") == "None"
    net.filter.join(handle)
    assert tcp(net, "b", "a") == tcp(net, "a", "b") == "None"


def test_established_connections_and_datagrams_are_cut_and_go_on_after_the_join(net):
    talk = net.talker("b")
    talk(f"!k = connect('{net['a'].address}'); u = udp('{net['a'].address}')")
    assert talk("echo(k)") == talk("ask(u)") == "True"
    handle = cut(net, "a", "b")
    assert talk("ask(u)") == "TimeoutError"
    assert talk("echo(k)") == "TimeoutError"
    net.filter.join(handle)
    talk("!k.settimeout(20)")
    assert talk("k.recv(1)") == "b'x'"  # TCP retransmits what was lost
    assert talk("ask(u)") == "True"


@pytest.mark.parametrize("peer_side", [False, True])
def test_neither_side_of_a_drop_is_told(net, peer_side):
    sender, other = ("b", "a") if peer_side else ("a", "b")
    talk = net.talker(sender)
    address = net[other].address
    talk(f"!k = connect('{address}'); u = udp('{address}')")
    assert talk("echo(k)") == talk("ask(u)") == "True"
    cut(net, "a", "b")
    assert net.filter.silent()
    for _ in range(3):
        assert talk("u.send(b'y')") == "1"
        assert talk("k.send(b'z' * 3000)") == "3000"
    assert talk("u.recv(1)") == talk("k.recv(1)") == "TimeoutError"


def test_a_sender_behind_a_drop_backs_off_as_on_a_cut_cable(net):
    """With a plain drop TCP sees a full local queue, keeps its packets and never backs off."""
    talk = net.talker("a")
    talk(f"!k = connect('{net['b'].address}')")
    assert talk("echo(k)") == "True"
    cut(net, "a", "b")
    talk("k.send(b'z' * 3000)")
    talk("!time.sleep(2)")
    info = bytes(eval(talk("info(k)")))
    backoff, unacked = info[4], struct.unpack_from("I", info, 24)[0]
    assert backoff >= 2
    assert unacked >= 1


def test_one_way_receive_means_that_the_target_is_deaf_but_speaks(net):
    handle = cut(net, "a", "b", direction=Direction.RECEIVE)
    a, b = net.talker("a"), net.talker("b")
    b("!l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind(('', 9009)); l.settimeout(1)")
    a(
        f"!u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'm', ('{net['b'].address}', 9009))"
    )
    assert b("l.recv(1)") == "b'm'"
    b(f"!u = udp('{net['a'].address}')")
    assert b("ask(u)") == "TimeoutError"
    net.filter.join(handle)
    assert b("ask(u)") == "True"


def test_one_way_send_means_that_the_target_hears_but_is_mute(net):
    cut(net, "a", "b", direction=Direction.SEND)
    a, b = net.talker("a"), net.talker("b")
    a("!l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); l.bind(('', 9009)); l.settimeout(1)")
    b(
        f"!u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'm', ('{net['a'].address}', 9009))"
    )
    assert a("l.recv(1)") == "b'm'"
    assert tcp(net, "a", "b") == "TimeoutError"


def test_reject_answers_both_sides_at_once(net):
    talk_a, talk_b = net.talker("a"), net.talker("b")
    talk_b(f"!k = connect('{net['a'].address}')")
    assert talk_b("echo(k)") == "True"
    handle = cut(net, "a", "b", action=Action.REJECT)
    assert net.filter.in_force(handle)
    assert tcp(net, "b", "a") == "ConnectionRefusedError"
    assert tcp(net, "a", "b") == "ConnectionRefusedError"
    assert talk_b("echo(k)") == "ConnectionResetError"
    talk_b(f"!u = udp('{net['a'].address}')")
    assert talk_b("ask(u)") in {"OSError", "PermissionError", "ConnectionRefusedError"}
    talk_a(f"!u = udp('{net['b'].address}')")
    assert talk_a("ask(u)") in {"OSError", "PermissionError", "ConnectionRefusedError"}
    assert tcp(net, "c", "a") == "None"
    net.filter.join(handle)
    assert tcp(net, "b", "a") == tcp(net, "a", "b") == "None"


def test_a_reject_one_way_refuses_only_that_way(net):
    cut(net, "a", "b", action=Action.REJECT, direction=Direction.RECEIVE)
    assert tcp(net, "b", "a") == "ConnectionRefusedError"


def test_cuts_of_several_nodes_are_one_handle(net):
    pair = [Cut(net.node["a"], (net.node["b"],)), Cut(net.node["c"], (net.node["b"],))]
    handle = net.filter.cut(pair)
    assert net.filter.in_force(handle)
    assert tcp(net, "b", "a") == tcp(net, "b", "c") == "TimeoutError"
    assert tcp(net, "a", "c") == "None"
    net.filter.join(handle)
    assert tcp(net, "b", "a") == tcp(net, "b", "c") == "None"
    assert "chaoskit" not in ruleset(net["a"]) + ruleset(net["c"])


def test_handles_are_independent_and_joining_twice_is_silent(net):
    first, second = cut(net, "a", "b"), cut(net, "a", "c")
    net.filter.join(first)
    net.filter.join(first)
    assert not net.filter.in_force(first)
    assert net.filter.in_force(second)
    assert tcp(net, "b", "a") == "None"
    assert tcp(net, "c", "a") == "TimeoutError"
    net.filter.join(second)
    assert ruleset(net["a"]) == ""


def test_foreign_tables_are_left_as_they_were(net):
    text = "add table inet theirs\nadd chain inet theirs c\nadd rule inet theirs c accept\n"
    more = "add table inet chaoskit_other\nadd table ip chaoskit_t1\n"  # near misses by name
    net["a"].run("nft", "-f", "-", text=text + more)
    before = ruleset(net["a"])
    handle = cut(net, "a", "b")
    assert ruleset(net["a"]) != before
    net.filter.join(handle)
    assert ruleset(net["a"]) == before


def test_somebody_else_cannot_remove_the_table(net):
    handle = cut(net, "a", "b")
    gone = net["a"].popen(
        "nft", "delete", "table", "inet", "chaoskit_t1", stderr=subprocess.DEVNULL
    )
    assert gone.wait() != 0
    assert net.filter.in_force(handle)


def test_a_cut_whose_holder_died_is_not_in_force_and_joins_cleanly(net):
    handle = cut(net, "a", "b")
    os.kill(net.journal.open_entries()[0].op.pid, 9)
    wait_until(lambda: ruleset(net["a"]) == "", within_s=5)
    assert not net.filter.in_force(handle)
    net.filter.join(handle)
    again = cut(net, "a", "b")
    assert net.filter.in_force(again)


def test_a_cut_follows_its_node_into_a_new_namespace(net):
    handle = cut(net, "a", "b")
    old = net["a"].keeper
    net["a"].keeper = keeper()
    assert not net.filter.in_force(handle)
    net["a"].run("ip", "link", "add", "eth0", "type", "veth")
    net.filter.renew(net.node["a"])
    assert net.filter.in_force(handle)
    assert "198.18.240.3" in ruleset(net["a"])
    net.filter.join(handle)
    assert ruleset(net["a"]) == ""
    old.stdin.close()
    old.stdout.close()
    old.wait(10)


def test_one_bad_address_leaves_nothing_in_force_anywhere(net):
    bad = Node("x", "198.18.240.300")
    with pytest.raises(LabError, match="IPv4"):
        net.filter.cut([Cut(net.node["a"], (net.node["b"],)), Cut(net.node["b"], (bad,))])
    assert tcp(net, "b", "a") == "None"
    assert ruleset(net["a"]) == ruleset(net["b"]) == ""


CORPUS = [
    "10.0.0.3 drop; add table inet pwned",
    "10.0.0.3;",
    "10.0.0.3\nadd table inet pwned",
    "{ 10.0.0.3 }",
    "$(touch /tmp/pwned)",
    "-10.0.0.3",
    "--help",
    "10.0.0.3\0",
    "\u202e3.0.0.01",
    "10.0.0.0/8",
    "0x0a000003",
    "",
    '"}}]}',
]


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_values_change_nothing_outside_our_table(net, text):
    hostile = Node("x", text)
    before = ruleset(net["a"])
    for where in ({"address": text}, {"address": "198.18.240.3", "addresses": (text,)}):
        with pytest.raises(LabError):
            net.filter.cut([Cut(net.node["a"], (Node("x", **where),))])
    with pytest.raises((LabError, KeyError)):
        net.filter.cut(
            [Cut(hostile, (net.node["b"],), Direction.SEND)] * 2 + [Cut(Node(text, "1.2.3.4"), ())]
        )
    with pytest.raises(ValueError, match="run id"):
        Netfilter("t;" + text, net.journal, lambda node: Namespaces.of(net["a"].pid))
    assert ruleset(net["a"]) == before
    assert "pwned" not in ruleset(net["a"])


def test_other_pairs_lose_nothing_while_cuts_come_and_go(net):
    """A stream of datagrams between b and c, while a is cut off and joined twenty times."""
    script = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 9001)); s.settimeout(2)
s.send(b"-1"); s.recv(10); print("up", flush=True)
lost = n = 0
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    s.send(b"%d" % n)
    try:
        while s.recv(20) != b"%d" % n: pass
    except TimeoutError: lost += 1
    n += 1
print(n, lost, flush=True)
"""
    net.filter.prepare(net.node["a"])
    stream = net["b"].popen(
        *(sys.executable, "-c", script, net["c"].address),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stream.stdout.readline()
    for _ in range(20):
        net.filter.join(cut(net, "a", "b", "c"))
    answer, _ = stream.communicate("\n", timeout=20)
    sent, lost = map(int, answer.split())
    assert sent > 100
    assert lost == 0


def test_the_journal_knows_every_holder_before_anything_is_in_force(net):
    net.filter.prepare(net.node["a"])
    entries = net.journal.open_entries()
    assert len(entries) == 2  # who holds the table, and who reads it back
    for entry in entries:
        assert entry.scope == "fault"
        assert Path(f"/proc/{entry.op.pid}/environ").read_bytes().count(b"CHAOSKIT_RUN=t1") == 1
    net.filter.close()
    assert net.journal.open_entries() == ()
    net.journal.close()


@pytest.mark.parametrize("signal", [SIGKILL, SIGSTOP])
def test_without_the_reader_a_cut_is_read_back_all_the_same(net, signal):
    net.filter.prepare(net.node["a"])
    _, reader = net.journal.open_entries()
    os.kill(reader.op.pid, signal)
    handle = cut(net, "a", "b")
    assert net.filter.in_force(handle)
    assert tcp(net, "c", "a") == "None"
    net.filter.join(handle)
    assert tcp(net, "b", "a") == "None"
    assert not net.filter.in_force(handle)


def test_what_the_reader_says_is_what_the_kernel_shows(net):
    """It keeps what it has read; a change must never be missed by that."""
    handles = [cut(net, "a", "b")]
    for _ in range(3):
        handles.append(cut(net, "a", "c"))
        assert all(net.filter.in_force(handle) for handle in handles)
        net.filter.join(handles.pop(0))
        assert ruleset(net["a"]).count("saddr") == len(handles)
    net.filter.join(handles.pop())
    assert ruleset(net["a"]) == ""


def test_a_prepared_cut_is_quicker_than_an_unprepared_one(net):
    def timed(names):
        begin = time.monotonic()
        net.filter.join(cut(net, names, "c"))
        return time.monotonic() - begin

    cold = timed("a")
    warm = min(timed("a") for _ in range(5))
    assert warm < cold


def test_nothing_is_ever_put_into_the_network_of_this_host(net, tmp_path):
    from chaoskit.errors import Refused

    mine = Netfilter("t2", net.journal, lambda node: Namespaces.of(os.getpid()))
    with pytest.raises(Refused, match="network of this host"):
        mine.prepare(Node("me", "127.0.0.1"))
    with socket.socket() as own:  # and the way to it is not even open
        assert own.fileno() > 2
    assert json.dumps([e.n for e in net.journal.open_entries()]) == "[]"
