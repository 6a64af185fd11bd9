"""Bringing a stack up with Compose, and knowing when every service runs and is healthy.

Compose's own ``--wait`` is no readiness test (one that ends on purpose counts as a failure there,
and 1.29 does not have it), so the engine is asked, service by service, each with its own deadline.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from chaoskit.clock import NS, MonotonicClock, now_ns
from chaoskit.errors import LabError
from chaoskit.lab.docker_compose import Compose, Tree
from chaoskit.lab.docker_engine import Engine, is_not_found, translating
from chaoskit.lab.docker_sweep import LABEL_RUN
from chaoskit.stack.model import Service, Stack

__all__ = ["bring_up", "inspect", "log_tail"]

_LOOK_S = 0.05
_START_S = 120.0
"""For Compose to have created and started everything, healthchecks that it waits for aside."""
_SLACK_S = 15.0
_STEADY_S = 0.25
"""A service without a healthcheck is ready when it has run for this long."""
_LOG_LINES = 20


def inspect(engine: Engine, container: str) -> Mapping[str, Tree] | None:
    """What the engine knows of a container; None if there is none."""
    with translating("inspecting a container"):
        try:
            return dict(engine.client().containers.get(container).attrs)
        except Exception as error:
            if is_not_found(error):
                return None
            raise


def log_tail(engine: Engine, container: str, lines: int = _LOG_LINES) -> str:
    """The last lines that a container wrote; empty where the engine cannot say."""
    try:
        with translating("reading a log"):
            raw = engine.client().containers.get(container).logs(tail=lines)
    except LabError:
        return ""
    return raw.decode(errors="replace") if isinstance(raw, bytes) else ""


@dataclass
class _Watch:
    engine: Engine
    stack: Stack
    run_id: str
    began_ns: int = field(default_factory=now_ns)
    running_ns: dict[str, int] = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)

    def containers(self) -> dict[str, str]:
        """Service → container id of everything that Compose has created so far."""
        wanted = {"label": [f"{LABEL_RUN}={self.run_id}", "com.docker.compose.service"]}
        with translating("listing the run's containers"):
            listed = self.engine.client().api.containers(all=True, filters=wanted)
        return {one["Labels"]["com.docker.compose.service"]: one["Id"] for one in listed}

    def look(self) -> None:
        """Ask after every service that is not ready yet. Raises ``LabError`` naming one."""
        for name, identity in self.containers().items():
            service = self.stack.services.get(name)
            if service is not None and name not in self.ready:
                found = inspect(self.engine, identity)
                if found is not None and self._is_ready(service, identity, found["State"]):
                    self.ready[name] = identity

    def settled(self) -> dict[str, str]:
        """Everything once more: what was ready first may have ended since."""
        done = dict(self.ready)
        self.ready.clear()
        self.look()
        lost = [name for name in done if name not in self.ready]
        if lost:
            raise self._broken(lost[0], "was ready and is not any more", done[lost[0]])
        return done

    def _is_ready(self, service: Service, identity: str, state: Tree) -> bool:
        status = state.get("Status")
        if status == "running":
            since = self.running_ns.setdefault(service.name, now_ns())
            health = state.get("Health")
            told = health.get("Status") if isinstance(health, dict) else None
            if told == "healthy":
                return True
            if told in (None, "none"):
                # Nothing says that it works; a bad command ends within milliseconds.
                return (now_ns() - since) / NS >= _STEADY_S
            allowed = _allowed_s(service)
            late = (now_ns() - since) / NS > allowed
            if told == "unhealthy" or late:
                why = f"is not healthy within {allowed:g} s" if late else "is unhealthy"
                raise self._broken(service.name, why, identity, _last_check(health))
        elif status in ("exited", "dead"):
            code = state.get("ExitCode")
            if code == 0 and service.name in _one_shots(self.stack):
                return True
            why = f"ended with status {code} {state.get('Error') or ''}".rstrip()
            raise self._broken(service.name, why, identity)
        return False

    def _broken(self, name: str, why: str, identity: str, extra: str = "") -> LabError:
        said = "\n".join(filter(None, [log_tail(self.engine, identity).strip(), extra]))
        return LabError(f"service {name} {why}", output=said)

    def compose_failed(self, output: str) -> LabError:
        """Why Compose gave up, and at which service."""
        there = self.containers()
        for name, identity in there.items():
            found = inspect(self.engine, identity)
            state: Tree = found["State"] if found else {}
            if state.get("Error"):
                return self._broken(name, f"cannot be started: {state['Error']}", identity)
            if state.get("Status") == "exited" and state.get("ExitCode"):
                # Compose waited for it on behalf of another one, and gave up on that.
                return self._broken(name, f"ended with status {state['ExitCode']}", identity)
        absent = [name for name in self.stack.services if name not in there]
        where = f"service {absent[0]}" if absent else f"stack {self.stack.name}"
        return LabError(f"{where} cannot be started", output=output)


def bring_up(
    engine: Engine, compose: Compose, stack: Stack, run_id: str, file: Tree
) -> dict[str, str]:
    """Start the stack and return when all of it is ready: service → container id.

    Raises ``LabError`` naming the service and the cause, with its last lines; what was created
    stays, labelled, for the caller to remove. Compose has ended when this returns or raises.
    """
    watch = _Watch(engine, stack, run_id)
    clock = MonotonicClock()
    allowed = _START_S + sum(_allowed_s(service) for service in stack.services.values())
    with tempfile.TemporaryFile() as output:
        arguments = ["up", "-d", "--no-build"]
        process = compose.popen(engine.endpoint, stack, run_id, arguments, output=output)
        try:
            _hand_over(process.stdin, file)
            while True:
                status = process.poll()  # before the look: what it did is then seen by the look
                watch.look()
                if status is not None and status != 0:
                    raise watch.compose_failed(_read(output))
                missing = [name for name in stack.services if name not in watch.ready]
                if status == 0 and not missing:
                    return watch.settled()
                if (now_ns() - watch.began_ns) / NS > allowed:
                    waiting = ", ".join(missing) or "compose itself"
                    raise LabError(f"not up within {allowed:g} s: {waiting}", output=_read(output))
                clock.sleep(_LOOK_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _hand_over(stdin: IO[bytes] | None, file: Tree) -> None:
    assert stdin is not None  # noqa: S101 - it was asked for
    try:
        with stdin:
            stdin.write(json.dumps(file).encode())
    except BrokenPipeError:
        pass  # it has ended already; its exit status and output say why


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _allowed_s(service: Service) -> float:
    """How long the service may take to become healthy, by its own healthcheck."""
    check = service.healthcheck
    if check is None:
        return _SLACK_S
    rounds = (check.interval_s + check.timeout_s) * max(1, check.retries)
    return check.start_period_s + rounds + _SLACK_S


def _one_shots(stack: Stack) -> set[str]:
    """Services that others wait for to end: for them an end with status 0 is success."""
    return {
        name
        for service in stack.services.values()
        for name, condition in service.depends_on.items()
        if condition == "service_completed_successfully"
    }


def _last_check(health: object) -> str:
    log = health.get("Log") if isinstance(health, dict) else None
    last = log[-1] if isinstance(log, list) and log else {}
    said = str(last.get("Output") or "").strip()
    return f"healthcheck: status {last.get('ExitCode')}: {said}" if last else ""
