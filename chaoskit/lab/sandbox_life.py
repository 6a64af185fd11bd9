"""Services end and begin again: kill, stop, start. Their network stays as it is meanwhile."""

from __future__ import annotations

import contextlib
import signal as signals
import threading
from abc import abstractmethod

from chaoskit.clock import now_ns
from chaoskit.contracts import Node
from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.sandbox_session import Inside
from chaoskit.stack.model import Service, Stack

__all__ = ["Life"]

_KILLED_S = 5.0


class Life:
    """``Kills`` and ``Stops`` of the sandbox lab."""

    _stack: Stack
    _services: dict[str, Inside]
    _lock: threading.RLock

    @abstractmethod
    def identity(self, node: Node) -> str | None:
        """See ``Lab``."""

    @abstractmethod
    def node(self, name: str) -> Node:
        """See ``Lab``."""

    @abstractmethod
    def _gone(self, node: Node, so: str) -> LabError: ...

    @abstractmethod
    def _start_service(self, service: Service) -> Inside: ...

    @abstractmethod
    def _renew_resources(self, node: Node) -> None: ...

    def stopping(self, node: Node) -> tuple[int, float]:
        """See ``Stops``: what the Compose file says."""
        service = self._stack.services.get(node.name)
        if service is None:
            raise LabError(f"{node.name} is not a service: it cannot be stopped")
        number = getattr(signals, service.stop_signal, signals.SIGTERM)
        return int(number), service.stop_grace_period_s

    def kill(self, node: Node, signal: int) -> int:
        """Signal the service's first process; SIGKILL takes its whole PID namespace with it.

        Returns when, for SIGKILL, the kernel says that none of them is left.
        """
        process = self._services.get(self.node(node.name).name)
        if process is None or process.poll() is not None:
            raise self._gone(node, "there is nothing to signal")
        process.signal(signal)
        delivered_ns = now_ns()
        if signal == signals.SIGKILL:
            with contextlib.suppress(TimeoutError):
                process.wait(_KILLED_S)
                return delivered_ns
            raise LabError(f"{node.name} was still there {_KILLED_S:g} s after SIGKILL")
        return delivered_ns

    def start(self, node: Node) -> None:
        """Start an ended service again: same address, same files; returns when it runs.

        Its network namespace has outlived it, and with it whatever is cut off there; what limits
        its processes is put on the new ones.
        """
        with self._lock:
            service = self._stack.services.get(node.name)
            if service is None:
                raise LabError(f"{node.name} is not a service: it cannot be started")
            if self.identity(node) is not None:
                raise LabError(f"{node.name} is running already")
            self._start_service(service)
            # Where this fails the limit is not in force, and whoever asks is told so.
            with contextlib.suppress(ChaoskitError):
                self._renew_resources(node)
