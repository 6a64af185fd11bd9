"""Planted defects of front doors and of the shapes in which several nodes serve: the table.

The flaws themselves are in ``active_active/defects.py``, ``cluster/defects.py`` and in the
``haproxy.cfg`` of the stacks.
"""

from __future__ import annotations

__all__ = ["FRONTDOOR", "ROWS", "behind"]

FRONTDOOR = "frontdoor-"
"""How the names of those begin that are in the front door: the nodes behind it are sound."""

ROWS: tuple[tuple[str, str, str, str, tuple[str, ...], str], ...] = (
    (
        "acks-alone",
        "active-active",
        "a write is acknowledged at once and sent to the other nodes two intervals later",
        "active-active-kill",
        ("lost_writes",),
        "",
    ),
    (
        "replays-on-return",
        "active-active",
        "a node that comes back is sent the newest writes as if they were new ones",
        "active-active-kill",
        ("duplicate_writes",),
        "",
    ),
    (
        "resync-drops-own",
        "active-active",
        "a node that was cut off throws away what it acknowledged alone and copies the others",
        "active-active-split",
        ("lost_writes",),
        "",
    ),
    (
        "frontdoor-ignores-death",
        "active-active",
        "HAProxy never stops sending to the dead node: it neither checks it nor tries another",
        "active-active-haproxy-kill",
        ("dropped_requests",),
        "haproxy",
    ),
    (
        "frontdoor-sticky",
        "active-passive",
        "HAProxy leaves open connections with the node that is no longer primary",
        "active-passive-haproxy-split",
        ("client_outage_read",),
        "haproxy",
    ),
    (
        "shard-without-owner",
        "cluster",
        "one shard is taken over by nobody when its owner dies",
        "cluster-3-kill",
        ("every shard is served again",),
        "",
    ),
    (
        "acks-before-majority",
        "cluster",
        "an owner acknowledges a write that no other node has yet",
        "cluster-3-kill",
        ("lost_writes",),
        "",
    ),
    (
        "replays-on-takeover",
        "cluster",
        "a new owner executes the newest writes of its shard a second time",
        "cluster-3-kill",
        ("duplicate_writes",),
        "",
    ),
    (
        "shard-flaps",
        "cluster",
        "a shard that was taken over is given up again by each owner after half a second",
        "cluster-3-kill",
        ("flapping",),
        "",
    ),
    (
        "never-recovers",
        "cluster",
        "a node that comes back copies nothing, so the next failure ends service",
        "cluster-3-kill",
        ("time_to_redundancy",),
        "",
    ),
    (
        "two-owners",
        "cluster",
        "an owner that is cut off from the others goes on acknowledging",
        "cluster-3-partition",
        ("dual_primary",),
        "",
    ),
)
"""Name, shape, what is wrong, experiment, metrics that must find it, program that it needs.

``outage_by_shard``: ``client_outage`` is the worst shard's, and it must be that of some only."""


def behind(shape: str) -> tuple[str, ...]:
    """Planted defects of a front door behind which the nodes of this shape are sound."""
    return tuple(row[0] for row in ROWS if row[0].startswith(FRONTDOOR) and row[1] == shape)
