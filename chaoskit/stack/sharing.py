"""Whether several services of a stack serve at once, as their labels declare."""

from __future__ import annotations

from collections.abc import Mapping

from chaoskit.stack.labels import clients, shard_count
from chaoskit.stack.model import Stack

__all__ = ["declared", "is_spread", "several_serve", "shards"]


def is_spread(stack: Stack) -> bool:
    """Clients share their requests out among several services."""
    return any(clients(service) == "spread" for service in stack.services.values())


def shards(stack: Stack) -> int:
    """Parts of the workload with owners of their own; 0 where there are none.

    Services that disagree are taken at the greatest word.
    """
    return max((shard_count(service) for service in stack.services.values()), default=0)


def declared(stack: Stack) -> Mapping[str, object]:
    """Both, as a history keeps them."""
    return {"spread": is_spread(stack), "shards": shards(stack)}


def several_serve(stack: Stack) -> bool:
    """More than one service is primary while all is well."""
    return is_spread(stack) or shards(stack) > 0
