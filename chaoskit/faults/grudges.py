"""Who cannot hear whom: the well-known shapes of partitions, as pairs of nodes. Pure.

Each function returns pairs (node, those it is cut from); a pair of nodes appears once. The shapes
and their names are those of Jepsen's nemesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from chaoskit.contracts import Node
from chaoskit.errors import LabError

__all__ = ["Grudge", "Shape", "between", "grudge"]

Grudge = tuple[tuple[Node, tuple[Node, ...]], ...]


class Shape(StrEnum):
    """A partition of all targets, by name."""

    BRIDGE = "bridge"  # two halves that only one node in the middle can see, and it sees both
    RING = "majorities-ring"  # everybody sees a majority, and no two see the same one


def grudge(shape: Shape, nodes: Sequence[Node]) -> Grudge:
    """The shape over these nodes in this order. Raises ``LabError`` where they are too few."""
    return _bridge(nodes) if shape is Shape.BRIDGE else _ring(nodes)


def between(groups: Sequence[Sequence[Node]]) -> Grudge:
    """Groups that cannot see each other; within one everybody sees everybody.

    Raises ``LabError`` for a node that is in two of them.
    """
    names = [node.name for group in groups for node in group]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError(f"{twice[0]} is in two groups of the partition: it cannot be on both sides")
    found = []
    for i, group in enumerate(groups):
        others = tuple(node for later in groups[i + 1 :] for node in later)
        found += [(node, others) for node in group if others]
    return tuple(found)


def _bridge(nodes: Sequence[Node]) -> Grudge:
    if len(nodes) < 3:
        raise LabError(f"a bridge needs three targets or more, not {len(nodes)}")
    half = (len(nodes) - 1) // 2
    return between([nodes[:half], nodes[half + 1 :]])


def _ring(nodes: Sequence[Node]) -> Grudge:
    """A circulant graph: each sees its nearest neighbours on a ring, a majority with itself.

    With n nodes that takes n // 2 neighbours: as many on either side, and the opposite node too
    where that number is odd and there is one.
    """
    n = len(nodes)
    if n < 4:
        raise LabError(f"a majorities ring needs four targets or more, not {n}; with three: bridge")
    near, odd = divmod(n // 2, 2)
    if odd and n % 2:
        near, odd = near + 1, 0
    found = []
    for i, node in enumerate(nodes):
        hidden = []
        for j in range(i + 1, n):
            apart = min(j - i, n - (j - i))
            if apart > near and not (odd and apart * 2 == n):
                hidden.append(nodes[j])
        if hidden:
            found.append((node, tuple(hidden)))
    return tuple(found)
