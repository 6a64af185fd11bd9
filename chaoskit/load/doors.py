"""Front doors of systems in which several nodes serve: all of them everything, or each its shards.

``spread``: requests go to all endpoints in turn. One that fails is left alone for a second; then
one request tries it, and only if that is answered does it get its share again. ``shards``: who owns
a shard is believed in until a refusal names somebody else or it fails, for each shard on its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.frontdoor import Attempt, FrontDoor
from chaoskit.load.operation import Operation, Verdict

__all__ = ["REST_S", "Sharded", "Spread", "door_of"]

REST_S = 1.0
"""How long an endpoint that failed is left alone."""

CONNECT_SHARE = 0.25
"""Of an operation's timeout: how long it waits for a connection before it goes elsewhere."""


def door_of(config: LoadConfig) -> FrontDoor:
    """The front door that the stack declares."""
    if config.shards:
        return Sharded(config.endpoints, config.shards)
    if config.spread and len(config.endpoints) > 1:
        timeout_s = min(stream.timeout_ns for stream in config.streams) / 1e9
        return Spread(config.endpoints, timeout_s * CONNECT_SHARE)
    return FrontDoor(config.endpoints)


class Spread(FrontDoor):
    """Every endpoint in turn, but for those that rest.

    A connection that is not there within ``connect_s`` counts as a failure: nothing was sent, so
    the operation may go elsewhere.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        connect_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(endpoints)
        self._connect_s = connect_s
        self._now = now
        self._turn = 0
        self._rests_until: dict[Endpoint, float] = {}

    def first(self, operation: Operation) -> Endpoint:
        """The next one whose turn it is."""
        operation.connect_s = self._connect_s
        now, count = self._now(), len(self.endpoints)
        for _ in range(count):
            endpoint = self.endpoints[self._turn % count]
            self._turn += 1
            until = self._rests_until.get(endpoint)
            if until is None:
                return endpoint
            if now >= until:
                self._rests_until[endpoint] = now + REST_S  # the others wait for this one's news
                return endpoint
        return self.endpoints[self._turn % count]

    def leave(self, endpoint: Endpoint) -> None:
        """It failed: it rests."""
        self._rests_until[endpoint] = self._now() + REST_S

    def worked(self, endpoint: Endpoint) -> None:
        """It serves: it gets its share again."""
        self._rests_until.pop(endpoint, None)

    def following(
        self, hint: str, refused: Endpoint, tried: Sequence[Endpoint], *, may_return: bool
    ) -> Endpoint | None:
        """Whom a refusal names, else one that was not tried; first those that do not rest."""
        hinted = super().following(hint, refused, tried, may_return=may_return)
        if hint or hinted is None:
            return hinted
        left = [e for e in self.endpoints if e not in tried]
        return min(left, key=lambda e: self._rests_until.get(e, 0.0))


class Sharded(FrontDoor):
    """One front door for each shard, all over the same endpoints."""

    def __init__(self, endpoints: Sequence[Endpoint], shards: int) -> None:
        super().__init__(endpoints)
        self.doors = [FrontDoor(endpoints) for _ in range(shards)]
        for shard, door in enumerate(self.doors):  # a guess; the first refusal says better
            door.current = self.endpoints[shard % len(self.endpoints)]

    def walk(self, operation: Operation, attempt: Attempt) -> Verdict:
        """Ask whoever is believed to own the operation's shard."""
        door = self.doors[(operation.key - 1) % len(self.doors)] if operation.key else self.doors[0]
        return door.walk(operation, attempt)
