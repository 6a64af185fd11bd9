"""Containers end and begin again: kill, stop, start.

A node that is started again comes back with a new network namespace. What is cut off in it is cut
off at the other ends first, and joined there once its own rules are back: it never answers whom
it must not.
"""

from __future__ import annotations

import contextlib
import signal as signals
from abc import abstractmethod

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Node
from chaoskit.errors import ChaoskitError, HealFailed, LabError
from chaoskit.lab.docker_compose import Tree
from chaoskit.lab.docker_engine import Engine, translating
from chaoskit.lab.docker_host import first_process, send_signal
from chaoskit.lab.journal import Journal
from chaoskit.lab.netfilter import Netfilter
from chaoskit.lab.ops import DockerStart
from chaoskit.lab.process import ProcessIdentity
from chaoskit.stack.model import Stack

__all__ = ["Life"]

_STOPPED_WITHIN_S = 20.0


class Life:
    """``Kills`` and ``Stops`` of the Docker lab."""

    _engine: Engine
    _journal: Journal
    _stack: Stack
    _netfilter: Netfilter
    _stopped: dict[str, list[int]]
    _dead: set[str]
    _ending: dict[str, ProcessIdentity]

    @abstractmethod
    def identity(self, node: Node) -> str | None:
        """See ``Lab``."""

    @abstractmethod
    def _id(self, node: Node) -> str: ...

    @abstractmethod
    def _renew_links(self, node: Node) -> None: ...

    @abstractmethod
    def _state(self, node: Node) -> Tree: ...

    @abstractmethod
    def _close_ways_out(self, node: Node) -> None: ...

    def stopping(self, node: Node) -> tuple[int, float]:
        """See ``Stops``: what the Compose file says."""
        service = self._stack.services.get(node.name)
        if service is None:
            raise LabError(f"{node.name} is not a service: it cannot be stopped")
        number = getattr(signals, service.stop_signal, signals.SIGTERM)
        return int(number), service.stop_grace_period_s

    def kill(self, node: Node, signal: int) -> int:
        """See ``Kills``. Through a checked pidfd as root on the host, else through the engine."""
        identity = self._id(node)
        incarnation, state = self.identity(node), self._state(node)
        if incarnation is None:
            raise LabError(f"{node.name} does not run, so it cannot be killed")
        entry = self._journal.intend(DockerStart(identity), scope="fault")
        self._stopped.setdefault(node.name, []).append(entry)
        who, delivered_ns = first_process(state, identity), None
        if who is not None:
            self._ending[incarnation] = who
            delivered_ns = send_signal(who, signal, _STOPPED_WITHIN_S)
        else:
            with translating(f"killing {node.name}"):
                self._engine.client().api.kill(identity, signal)
        delivered_ns = delivered_ns or now_ns()
        if signal == signals.SIGKILL and not wait_until(
            lambda: self.identity(node) is None, within_s=_STOPPED_WITHIN_S, every_s=0.005
        ):
            raise LabError(f"{node.name} still runs {_STOPPED_WITHIN_S:g} s after SIGKILL")
        self._journal.done(entry)
        return delivered_ns

    def start(self, node: Node) -> None:
        """See ``Kills``. Cuts of the node that are meant to be in force hold without a gap."""
        identity = self._id(node)
        if self.identity(node) is None and not wait_until(
            lambda: not self._state(node).get("Running"), within_s=_STOPPED_WITHIN_S, every_s=0.005
        ):
            raise HealFailed(f"the engine does not notice that {node.name} has ended")
        with self._netfilter.shielded(node):
            with translating(f"starting {node.name}"):
                self._engine.client().api.start(identity)
            if not wait_until(
                lambda: self.identity(node), within_s=_STOPPED_WITHIN_S, every_s=0.005
            ):
                error = self._state(node).get("Error") or "no reason was given"
                raise HealFailed(
                    f"{node.name} does not run again: {error}; by hand: docker start "
                    f"{identity[:12]}"
                )
            # Where this fails the cut is not in force, and in_force says so: no reason not to
            # heal.
            with contextlib.suppress(ChaoskitError):
                self._renew_links(node)
            self._close_ways_out(node)
        for entry in self._stopped.pop(node.name, []):
            self._journal.undone(entry)
