"""Removes every Docker object of a run, found by label, whatever state it is in.

Used by ``DockerLab.down``, by the guardian after the harness has died, and by ``chaoskit heal``
on the next day. Idempotent; asked, not assumed: it returns only when a fresh listing is empty.
Nothing without our label is ever touched.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaoskit.clock import NS, MonotonicClock, now_ns
from chaoskit.errors import HealFailed, LabError
from chaoskit.lab.docker_engine import Engine, EngineAwayError, is_not_found, translating

__all__ = ["LABEL_OWNER", "LABEL_RUN", "MARK", "Leftover", "find_runs", "leftovers", "remove_run"]

LABEL_RUN = "chaoskit.run"
LABEL_OWNER = "chaoskit.owner"
MARK = "CHAOSKIT_COMPOSE"
"""Environment mark of a compose program: it must not go on creating what is being removed."""

_SETTLE_S = 0.25
_AWAY_S = 5.0
"""How long an engine may be away before the removal gives up on it."""
_REMOVERS = 4


@dataclass(frozen=True, order=True)
class Leftover:
    """An object of ours on the engine: ``kind`` is container, network or volume."""

    kind: str
    id: str
    name: str
    run: str
    owner: str


@contextmanager
def _borrowed(engine: Engine | None) -> Iterator[Engine]:
    if engine is not None:
        yield engine
        return
    own = Engine()
    try:
        yield own
    finally:
        own.close()


def leftovers(run_id: str | None = None, *, engine: Engine | None = None) -> tuple[Leftover, ...]:
    """Every object that carries our label, of one run or of all. Raises ``LabError``."""
    wanted = {"label": LABEL_RUN if run_id is None else f"{LABEL_RUN}={run_id}"}
    found: list[Leftover] = []
    with _borrowed(engine) as used, translating("listing what belongs to chaoskit"):
        api = used.client().api
        # all=True: a container that never started is in state "created" and is listed by no
        # filter on exited ones.
        for one in api.containers(all=True, filters=wanted):
            names = one.get("Names") or [one["Id"][:12]]
            found.append(_leftover("container", one["Id"], names[0].lstrip("/"), one))
        found += [
            _leftover("network", one["Id"], one["Name"], one)
            for one in api.networks(filters=wanted)
        ]
        volumes = api.volumes(filters=wanted).get("Volumes") or []
        found += [_leftover("volume", one["Name"], one["Name"], one) for one in volumes]
    return tuple(found)


def _leftover(kind: str, identity: str, name: str, listed: dict[str, dict[str, str]]) -> Leftover:
    labels = listed.get("Labels") or {}
    return Leftover(kind, identity, name, labels.get(LABEL_RUN, ""), labels.get(LABEL_OWNER, ""))


def find_runs(*, engine: Engine | None = None) -> dict[str, str]:
    """Run id → owner (``<pid>@<boot id>``) of every run that has objects on the engine."""
    return {one.run: one.owner for one in leftovers(engine=engine) if one.run}


def remove_run(
    run_id: str, *, engine: Engine | None = None, within_s: float = 60.0
) -> tuple[Leftover, ...]:
    """Remove every container, network and volume labelled with this run; returns what it was.

    Ends a compose program of the run first. Returns when two listings a moment apart are empty,
    because a creation that was under way when its client died may still come to an end in the
    engine. Raises ``HealFailed`` naming what is left and the command that would remove it.
    """
    removed: set[Leftover] = set()
    refused: dict[str, str] = {}
    there: tuple[Leftover, ...] = ()
    began_ns = now_ns()
    away_ns: int | None = None
    ended = end_compose(run_id)
    clock = MonotonicClock()
    empty = 0
    with _borrowed(engine) as used:
        while (now_ns() - began_ns) / NS < within_s:
            try:
                there = leftovers(run_id, engine=used)
                removed.update(there)
                _remove(used, there, refused)
                away_ns = None
            except EngineAwayError as error:
                # A broken connection, or an engine that is being restarted, deserves a second look.
                away_ns = away_ns or now_ns()
                if (now_ns() - away_ns) / NS >= _AWAY_S:
                    raise _unknown(run_id, error) from error
                used.close()
                clock.sleep(_SETTLE_S)
                continue
            except LabError as error:
                raise _unknown(run_id, error) from error
            empty = 0 if there else empty + 1
            # Where nobody was creating anything, one empty listing is proof enough.
            if empty > 1 or (empty and not (ended or removed)):
                return tuple(sorted(removed))
            clock.sleep(_SETTLE_S if ended else 0.0)
    raise HealFailed(_sentence(run_id, there, refused))


def _unknown(run_id: str, error: LabError) -> HealFailed:
    return HealFailed(
        f"whether Docker still holds objects of run {run_id} is unknown: {error}; when the engine"
        " answers, run: chaoskit heal"
    )


def _sentence(run_id: str, there: tuple[Leftover, ...], refused: dict[str, str]) -> str:
    names = ", ".join(f"{one.kind} {one.name}" for one in there)
    why = next((refused[one.id] for one in there if one.id in refused), "no reason was given")
    first = there[0]
    command = {
        "container": f"docker rm --force --volumes {first.id[:12]}",
        "network": f"docker network rm {first.id[:12]}",
        "volume": f"docker volume rm {first.name}",
    }[first.kind]
    return f"Docker still holds objects of run {run_id}: {names} ({why}); to remove: {command}"


def _remove(engine: Engine, there: tuple[Leftover, ...], refused: dict[str, str]) -> None:
    """One round: containers first, side by side, since networks and volumes hang on them."""
    containers = [one for one in there if one.kind == "container"]
    others = [one for one in there if one.kind != "container"]
    if containers:
        jobs: list[Callable[[], None]] = [
            lambda one=one: engine.in_thread(lambda: _remove_one(engine, one, refused))  # type: ignore[misc]
            for one in containers
        ]
        with ThreadPoolExecutor(max_workers=_REMOVERS) as pool:
            for future in [pool.submit(job) for job in jobs]:
                future.result()
    for one in others:
        _remove_one(engine, one, refused)


def _remove_one(engine: Engine, one: Leftover, refused: dict[str, str]) -> None:
    """Remove one object by its full id; already gone is fine, a refusal is kept for the report."""
    from docker import errors

    with translating(f"removing {one.kind} {one.name}"):
        api = engine.client().api
        try:
            if one.kind == "container":
                api.remove_container(one.id, force=True, v=True)
            elif one.kind == "network":
                api.remove_network(one.id)
            else:
                api.remove_volume(one.id, force=True)
        except errors.APIError as error:
            if not is_not_found(error):
                refused[one.id] = str(error.explanation or error)
                MonotonicClock().sleep(0.1)


def end_compose(run_id: str) -> int:
    """SIGKILL the compose programs of the run that are still at work; how many there were.

    Found by a mark in their environment and held by a pidfd while the mark is read again, so a
    reused process number is never hit.
    """
    mark = f"{MARK}={run_id}".encode()
    ended = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (1, os.getpid()):
            continue
        if not _marked(entry, mark):
            continue
        try:
            handle = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        try:
            if _marked(entry, mark):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                ended += 1
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
    return ended


def _marked(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
