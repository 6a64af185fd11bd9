"""The front door of an active-passive pair, as its clients see it: a list of endpoints.

Inside one logical operation a client may turn to another endpoint only after a *definite*
refusal, so that no write is ever sent twice by the client itself. After a timeout or a broken
connection the operation is over, and it is later operations that start elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gevent import Timeout

from chaoskit.history.records import Flag
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import Operation, Verdict, describe

__all__ = ["FrontDoor"]

Attempt = Callable[[Endpoint, Operation], Verdict]


class FrontDoor:
    """The endpoints and which of them is believed in; shared by all users of one client."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self.current = self.endpoints[0]
        self._by_node = {endpoint.node: endpoint for endpoint in self.endpoints}

    def leave(self, endpoint: Endpoint) -> None:
        """Believe in the next one from now on, unless somebody else has already moved on."""
        if self.current is endpoint:
            at = self.endpoints.index(endpoint)
            self.current = self.endpoints[(at + 1) % len(self.endpoints)]

    def first(self, operation: Operation) -> Endpoint:  # noqa: ARG002 - for those who choose by it
        """Whom to ask first."""
        return self.current

    def worked(self, endpoint: Endpoint) -> None:
        """It acknowledged something."""

    def walk(self, operation: Operation, attempt: Attempt) -> Verdict:
        """Try endpoints until one acknowledges, one leaves it open, or all have refused.

        Each endpoint is asked at most once, and one more time at most if a refusal names it.
        ``attempt`` reports a broken connection by ``OSError`` and must let ``Timeout`` pass.
        """
        endpoint = self.first(operation)
        tried: list[Endpoint] = []
        may_return = True
        while True:
            tried.append(endpoint)
            operation.attempts += 1
            operation.begin_anew()
            verdict = self._once(endpoint, operation, attempt)
            if verdict is Verdict.ACKNOWLEDGED:
                operation.error = ""
                self.worked(endpoint)
                if operation.attempts > 1:
                    self.current = endpoint
                return verdict
            if verdict is Verdict.UNKNOWN or not operation.move_on:
                return verdict
            following = self.following(operation.hint, endpoint, tried, may_return=may_return)
            if following is None:
                return verdict
            may_return = may_return and following not in tried
            endpoint = following
            operation.flags |= Flag.REDIRECTED

    def _once(self, endpoint: Endpoint, operation: Operation, attempt: Attempt) -> Verdict:
        try:
            return attempt(endpoint, operation)
        except Timeout:
            self.leave(endpoint)
            raise
        except OSError as error:
            operation.error = describe(error)
            self.leave(endpoint)
            if operation.dispatched:
                return Verdict.UNKNOWN
            operation.move_on = True
            return Verdict.REFUSED

    def following(
        self, hint: str, refused: Endpoint, tried: Sequence[Endpoint], *, may_return: bool
    ) -> Endpoint | None:
        """Whom to ask after a refusal; None if everybody has been asked."""
        hinted = self._by_node.get(hint)
        if hinted is not None and hinted is not refused:
            self.current = hinted
            return hinted if may_return or hinted not in tried else None
        return next((e for e in self.endpoints if e not in tried), None)
