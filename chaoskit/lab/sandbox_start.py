"""Bringing the services up: in the order of ``depends_on``, healthy before others rely on them.

A service that ends by itself, or does not become healthy in time, ends the attempt with an error
that names it and shows its last lines.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.clock import NS, now_ns
from chaoskit.errors import LabError
from chaoskit.lab.sandbox_session import Inside
from chaoskit.stack.model import Healthcheck, Service

__all__ = ["LEAST_HEALTH_S", "Starter", "how_it_ended", "listens"]

LEAST_HEALTH_S = 10.0
"""A service gets at least this long to become healthy, however tight its healthcheck is."""
_SETTLE_S = 0.2  # a service without a healthcheck must run this long to count as up
_POLL_S = 0.1  # while starting, health is asked at least this often
_FIRST_S = 1.0  # where nothing listens, the first check waits so long at most
_COMPLETED = "service_completed_successfully"


def how_it_ended(status: int) -> str:
    """What the exit status of a process says, as a phrase."""
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}"


StartService = Callable[[Service], Inside]
RunInside = Callable[[Service, tuple[str, ...], int], Inside]


@dataclass
class _State:
    service: Service
    process: Inside
    since_ns: int
    healthy: bool = False
    asking: Inside | None = None
    asked_ns: int = 0
    next_ns: int = 0
    failures: int = 0
    output: str = ""
    scratch: int = field(default=-1)  # the output of the check that runs


class Starter:
    """One ``up``. Call ``step`` until it returns True; then every service runs and is healthy.

    ``tail`` gives the last log lines of a service, for errors.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        start: StartService,
        inside: RunInside,
        tail: Callable[[str], str],
    ) -> None:
        self._services, self._start, self._inside, self._tail = services, start, inside, tail
        self._states: dict[str, _State] = {}
        self._may_end = {
            other
            for service in services.values()
            for other, condition in service.depends_on.items()
            if condition == _COMPLETED
        }
        self._refuse_circles()

    def step(self) -> bool:
        """Look once at everything; start what may start now. Raises ``LabError``."""
        for name, service in self._services.items():
            if name not in self._states and self._may_start(service):
                process = self._start(service)
                self._states[name] = _State(service, process, now_ns())
        for state in self._states.values():
            self._look(state)
        return len(self._states) == len(self._services) and all(
            self._is_up(state) for state in self._states.values()
        )

    def close(self) -> None:
        """Let go of what health checks have left. Idempotent."""
        for state in self._states.values():
            self._end_check(state)

    def _may_start(self, service: Service) -> bool:
        return all(self._holds(*item) for item in service.depends_on.items())

    def _holds(self, name: str, condition: str) -> bool:
        state = self._states.get(name)
        if state is None:
            return False
        if condition == _COMPLETED:
            return state.process.poll() == 0
        return state.healthy if condition == "service_healthy" else True

    def _is_up(self, state: _State) -> bool:
        if state.service.name in self._may_end and state.process.poll() == 0:
            return True
        if state.service.healthcheck is not None:
            return state.healthy
        return state.service.name not in self._may_end and _since(state.since_ns) >= _SETTLE_S

    def _look(self, state: _State) -> None:
        name, status = state.service.name, state.process.poll()
        if status is not None:
            if status == 0 and name in self._may_end:
                return
            raise LabError(
                f"service {name} {how_it_ended(status)} while the lab was starting",
                output=self._tail(name),
            )
        check = state.service.healthcheck
        if check is not None and not state.healthy:
            self._check(state, check)

    def _check(self, state: _State, check: Healthcheck) -> None:
        if state.asking is not None:
            status = state.asking.poll()
            if status is None and _since(state.asked_ns) < check.timeout_s:
                return
            state.output = os.pread(state.scratch, 4096, 0).decode(errors="replace").strip()
            late = f"no answer within {check.timeout_s:g} s"
            state.output = state.output or (late if status is None else f"status {status}")
            self._end_check(state)
            if status == 0:
                state.healthy = True
                return
            state.failures += 1
            state.next_ns = now_ns() + int(min(_POLL_S, check.interval_s) * NS)
            self._give_up(state, check)
        elif now_ns() >= state.next_ns and (state.failures or self._is_worth_asking(state, check)):
            state.scratch = os.memfd_create("healthcheck")
            state.asked_ns = now_ns()
            try:
                state.asking = self._inside(state.service, check.test, state.scratch)
            except LabError as error:
                os.close(state.scratch)
                if state.process.poll() is not None:
                    return  # it ended under our hands: the next look says so
                raise LabError(
                    f"the healthcheck of service {state.service.name} cannot be run: {error}"
                ) from error

    @staticmethod
    def _is_worth_asking(state: _State, check: Healthcheck) -> bool:
        """Something listens there, or a while has passed: a check costs as much as a start."""
        if _since(state.since_ns) >= min(check.interval_s, _FIRST_S):
            return True
        return listens(state.process.identity.pid)

    def _give_up(self, state: _State, check: Healthcheck) -> None:
        allowed = check.start_period_s + check.retries * (check.interval_s + check.timeout_s)
        if _since(state.since_ns) > max(allowed, LEAST_HEALTH_S):
            name = state.service.name
            raise LabError(
                f"service {name} did not become healthy within {_since(state.since_ns):.1f} s; "
                f"its healthcheck failed {state.failures} times, at last: {state.output}",
                output=self._tail(name),
            )

    @staticmethod
    def _end_check(state: _State) -> None:
        if state.asking is not None:
            state.asking.kill()
            state.asking.release()
            state.asking = None
            os.close(state.scratch)

    def _refuse_circles(self) -> None:
        """A circle of dependencies would wait for ever; so would one on an unknown service."""
        free: set[str] = set()
        while len(free) < len(self._services):
            more = {n for n, s in self._services.items() if set(s.depends_on) <= free} - free
            if not more:
                stuck = ", ".join(sorted(set(self._services) - free))
                raise LabError(f"depends_on goes in a circle or to nobody: {stuck}")
            free |= more


def listens(pid: int) -> bool:
    """Whether any TCP socket listens in the network namespace of process ``pid``."""
    lines: list[str] = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii")
            lines += text.splitlines()[1:]
    return any(line.split()[3] == "0A" for line in lines)


def _since(moment_ns: int) -> float:
    return (now_ns() - moment_ns) / NS
