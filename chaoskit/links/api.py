"""One Toxiproxy server, through ``toxiproxy-python`` and with what that package lacks.

The package keeps host and port in one class for all servers, never times out, lets every answer
from 500 on pass for success, obeys ``HTTP_PROXY`` even for loopback, and cannot update. So every
call goes through a subclass of its ``APIConsumer`` for this one server, with a timeout and without
any proxy of the environment; each answer's status is looked at; and whatever was set is read back,
because the server takes a misspelt attribute for 0 and says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from toxiproxy.api import APIConsumer, validate_response
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from chaoskit.errors import LabError
from chaoskit.toxics import Toxic

__all__ = ["OLDEST", "Proxy", "Server"]

OLDEST = (2, 5)
"""The first version whose toxics have names and whose proxies can be switched in place."""
_TIMEOUT_S = (1.0, 3.0)  # to connect; between two bytes of the answer
_NO_PROXY: Mapping[str, None] = {"http": None, "https": None, "all": None}


@dataclass(frozen=True)
class Proxy:
    """One proxy of the server, as it says."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: Mapping[str, Toxic]


class Server:
    """The API of one server. Every method raises ``LabError`` with the server's own words."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"toxiproxy at {host}:{port}"
        self._base = f"http://{host}:{port}"
        self._api: type[APIConsumer] = type("Api", (APIConsumer,), {"host": host, "port": port})

    def version(self) -> tuple[int, ...]:
        """The server's version; ``LabError`` where it is older than ``OLDEST``."""
        said = self._call(self._api.get, "/version")
        text = str(said.get("version", ""))
        digits = text.removeprefix("git-").split("-")[0].split(".")
        if not all(part.isdigit() for part in digits):
            return OLDEST  # a build from source: it calls itself git-<hash>
        found = tuple(int(part) for part in digits)
        if found < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise LabError(f"{self._where} is version {text}; at least {oldest} is needed")
        return found

    def proxies(self) -> dict[str, Proxy]:
        """Every proxy by name."""
        found = self._call(self._api.get, "/proxies")
        return {name: _proxy(data) for name, data in found.items()}

    def proxy(self, name: str) -> Proxy:
        """One proxy, as it is now."""
        return _proxy(self._call(self._api.get, f"/proxies/{name}"))

    def create(self, name: str, listen: str, upstream: str) -> Proxy:
        """A new proxy, switched on, and read back."""
        body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        self._call(self._api.post, "/proxies", json=body)
        found = self.proxy(name)
        if found.upstream != upstream or not found.enabled:
            raise LabError(f"{self._where} made the proxy {name} other than it was asked to")
        return found

    def add(self, proxy: str, name: str, toxic: Toxic) -> None:
        """Put a toxic on a proxy that is switched on, and see that it is there as it was meant."""
        if not self.proxy(proxy).enabled:
            raise LabError(f"the proxy {proxy} is switched off: a toxic on it would do nothing")
        body = {
            "name": name,
            "type": toxic.type,
            "stream": toxic.stream,
            "toxicity": toxic.toxicity,
            "attributes": dict(toxic.attributes),
        }
        self._call(self._api.post, f"/proxies/{proxy}/toxics", json=body)
        if not self.has(proxy, name, toxic):
            there = self.proxy(proxy).toxics.get(name)
            self.remove(proxy, name)
            raise LabError(f"{self._where} took {toxic} for {there}; it was removed again")

    def has(self, proxy: str, name: str, toxic: Toxic) -> bool:
        """Whether the toxic is there, on a proxy that is switched on, with exactly these values."""
        found = self.proxy(proxy)
        there = found.toxics.get(name)
        return found.enabled and there is not None and _same(there, toxic)

    def remove(self, proxy: str, name: str) -> bool:
        """Remove a toxic and see that it is gone; False if it was gone already."""
        try:
            self._call(self._api.delete, f"/proxies/{proxy}/toxics/{name}")
            was_there = True
        except _NotThereError:
            was_there = False
        try:
            left = self.proxy(proxy).toxics
        except _NotThereError:
            return was_there  # the proxy itself is gone, and its toxics with it
        if name in left:
            raise LabError(f"{self._where} still has the toxic {name} on {proxy}")
        return was_there

    def switch(self, proxy: str, *, on: bool) -> bool:
        """Switch a proxy on or off and see that it is; False if it was so already."""
        if self.proxy(proxy).enabled == on:
            return False
        # PATCH since 2.6, and POST only until the next major version: the package knows neither.
        modern = self.version() >= (2, 6)
        call = self._patch if modern else self._api.post
        self._call(call, f"/proxies/{proxy}", json={"enabled": on})
        if self.proxy(proxy).enabled != on:
            raise LabError(f"{self._where} did not switch {proxy} {'on' if on else 'off'}")
        return True

    def _patch(self, url: str, **more: Any) -> requests.Response:
        answer: requests.Response = validate_response(requests.patch(self._base + url, **more))  # noqa: S113 - more has it
        return answer

    def _call(
        self, call: Callable[..., requests.Response], url: str, **more: Any
    ) -> dict[str, Any]:
        try:
            answer = call(url, timeout=_TIMEOUT_S, proxies=dict(_NO_PROXY), **more)
        except NotFound as error:
            raise _NotThereError(f"{self._where}: {_words(error)}") from None
        except (ProxyExists, InvalidToxic) as error:
            raise LabError(f"{self._where} refused: {_words(error)}") from None
        except requests.Timeout:
            raise LabError(f"{self._where} did not answer within {_TIMEOUT_S[1]:g} s") from None
        except requests.RequestException as error:
            raise LabError(f"{self._where} cannot be reached: {type(error).__name__}") from None
        if answer.status_code >= 400:
            words = _words_of(answer.content)
            raise LabError(f"{self._where} answered {answer.status_code}: {words}")
        if answer.status_code == 204 or not answer.content:
            return {}
        try:
            found = answer.json()
        except ValueError:
            raise LabError(f"{self._where} answered with something that is no JSON") from None
        if not isinstance(found, dict):
            raise LabError(f"{self._where} answered with something that is no object")
        return found


class _NotThereError(LabError):
    """404: no such proxy, or no such toxic."""


def _words(error: Exception) -> str:
    """What the server said; the package hands it over as raw bytes of JSON."""
    raw = error.args[0] if error.args else b""
    return _words_of(raw if isinstance(raw, bytes) else str(raw).encode())


def _words_of(raw: bytes) -> str:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    said = found.get("error") or found.get("title") if isinstance(found, dict) else None
    return str(said) if said else raw.decode(errors="replace").strip()[:200] or "nothing"


def _proxy(data: Mapping[str, Any]) -> Proxy:
    try:
        toxics = {
            str(one["name"]): Toxic(
                one["type"], one["stream"], float(one["toxicity"]), dict(one["attributes"])
            )
            for one in data.get("toxics") or ()
        }
        return Proxy(data["name"], data["listen"], data["upstream"], bool(data["enabled"]), toxics)
    except (KeyError, TypeError) as error:
        raise LabError(f"toxiproxy described a proxy without {error}") from None


def _same(there: Toxic, meant: Toxic) -> bool:
    """The same type, stream and share, and every attribute with the value that was meant."""
    return (
        (there.type, there.stream) == (meant.type, meant.stream)
        and abs(there.toxicity - meant.toxicity) < 1e-4
        and all(there.attributes.get(name) == value for name, value in meant.attributes.items())
    )
