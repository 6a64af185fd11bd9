"""What a cut is in nftables: rules as data, from typed values. Pure.

Packets that the target sends are cut at the *egress* of its devices and forwarded to ``lo``, where
they are foreign and vanish. A plain drop there, or in the output hook, tells the sender: sendmsg
fails with EPERM, or TCP believes its own queue was full and retransmits twice a second instead of
backing off, and recovers too early. Swallowed, the packets are as lost as on a cut cable.

Connections are told apart without connection tracking, which would take the first packet that it
sees of an old connection for a new one. A packet with SYN opens a connection, whichever way it
goes; where only connections that were open before are cut, each SYN's addresses and ports are
remembered in a set, and what is not in the set is older than the cut.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chaoskit.capabilities import Action, Connections, Cut, Direction
from chaoskit.errors import LabError

__all__ = ["Egress", "Rule", "leased", "mirrored", "rules_of"]

_GRAIN = 10_000  # a share is drawn in hundredths of a per cent
_COUNTER = {"counter": None}
_NOT_LOOPBACK = {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}
_TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}
_LEASED = {"match": {"op": "==", "left": {"meta": {"key": "protocol"}}, "right": "@lease"}}
_RESET: dict[str, object] = {"reject": {"type": "tcp reset"}}
_PROHIBITED: dict[str, object] = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
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
_UNREACHABLE: dict[str, object] = {"reject": {"type": "icmpx", "expr": "host-unreachable"}}
_SYN = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, "syn"]},
        "right": "syn",
    }
}
_FLOW = {
    "concat": [
        {"payload": {"protocol": protocol, "field": field}}
        for protocol, field in (
            ("ip", "saddr"),
            ("tcp", "sport"),
            ("ip", "daddr"),
            ("tcp", "dport"),
        )
    ]
}

_Expr = tuple[object, ...]
_Verdicts = tuple[tuple[_Expr, dict[str, object], str], ...]


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
    fills: str = ""  # the set of new connections that it adds to

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
    hear = cut.direction in (Direction.BOTH, Direction.RECEIVE)
    speak = cut.direction in (Direction.BOTH, Direction.SEND)
    rules: list[Rule] = []
    if speak and cut.action is not Action.DROP:
        for own in _OWN_REFUSALS:
            expr = (own, {"accept": None})
            rules.append(Rule("inet", f"{handle}_output", None, "output", expr, "", (" accept ",)))
    for peer in peers:
        if ipaddress.IPv4Address(peer).is_loopback:  # a service of the node itself: its resolver
            rules += _on_itself(handle, cut, peer)
            continue
        if hear:
            rules += _hear(handle, cut, peer)
        if speak:
            rules += _speak(handle, cut, peer, devices, egress)
    return rules


def _hear(handle: str, cut: Cut, peer: str) -> Iterator[Rule]:
    # A refusal to ourselves arrives over lo with the peer's address: it must get through.
    match = (_NOT_LOOPBACK, _address("saddr", peer))
    hook = "prerouting" if cut.action is Action.DROP else "input"
    verdicts = _verdicts(cut.action)
    yield from _hooked(handle, cut, "inet", hook, None, match, f"ip saddr {peer} ", verdicts)


def _speak(
    handle: str, cut: Cut, peer: str, devices: Sequence[str], egress: Egress
) -> Iterator[Rule]:
    match, proof = (_address("daddr", peer),), f"ip daddr {peer} "
    if cut.action is not Action.DROP:
        verdicts = _verdicts(cut.action)
        yield from _hooked(handle, cut, "inet", "output", None, match, proof, verdicts)
        return
    word = 'fwd to "lo"' if egress.silent else "drop"
    swallow: _Verdicts = (((), egress.verdict(), word),)
    if egress.family == "inet":
        yield from _hooked(handle, cut, "inet", "output", None, match, proof, swallow)
        return
    for number, device in enumerate(devices):
        name = f"{handle}_egress{number}"
        for rule in _hooked(handle, cut, "netdev", "egress", device, match, proof, swallow):
            yield replace(rule, chain=name)


def _on_itself(handle: str, cut: Cut, address: str) -> Iterator[Rule]:
    match, proof = (_address("daddr", address),), f"ip daddr {address} "
    hook = "prerouting" if cut.action is Action.DROP else "input"
    yield from _hooked(handle, cut, "inet", hook, None, match, proof, _verdicts(cut.action))


def _verdicts(action: Action) -> _Verdicts:
    """Further match, what then becomes of the packet, and the word for it in a listing."""
    match action:
        case Action.DROP:
            return (((), {"drop": None}, "drop"),)
        case Action.REJECT:
            return (((_TCP,), _RESET, "reject"), ((), _PROHIBITED, "reject"))
        case Action.UNREACHABLE:
            return (((), _UNREACHABLE, "reject"),)


def _hooked(
    handle: str,
    cut: Cut,
    family: str,
    hook: str,
    device: str | None,
    match: _Expr,
    proof: str,
    verdicts: _Verdicts,
) -> Iterator[Rule]:
    """One hook's rules for one peer: who is meant, which share of it, and what becomes of it."""
    chain = f"{handle}_{hook}"
    only: _Expr = ()
    if cut.connections is Connections.NEW:
        only = (_SYN,)
    elif cut.connections is Connections.ESTABLISHED:
        fresh = f"{handle}_fresh"
        remember = {"set": {"op": "add", "elem": _FLOW, "set": f"@{fresh}"}}
        expr = (*match, _SYN, remember, {"accept": None})
        yield Rule(family, chain, device, hook, expr, "", (proof, " accept "), fresh)
        only = ({"match": {"op": "!=", "left": _FLOW, "right": f"@{fresh}"}},)
    share, words = _share(cut.share)
    for further, verdict, word in verdicts:
        if cut.connections is not Connections.ALL and further == () and len(verdicts) > 1:
            continue  # the general answer beside the one for TCP: only TCP is meant
        expr = (*match, *further, *only, *share, _COUNTER, verdict)
        yield Rule(family, chain, device, hook, expr, "", (proof, f" {word} ", *words))


def _share(share: float) -> tuple[_Expr, tuple[str, ...]]:
    """The match that lets a random share of the packets through to the verdict."""
    if share >= 1.0:
        return (), ()
    below = max(1, round(share * _GRAIN))
    draw = {"numgen": {"mode": "random", "mod": _GRAIN}}
    expr = {"match": {"op": "<", "left": draw, "right": below}}
    return (expr,), (f"numgen random mod {_GRAIN} < {below} ",)


def leased(rule: Rule) -> Rule:
    """The same rule, in force only while the table's lease is renewed."""
    return replace(rule, expr=(_LEASED, *rule.expr), proof=(*rule.proof, "@lease"))


def _address(field: str, address: str) -> dict[str, object]:
    payload = {"payload": {"protocol": "ip", "field": field}}
    return {"match": {"op": "==", "left": payload, "right": address}}


def _ipv4(address: str) -> str:
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise LabError(f"{address!r} is no IPv4 address; nothing was cut") from None


def mirrored(cut: Cut) -> list[Cut]:
    """The same cut, made at the other ends of it: silently, whatever the cut itself does."""
    turned = {Direction.SEND: Direction.RECEIVE, Direction.RECEIVE: Direction.SEND}
    way = turned.get(cut.direction, Direction.BOTH)
    return [
        replace(cut, node=peer, peers=(cut.node,), direction=way, action=Action.DROP)
        for peer in cut.peers
    ]
