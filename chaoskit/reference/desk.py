"""What an operator may ask of a node, over HTTP.

::

    GET  /failover                                    what is pending, and what is known about it
    POST /failover/approve  {"id", "candidate"}       200; 409 with the reason why not
    POST /failover/reject   {"id", "candidate"}       the same
    POST /failover/raise                              pending once more after a rejection
    POST /switchover        {"candidate", "leader"}   200 once the candidate is primary; 409: still
                            or nothing                here, and why; 421: this node is not primary
"""

from __future__ import annotations

import json

from chaoskit.reference.consent import PENDING, Decided
from chaoskit.reference.messages import Action
from chaoskit.reference.node import Node

__all__ = ["PATHS", "ask", "look", "switch"]

PATHS = (
    b"/failover",
    b"/failover/approve",
    b"/failover/reject",
    b"/failover/raise",
    b"/switchover",
)


def look(node: Node, now: int) -> dict[str, object]:
    """The answer to ``GET /failover``."""
    consent = node.consent
    if consent:
        node.withdraw(now)
    found = consent.now if consent else None
    pending = found if found and found.state == PENDING else None
    newest = consent.last if consent else None
    decided = found if found and not pending else newest
    role = node.role(now)
    return {
        "node": node.name,
        "mode": "approval" if consent else "automatic",
        "role": role,
        "epoch": node.epoch,
        "primary": node.primary or None,
        "pending": pending.as_dict() if pending else None,
        "decided": decided.as_dict() if decided else None,
        "known": {
            "in_sync": list(node.members),
            "last_write": node.store.seq,
            "heard_ms_ago": None
            if node.office
            else (now - node.follower.detector.seen_ns) // 10**6,
        },
    }


def ask(node: Node, now: int, path: bytes, body: bytes) -> Decided:
    """An operator's decision."""
    words = _words(body)
    if words is None:
        return Decided(400, 'the body must be JSON such as {"id": "...", "candidate": "..."}')
    what = path.rpartition(b"/")[2].decode("ascii")
    return node.decide(now, what, words.get("id", ""), words.get("candidate", ""))


def switch(node: Node, now: int, request: int, body: bytes) -> list[Action] | Decided:
    """An operator's switchover."""
    words = _words(body)
    if words is None:
        return Decided(400, 'the body must be empty or JSON such as {"candidate": "..."}')
    leader = words.get("leader", node.name)
    if leader != node.name:
        return Decided(409, f"{node.name} was asked, which is not {leader}")
    return node.switchover(now, request, words.get("candidate", ""))


def _words(body: bytes) -> dict[str, str] | None:
    """The body's texts by name; nothing at all is an empty object; None if it is something else."""
    if not body.strip():
        return {}
    try:
        made = json.loads(body)
    except ValueError:
        return None
    if not isinstance(made, dict) or not all(isinstance(v, str) for v in made.values()):
        return None
    return made
