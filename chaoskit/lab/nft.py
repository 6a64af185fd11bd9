"""nftables, spoken safely: rules as data, and the process that owns a table.

Everything that comes from outside is typed before it gets here (addresses by ``ipaddress``, names
by pattern) and travels as JSON on standard input, so no value can become syntax. The only text
line is the one that makes the table: in JSON, nft 1.0.6 accepts the owner flag and drops it. The
same version garbles its own JSON when it lists a table that has an owner, so rules are read back
as text.

Packets that the target sends are cut at the *egress* of its devices and forwarded to ``lo``, where
they are foreign and vanish. A plain drop there, or in the output hook, tells the sender: sendmsg
fails with EPERM, or TCP believes its own queue was full and retransmits twice a second instead of
backing off, and recovers too early. Swallowed, the packets are as lost as on a cut cable.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from chaoskit.capabilities import Action, Cut, Direction
from chaoskit.errors import LabError
from chaoskit.lab.netns import Namespaces
from chaoskit.lab.nft_listing import Answer, Listing, Reader, find_nft
from chaoskit.lab.ops import RUN_MARK, check_run_id
from chaoskit.lab.process import ProcessIdentity, identity_of

__all__ = [
    "LEASE_S",
    "Egress",
    "Holder",
    "Rule",
    "add_chains",
    "add_tables",
    "leased",
    "remove_chains",
    "remove_tables",
    "renew_lease",
    "rules_of",
]

LEASE_S = 3
"""Where tables cannot be owned (before Linux 5.12), rules hold for this long unless renewed."""

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_FENCE = b'{"nftables":[{"list":{"counters":{}}}]}\n'  # answered once all before it was done
_ANSWER = b'{"nftables": [{"metainfo"'
_EARLY = -310  # before connection tracking: established connections are cut as well
_COUNTER = {"counter": None}
_NOT_LOOPBACK = {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
_TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
_LEASED = {"match": {"op": "==", "left": {"meta": {"key": "protocol"}}, "right": "@lease"}}
_RESET = {"reject": {"type": "tcp reset"}}
_PROHIBITED = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
# What a reject rule itself sends must leave, or the refused side would see silence.
_OWN_REFUSALS = (
    {
        "match": {
            "op": "==",
            "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, "rst"]},
            "right": "rst",
        }
    },
    {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "icmp", "field": "type"}},
            "right": "destination-unreachable",
        }
    },
)


@dataclass(frozen=True)
class Egress:
    """How packets can be stopped on their way out: what this kernel has, the silent way first."""

    family: str  # netdev, or inet where there is no egress hook (before Linux 5.16)
    silent: bool

    def verdict(self) -> dict[str, object]:
        """The statement that ends a packet."""
        return {"fwd": {"dev": "lo"}} if self.silent else {"drop": None}


@dataclass(frozen=True)
class Rule:
    """One rule of ours. ``comment`` is unique in its table; ``proof`` must stand in its line."""

    family: str
    chain: str
    device: str | None
    hook: str
    expr: tuple[object, ...]
    comment: str
    proof: tuple[str, ...]

    def stands_in(self, listing: str) -> bool:
        """Whether the text that nft listed has this rule, with the address and verdict it had."""
        mark = f'comment "{self.comment}"'
        return any(
            mark in line and all(word in line for word in self.proof)
            for line in listing.splitlines()
        )


def rules_of(handle: str, cut: Cut, devices: Sequence[str], egress: Egress) -> list[Rule]:
    """The rules of one cut, for the namespace of its node.

    Raises ``LabError`` for an address that is no IPv4 address, before anything is in force.
    """
    peers = [_ipv4(address) for peer in cut.peers for address in peer.all_addresses()]
    rules: list[Rule] = []
    hear = cut.direction in (Direction.BOTH, Direction.RECEIVE)
    speak = cut.direction in (Direction.BOTH, Direction.SEND)
    if cut.action is Action.REJECT:
        if hear:
            rules += _refuse(handle, "input", "saddr", peers)
        if speak:
            rules += _refuse(handle, "output", "daddr", peers)
        return rules
    if hear:
        for peer in peers:
            expr = (_NOT_LOOPBACK, _address("saddr", peer), _COUNTER, {"drop": None})
            proof = (f"ip saddr {peer} ", " drop ")
            rules.append(Rule("inet", f"{handle}_in", None, "prerouting", expr, "", proof))
    if speak:
        rules += _swallow(handle, peers, devices, egress)
    return rules


def _swallow(
    handle: str, peers: Sequence[str], devices: Sequence[str], egress: Egress
) -> Iterable[Rule]:
    verdict = egress.verdict()
    for peer in peers:
        expr = (_address("daddr", peer), _COUNTER, verdict)
        proof = (f"ip daddr {peer} ", ' fwd to "lo"' if egress.silent else " drop ")
        if egress.family == "inet":
            yield Rule("inet", f"{handle}_out", None, "output", expr, "", proof)
            continue
        for index, device in enumerate(devices):
            yield Rule("netdev", f"{handle}_out{index}", device, "egress", expr, "", proof)


def _refuse(handle: str, hook: str, field: str, peers: Sequence[str]) -> Iterable[Rule]:
    chain = f"{handle}_{hook}"
    if hook == "output":
        for own in _OWN_REFUSALS:
            yield Rule("inet", chain, None, hook, (own, {"accept": None}), "", (" accept ",))
    # A refusal to ourselves arrives over lo with the peer's address: it must get through.
    where = (_NOT_LOOPBACK,) if hook == "input" else ()
    for peer in peers:
        match = (*where, _address(field, peer))
        proof = (f"ip {field} {peer} ", " reject ")
        yield Rule("inet", chain, None, hook, (*match, _TCP, _COUNTER, _RESET), "", proof)
        yield Rule("inet", chain, None, hook, (*match, _COUNTER, _PROHIBITED), "", proof)


def leased(rule: Rule) -> Rule:
    """The same rule, in force only while the table's lease is renewed."""
    return replace(rule, expr=(_LEASED, *rule.expr), proof=(*rule.proof, "@lease"))


def add_tables(
    table: str, families: Sequence[str], *, owned: bool
) -> list[str | dict[str, object]]:
    """The lines that make our tables, to be sent before their chains."""
    if owned:
        return [f"add table {family} {table} {{ flags owner; }}" for family in families]
    commands: list[object] = []
    for family in families:
        lease = {"name": "lease", "type": "ether_type", "flags": ["timeout"]}
        commands.append({"add": {"table": {"family": family, "name": table}}})
        commands.append({"add": {"set": {"family": family, "table": table, **lease}}})
        commands.append({"add": {"element": _lease(family, table)}})
    return [{"nftables": commands}] if commands else []


def renew_lease(table: str, families: Iterable[str]) -> dict[str, object]:
    """One transaction that renews the lease; it fails, and changes nothing, if that has ended.

    A timeout cannot be changed in place, so the element is removed and added.
    """
    elements = [_lease(family, table) for family in sorted(families)]
    pairs = [({"delete": {"element": e}}, {"add": {"element": e}}) for e in elements]
    return {"nftables": [command for pair in pairs for command in pair]}


def remove_tables(table: str, families: Iterable[str]) -> dict[str, object]:
    """One transaction that removes our tables with all that is in them."""
    names = [{"family": family, "name": table} for family in sorted(families)]
    return {"nftables": [{"delete": {"table": name}} for name in names]}


def _lease(family: str, table: str) -> dict[str, object]:
    element = {"elem": {"val": "ip", "timeout": LEASE_S}}
    return {"family": family, "table": table, "name": "lease", "elem": [element]}


def add_chains(table: str, rules: Sequence[Rule]) -> dict[str, object]:
    """One transaction that makes the rules' chains and the rules: all of it or nothing."""
    commands: list[object] = []
    seen: set[tuple[str, str]] = set()
    for rule in rules:
        where = {"family": rule.family, "table": table}
        if (rule.family, rule.chain) not in seen:
            seen.add((rule.family, rule.chain))
            hook: dict[str, object] = {"type": "filter", "hook": rule.hook, "prio": _EARLY}
            if rule.device is not None:
                hook |= {"dev": rule.device, "prio": 0}
            chain = {**where, "name": rule.chain, **hook, "policy": "accept"}
            commands.append({"add": {"chain": chain}})
        body = {**where, "chain": rule.chain, "comment": rule.comment, "expr": list(rule.expr)}
        commands.append({"add": {"rule": body}})
    return {"nftables": commands}


def remove_chains(table: str, rules: Sequence[Rule]) -> dict[str, object]:
    """One transaction that removes the rules' chains, whatever is in them."""
    chains = dict.fromkeys((rule.family, rule.chain) for rule in rules)
    commands: list[object] = []
    for family, name in chains:
        chain = {"family": family, "table": table, "name": name}
        commands += [{"flush": {"chain": chain}}, {"delete": {"chain": chain}}]
    return {"nftables": commands}


class Holder:
    """An nft process inside one namespace that owns our table there.

    The kernel removes the table when this process ends, and it ends when its standard input
    closes: a harness that dies, however it dies, takes its partitions with it.
    """

    def __init__(self, run_id: str, namespaces: Namespaces) -> None:
        self.table = f"chaoskit_{check_run_id(run_id)}"
        self.namespaces = namespaces
        self._process = namespaces.popen(
            [find_nft(), "-j", "-i"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, RUN_MARK: run_id},
        )
        self.identity: ProcessIdentity = identity_of(self._process.pid)
        self.reader = Reader(namespaces, self.table, run_id)

    def alive(self) -> bool:
        """Whether it still runs, and with it whatever it holds in force."""
        return self._process.poll() is None

    def send(self, *lines: str | dict[str, object]) -> None:
        """Hand over commands without waiting for them. Raises ``LabError`` if it has died."""
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        data = b"".join(text.encode("ascii") + b"\n" for text in texts) + _FENCE
        stdin = self._process.stdin
        try:
            if stdin is None:
                raise BrokenPipeError
            stdin.write(data)
            stdin.flush()
        except (OSError, ValueError):
            raise LabError("the nft process that holds the partition has died") from None

    def wait(self, timeout_s: float = 5.0) -> None:
        """Until all that was sent is done. Raises ``LabError`` with nft's words if it refused."""
        said = b""
        deadline = time.monotonic() + timeout_s
        stdout = self._process.stdout
        poll = select.poll()
        if stdout is not None:
            poll.register(stdout, select.POLLIN)
        while not (_ANSWER in said and said.endswith(b"\n")):
            if stdout is None or not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise LabError(f"nft did not answer within {timeout_s:g} s")
            data = os.read(stdout.fileno(), 1 << 16)
            if not data:
                raise LabError("nft ended unexpectedly", output=said.decode(errors="replace"))
            said += data
        refused = said.partition(_ANSWER)[0].strip()
        if refused:
            raise LabError("nft refused a rule", output=refused.decode(errors="replace"))

    def listing(self, *, quick: bool = False) -> Answer:
        """Ask the kernel, through another process, what our tables hold now.

        ``quick`` asks one that is there already; ``Reader`` says when that may be done.
        """
        if quick and self.reader.ask():
            return self.reader
        return Listing(self.namespaces, self.table)

    def devices(self) -> tuple[str, ...]:
        """The network devices of the namespace, without ``lo``."""
        raw = self.namespaces.run(["cat", "/proc/net/dev"]).stdout.decode(errors="replace")
        names = [line.partition(":")[0].strip() for line in raw.splitlines()[2:]]
        for name in names:
            if not _DEVICE.fullmatch(name):
                raise LabError(f"a network device of the node has the unusable name {name!r}")
        return tuple(name for name in names if name != "lo")

    def remove_unowned(self, families: Iterable[str]) -> None:
        """Remove our tables through another process, where ending the holder does not."""
        lines = "".join(f"delete table {family} {self.table}\n" for family in sorted(families))
        self.namespaces.run([find_nft(), "-f", "-"], input=lines.encode("ascii"))

    def end(self, grace_s: float = 1.0) -> None:
        """End the process and wait until it is gone, and what it held with it. Idempotent."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def close(self) -> None:
        """End it and let go of the namespace. Idempotent."""
        self.reader.end()
        self.end()
        self.namespaces.close()


def _address(field: str, address: str) -> dict[str, object]:
    payload = {"payload": {"protocol": "ip", "field": field}}
    return {"match": {"op": "==", "left": payload, "right": address}}


def _ipv4(address: str) -> str:
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise LabError(f"{address!r} is no IPv4 address; nothing was cut") from None
