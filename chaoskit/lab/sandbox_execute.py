"""Commands inside a service, as its user, with a time limit that holds."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence

from chaoskit.capabilities import Ran
from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.process import kill_and_wait
from chaoskit.lab.sandbox_session import Inside
from chaoskit.stack.model import Service, Stack

__all__ = ["Commands"]

KEPT = 4096
"""Bytes of a command's output that are kept: the last ones."""


class Commands:
    """``Executes`` of the sandbox lab."""

    _stack: Stack

    @abstractmethod
    def identity(self, node: Node) -> str | None:
        """See ``Lab``."""

    @abstractmethod
    def _gone(self, node: Node, so: str) -> LabError: ...

    @abstractmethod
    def _run_inside(self, service: Service, argv: tuple[str, ...], output: int) -> Inside: ...

    def execute(self, node: Node, argv: Sequence[str], timeout_s: float) -> Ran:
        """See ``Executes``."""
        service = self._stack.services.get(node.name)
        if service is None or self.identity(node) is None:
            raise self._gone(node, "nothing can be run in it")
        output = os.memfd_create("output")
        try:
            process = self._run_inside(service, tuple(argv), output)
            try:
                status: int | None = process.wait(timeout_s)
            except TimeoutError:
                status = None
                kill_and_wait(process.identity)
            finally:
                process.release()
            size = os.fstat(output).st_size
            last = os.pread(output, KEPT, max(0, size - KEPT))
        finally:
            os.close(output)
        return Ran(status, last.decode(errors="replace"))
