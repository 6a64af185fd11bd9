"""Whether a Docker engine can be used here: quick, and without the ``docker`` package.

Only engines behind a local unix socket are used: a fault must never land on another machine
because a variable or a context pointed there.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaoskit.errors import Refused
from chaoskit.stack.model import Stack

__all__ = ["Endpoint", "docker_available", "docker_can_run", "http_get", "resolve_endpoint"]


@dataclass(frozen=True)
class Endpoint:
    """A unix socket, and why it is this one."""

    path: str
    why: str

    @property
    def url(self) -> str:
        """As ``DOCKER_HOST`` wants it."""
        return f"unix://{self.path}"


def resolve_endpoint(environ: Mapping[str, str] | None = None) -> Endpoint:
    """The engine's socket: ``DOCKER_HOST``, else the CLI's context, else the usual places.

    Raises ``Refused`` for anything that is not a unix socket on this machine.
    """
    env = os.environ if environ is None else environ
    host = env.get("DOCKER_HOST", "")
    if host:
        return _local(host, "DOCKER_HOST")
    context, host = _context(env)
    if host:
        return _local(host, f"context {context}")
    usual = ["/var/run/docker.sock"]
    if env.get("XDG_RUNTIME_DIR"):
        usual.append(f"{env['XDG_RUNTIME_DIR']}/docker.sock")
    for path in usual:
        if Path(path).is_socket():
            return Endpoint(path, "default")
    return Endpoint(usual[0], "default")


def _local(host: str, why: str) -> Endpoint:
    scheme, _, path = host.partition("://")
    if scheme == "unix" and path.startswith("/"):
        return Endpoint(path, why)
    raise Refused(
        f"{why} points at {host!r}: only a Docker engine on a local unix socket is used, because"
        " faults must not reach another machine; unset it or set DOCKER_HOST=unix:///path"
    )


def _context(env: Mapping[str, str]) -> tuple[str, str]:
    """Name and address of the CLI's active context; empty strings for the default one."""
    folder = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/")) / ".docker")
    name = env.get("DOCKER_CONTEXT", "")
    try:
        if not name:
            name = json.loads((folder / "config.json").read_text()).get("currentContext", "")
        if name in ("", "default"):
            return "", ""
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = json.loads((folder / "contexts" / "meta" / digest / "meta.json").read_text())
        return name, str(meta["Endpoints"]["docker"]["Host"])
    except FileNotFoundError:
        if name:
            raise Refused(f"the Docker context {name!r} does not exist; unset it") from None
        return "", ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"the Docker CLI's files in {folder} are unreadable: {error}") from None


def http_get(endpoint: Endpoint, path: str, timeout_s: float) -> tuple[int, bytes]:
    """One GET on the socket without the ``docker`` package: status and body. Raises ``OSError``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(endpoint.path)
        link.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        data = b""
        while chunk := link.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError("what answers is not a Docker engine")
    return int(words[1]), body


def docker_available(
    environ: Mapping[str, str] | None = None, *, timeout_s: float = 0.7
) -> str | None:
    """None if an engine answers on a local socket, else one phrase that says why not.

    Takes less than a second and imports nothing heavy.
    """
    try:
        endpoint = resolve_endpoint(environ)
    except Refused as error:
        return str(error)
    try:
        status, body = http_get(endpoint, "/_ping", timeout_s)
    except OSError as error:
        return _silence(endpoint, error, timeout_s)
    if status != 200:
        told = body.decode(errors="replace").strip()[:200]
        return f"the Docker engine on {endpoint.path} answers with status {status}: {told}"
    return None


def _silence(endpoint: Endpoint, error: OSError, timeout_s: float) -> str:
    match error:
        case FileNotFoundError():
            return f"no Docker engine: {endpoint.path} does not exist"
        case PermissionError():
            return f"this user may not use the Docker engine on {endpoint.path}"
        case ConnectionRefusedError():
            return f"no Docker engine listens on {endpoint.path}"
        case TimeoutError():
            return f"the Docker engine on {endpoint.path} does not answer within {timeout_s:g} s"
    return f"the Docker engine on {endpoint.path} does not answer: {error}"


BASE = "debian:bookworm-slim"
"""What every Dockerfile of ours starts from."""
_REGISTRY_S = 5.0


def docker_can_run(stack: Stack, environ: Mapping[str, str] | None = None) -> str | None:
    """None if an engine answers and the stack's images are there or can be had, else why not.

    May ask a registry, through the engine, for a few seconds at most. Starts nothing.
    """
    away = docker_available(environ)
    if away is not None:
        return away
    endpoint = resolve_endpoint(environ)
    # Our own image for load and probes starts from the base as well, whatever the stack needs.
    needed = [BASE, *(s.image for s in stack.services.values() if s.image and not s.has_build)]
    for name in dict.fromkeys(needed):
        try:
            if not _is_there(endpoint, name) and not _can_be_had(endpoint, name):
                return f"image {name} is neither on the Docker engine nor in a registry in reach"
        except OSError as error:
            return _silence(endpoint, error, _REGISTRY_S)
    return None


def _is_there(endpoint: Endpoint, image: str) -> bool:
    return http_get(endpoint, f"/images/{urllib.parse.quote(image)}/json", 2.0)[0] == 200


def _can_be_had(endpoint: Endpoint, image: str) -> bool:
    try:
        path = f"/distribution/{urllib.parse.quote(image)}/json"
        return http_get(endpoint, path, _REGISTRY_S)[0] == 200
    except TimeoutError:
        return False
