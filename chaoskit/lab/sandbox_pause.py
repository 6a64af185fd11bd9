"""Every process of a service stands still and goes on: SIGSTOP of its PID namespace."""

from __future__ import annotations

from abc import abstractmethod

from chaoskit.contracts import Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.freeze import all_stopped, resume_all, stop_all
from chaoskit.lab.journal import Journal
from chaoskit.lab.ops import ContinueProcesses
from chaoskit.lab.process import ProcessIdentity
from chaoskit.lab.sandbox_session import Inside

__all__ = ["Freezer"]


class Freezer:
    """``Pauses`` of the sandbox lab."""

    _journal: Journal
    _services: dict[str, Inside]
    _frozen: dict[str, list[tuple[int, ProcessIdentity]]]

    @abstractmethod
    def node(self, name: str) -> Node:
        """See ``Lab``."""

    @abstractmethod
    def _gone(self, node: Node, so: str) -> LabError: ...

    def pause(self, node: Node) -> None:
        """Stop every process in the service's PID namespace."""
        process = self._services.get(self.node(node.name).name)
        if process is None or process.poll() is not None:
            raise self._gone(node, "it cannot be paused")
        who = process.identity
        op = ContinueProcesses(who.pid, who.starttime, who.boot_id)
        entry = self._journal.intend(op, scope="fault")
        self._frozen.setdefault(node.name, []).append((entry, who))
        try:
            stop_all(who)
        except (ProcessLookupError, TimeoutError, PermissionError) as error:
            raise LabError(f"{node.name} could not be paused: {error}") from error
        self._journal.done(entry)

    def paused(self, node: Node) -> bool:
        """Whether everybody in the service's PID namespace has stopped."""
        process = self._services.get(node.name)
        return process is not None and all_stopped(process.identity)

    def resume(self, node: Node) -> None:
        """Let them all go on. Idempotent. Raises ``HealFailed``."""
        while held := self._frozen.get(node.name):
            entry, who = held[-1]
            try:
                resume_all(who)
            except (TimeoutError, PermissionError) as error:
                raise HealFailed(f"{node.name} does not go on: {error}") from error
            self._journal.undone(entry)
            held.pop()
