"""A node is gone, its interfaces included, and comes back with nothing but its volumes."""

from __future__ import annotations

import signal
from abc import abstractmethod

from chaoskit.clock import now_ns
from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.sandbox_network import NetworkPlan
from chaoskit.lab.sandbox_orders import root_order
from chaoskit.lab.sandbox_session import Session
from chaoskit.stack.model import Stack

__all__ = ["Removal"]


class Removal:
    """``Removes`` of the sandbox lab."""

    _stack: Stack
    _plan: NetworkPlan
    _user_namespace: bool

    @abstractmethod
    def identity(self, node: Node) -> str | None:
        """See ``Lab``."""

    @abstractmethod
    def kill(self, node: Node, signal: int) -> int:
        """See ``Kills``."""

    @abstractmethod
    def start(self, node: Node) -> None:
        """See ``Kills``."""

    @abstractmethod
    def _running(self) -> Session: ...

    def prepare_removal(self, node: Node) -> None:
        """See ``Removes``: here nothing needs to be made ready."""
        if node.name not in self._stack.services:
            raise LabError(f"{node.name} is not a service: it cannot be removed")

    def remove(self, node: Node) -> int:
        """See ``Removes``: the processes first, then every interface goes down."""
        self.prepare_removal(node)
        told_ns = 0
        if self.identity(node) is not None:
            told_ns = self.kill(node, signal.SIGKILL)
        self._set_links(node, "down")
        return told_ns or now_ns()

    def restore(self, node: Node) -> None:
        """See ``Removes``: files as they were before it was ever started, volumes as they are."""
        if self.identity(node) is not None:
            return
        try:
            service = self._stack.services[node.name]
            self._running().request("wipe", {"node": node.name})
            self._running().request("root", root_order(service, locked=self._user_namespace))
            self._set_links(node, "up")
            self.start(node)
        except LabError as error:
            raise HealFailed(f"{node.name} was removed and does not come back: {error}") from error

    def _set_links(self, node: Node, state: str) -> None:
        count = len(self._plan.nics[node.name])
        lines = "".join(f"link set eth{number} {state}\n" for number in range(count))
        self._running().request("ip", {"stages": [{node.name: lines}]})
