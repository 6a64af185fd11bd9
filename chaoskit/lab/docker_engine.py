"""The one Docker engine of a run: its clients, and what its errors mean to a person.

The endpoint is resolved once and written into every run's facts. Nothing here imports the
``docker`` package at module level.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaoskit.errors import LabError
from chaoskit.lab.docker_probe import Endpoint, resolve_endpoint

if TYPE_CHECKING:
    import docker

__all__ = ["AWAY_HINT", "Engine", "EngineAwayError", "is_not_found", "translating"]

CONTROL_TIMEOUT_S = 20
"""Per call to the engine; it is the longest silence of a socket, not the length of a wait."""
AWAY_HINT = "start it (scripts/engine), or use --lab sandbox"


class EngineAwayError(LabError):
    """The engine does not answer: says nothing about the system under test."""


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Turn what the SDK raises into ``LabError`` (``EngineAwayError`` where nobody answered)."""
    import requests
    from docker import errors

    try:
        yield
    except errors.APIError as error:
        said = str(error.explanation or error).strip()
        raise LabError(f"the Docker engine refused {doing}: {said}") from error
    except (errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        away = f"the Docker engine went away or does not answer ({doing}): {_root(error)}"
        raise EngineAwayError(away, hint=AWAY_HINT) from error


def _root(error: BaseException) -> str:
    """The innermost reason: the SDK wraps "no such file" three times."""
    seen: BaseException = error
    while True:
        inner = seen.__cause__ or seen.__context__
        if inner is None or inner is seen:
            break
        seen = inner
    return (str(seen) or type(seen).__name__).splitlines()[0][:200]


def is_not_found(error: BaseException) -> bool:
    """Whether the engine says that the object does not exist (any more)."""
    from docker import errors

    return isinstance(error, errors.NotFound)


@dataclass
class Engine:
    """One endpoint; a client of the SDK per thread, because the SDK's is not safe to share."""

    endpoint: Endpoint = field(default_factory=resolve_endpoint)
    timeout_s: int = CONTROL_TIMEOUT_S
    _clients: dict[int, docker.DockerClient] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def client(self) -> docker.DockerClient:
        """This thread's client. Raises ``EngineAwayError`` if the engine does not answer."""
        import docker

        me = threading.get_ident()
        with self._lock:
            found = self._clients.get(me)
        if found is None:
            with translating(f"connecting to {self.endpoint.url}"):
                # The version is negotiated; fixing it by hand breaks on newer and older engines.
                found = docker.DockerClient(
                    base_url=self.endpoint.url, version="auto", timeout=self.timeout_s
                )
            with self._lock:
                self._clients[me] = found
        return found

    def close(self) -> None:
        """Close the clients of all threads; the next call opens new ones."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for one in clients:
            one.close()

    def in_thread(self, work: Callable[[], None]) -> None:
        """Run ``work`` and close the client that this thread opened for it."""
        try:
            work()
        finally:
            with self._lock:
                mine = self._clients.pop(threading.get_ident(), None)
            if mine is not None:
                mine.close()
