"""What faults that cut packets have in common: how they go in and out, and what proves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from chaoskit.capabilities import Action, Connections, Cut, Cuts, Direction
from chaoskit.clock import now_ns
from chaoskit.contracts import CLIENT, Dial, Hold, Lab, Node, Targets
from chaoskit.faults.dials import datagrams, dial, kept, standing

__all__ = ["EVERYBODY", "Proof", "cuts_from", "held", "prove"]

EVERYBODY = "everybody"
"""All other services and the client; not the observer, which must go on seeing all sides."""

Proof = tuple[tuple[Dial, ...], tuple[Dial, ...]]
"""Dials that must fail while it is on, and dials that must go on working."""


def cuts_from(lab: Lab, targets: Targets, like: Cut) -> tuple[Cut, ...]:
    """A cut like this one for every target: from ``targets["from"]``, or from everybody."""
    cuts = []
    for node in targets.nodes:
        if "from" in targets.others:
            peers = tuple(n for n in targets["from"] if n.name != node.name)
        else:
            others = tuple(n for n in lab.nodes() if n.name != node.name)
            peers = (*others, lab.node(CLIENT))
        cuts.append(
            Cut(node, peers, like.direction, like.action, like.connections, like.share),
        )
    return tuple(cut for cut in cuts if cut.peers)


@contextmanager
def held(lab: Lab, cuts: Sequence[Cut], proof: Proof, detail: str) -> Iterator[Hold]:
    """The cuts in force, verified by reading the rules back, until the exit."""
    lab_cuts = cast("Cuts", lab)
    dials, spared = proof
    hold = Hold(now_ns(), 0, None, dials, spared, detail=detail)
    handle = lab_cuts.cut(cuts)
    try:
        hold.acknowledged_ns = now_ns()
        hold.verified_ns = now_ns() if lab_cuts.in_force(handle) else None
        hold.in_force = lambda: lab_cuts.in_force(handle)
        yield hold
        if not lab_cuts.in_force(handle):
            hold.verified_ns = None  # it did not hold for its window: healed by somebody else
            hold.detail += "; the rules were gone before the heal"
    finally:
        hold.heal_commanded_ns = now_ns()
        lab_cuts.join(handle)
        hold.healed_ns = now_ns()


def prove(lab: Lab, cuts: Sequence[Cut]) -> Proof:
    """What an observer sees of whole cuts: what no longer works, and what still does."""
    fails: list[Dial] = []
    works: list[Dial] = []
    for cut in cuts:
        for peer in cut.peers:
            bad, good = _pair(cut, peer)
            fails += bad
            works += good
    works += _thirds(lab, cuts)
    return tuple(dict.fromkeys(fails)), tuple(dict.fromkeys(works))


def _pair(cut: Cut, peer: Node) -> tuple[Sequence[Dial], Sequence[Dial]]:
    """From the peer to the target where the target listens, else the other way round."""
    node = cut.node
    opening = dial(peer, node) or dial(node, peer)
    holding = kept(peer, node) or kept(node, peer)
    match cut.connections:
        case Connections.NEW:
            return opening, holding
        case Connections.ESTABLISHED:
            return holding, opening
    # TCP needs both ways, so a cut of one way stops every handshake; datagrams tell which it is.
    match cut.direction:
        case Direction.RECEIVE:
            return (*opening, *datagrams(peer, node)), datagrams(node, peer)
        case Direction.SEND:
            return (*opening, *datagrams(node, peer)), datagrams(peer, node)
    return opening or datagrams(peer, node), ()


def _thirds(lab: Lab, cuts: Sequence[Cut]) -> Iterator[Dial]:
    """Whoever is not cut off must still be heard, by both sides of a cut."""
    apart = {frozenset((cut.node.name, peer.name)) for cut in cuts for peer in cut.peers}
    everybody = standing(lab, (*lab.nodes(), lab.node(CLIENT)))
    for cut in cuts:
        for side in (cut.node, *standing(lab, cut.peers)[:1]):
            for third in everybody:
                pair = frozenset((side.name, third.name))
                if len(pair) == 2 and pair not in apart:
                    yield from datagrams(side, third)
                    break


def said(cuts: Sequence[Cut]) -> str:
    """The cuts in words, for a report."""
    parts = [
        f"{cut.node.name} ({cut.node.address}) cut from {', '.join(p.name for p in cut.peers)}"
        for cut in cuts
    ]
    how = [cuts[0].direction.value, cuts[0].action.value]
    if cuts[0].connections is not Connections.ALL:
        how.append(f"{cuts[0].connections.value} connections")
    return f"{'; '.join(parts)}: {', '.join(how)}"


def drops(cuts: Sequence[Cut]) -> bool:
    """Whether every cut is silent."""
    return all(cut.action is Action.DROP for cut in cuts)
