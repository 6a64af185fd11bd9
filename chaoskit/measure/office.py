"""Who can be in office: of all that answers name, the nodes that hold the data.

A front door that names itself, or an address that nobody knows, is a way to a node and no node.
Were it taken for one, it would be in office from beginning to end, together with whoever answers
pinned writers, and go on after every failover.
"""

from __future__ import annotations

import numpy as np

from chaoskit.history.history import History
from chaoskit.measure.roles import PRIMARY
from chaoskit.measure.table import Column
from chaoskit.measure.track import Bools

__all__ = ["holders", "in_office"]


def holders(history: History) -> Bools | None:
    """By number of a server, whether it can be in office; None where all can, or nobody knows.

    So can who holds data, and who by its own word was primary once, as the history says. If no name
    is that of such a node, answers have names of their own (a container's host name), and all can.
    """
    if not history.nodes:
        return None
    primary = {n for n, seen in history.polls.items() if any(p.value == PRIMARY for p in seen)}
    known = {"", *history.nodes, *primary}
    found: Bools = np.array([name in known for name in history.servers], dtype=bool)
    return None if found.all() or not found[1:].any() else found


def in_office(servers: Column, who: Bools | None) -> Column:
    """Numbers of servers, with 0, which is nobody, in the place of those that cannot be."""
    if who is None:
        return servers
    known = who[np.minimum(servers, who.size - 1)] & (servers < who.size)
    return np.where(known, servers, 0).astype(servers.dtype)
