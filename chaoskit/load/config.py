"""What the child is told in its first line, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chaoskit.errors import BadInput
from chaoskit.history.history import Stream

__all__ = ["MOST_CLIENTS", "Endpoint", "LoadConfig"]

MOST_CLIENTS = 100


@dataclass(frozen=True)
class Endpoint:
    """Where a node can be asked. ``port`` is 0 where the URL names none.

    ``frontdoor``: others answer there, through it or under its address. ``addresses``: all that
    the node has in the lab, and its names.
    """

    node: str
    url: str
    scheme: str
    host: str
    port: int
    frontdoor: bool = False
    addresses: tuple[str, ...] = field(default=(), compare=False)

    @property
    def server(self) -> str:
        """Who gave an answer that names nobody: the node, or empty where it may be another."""
        return "" if self.frontdoor else self.node

    @classmethod
    def of(
        cls, node: str, url: str, *, frontdoor: bool = False, addresses: tuple[str, ...] = ()
    ) -> Endpoint:
        """Raises ``BadInput`` for a URL without a host or with a port that is none."""
        try:
            parts = urlsplit(url)
            port = parts.port or 0
        except ValueError as error:
            raise BadInput(f"endpoint {url!r} of {node}: {error}") from error
        if not parts.scheme or not parts.hostname:
            raise BadInput(f"endpoint {url!r} of {node} is not a URL with scheme and host")
        return cls(node, url, parts.scheme, parts.hostname, port, frontdoor, addresses)


@dataclass(frozen=True)
class LoadConfig:
    """One load of one trial."""

    user: str
    endpoints: tuple[Endpoint, ...]
    nodes: tuple[Endpoint, ...]
    streams: tuple[Stream, ...]
    requests: str
    strings: str
    final: str
    trial: int = 1
    seed: int = 0
    client: str = "client"
    clients: int = 1  # who take the slots in turn, each with connections and a door of its own
    spread: bool = False  # clients share their requests out among all endpoints
    shards: int = 0  # parts of the workload that have owners of their own; 0: none
    options: Mapping[str, object] = field(default_factory=dict)

    def client_name(self, client: int) -> str:
        """The name in the records of client number ``client``, from 0."""
        return f"{self.client}/{client + 1}" if self.clients > 1 else self.client

    @classmethod
    def parse(cls, line: bytes | str) -> LoadConfig:
        """Raises ``BadInput`` with one sentence that says which key is wrong and how."""
        try:
            data = json.loads(line)
        except ValueError as error:
            raise BadInput(f"the load's configuration is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise BadInput("the load's configuration is not a JSON object")
        options = data.get("options") or {}
        if not isinstance(options, dict):
            raise BadInput("the load's options are not a JSON object")
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(data) - known):
            raise BadInput(f"the load's configuration has unknown keys: {', '.join(unknown)}")
        streams = tuple(_stream(item) for item in _list(data, "streams"))
        if not streams:
            raise BadInput("the load has no streams")
        if len(streams) > 250:
            raise BadInput("the load has more than 250 streams; a record numbers them in a byte")
        nodes = _endpoints(data, "nodes")
        endpoints = _endpoints(data, "endpoints", nodes)
        _check_pinned(streams, nodes)
        if not endpoints:
            raise BadInput("the load has no endpoints to talk to")
        trial = _whole(data, "trial", 1)
        if not 0 <= trial < 1 << 16:
            raise BadInput(f"trial {trial} does not fit the 16 bits it has in a token")
        clients = _whole(data, "clients", 1)
        if not 1 <= clients <= MOST_CLIENTS:
            raise BadInput(f"the load's clients are {clients}; use 1 to {MOST_CLIENTS}")
        return cls(
            user=_text(data, "user"),
            endpoints=endpoints,
            nodes=nodes,
            streams=streams,
            requests=_text(data, "requests"),
            strings=_text(data, "strings"),
            final=_text(data, "final"),
            trial=trial,
            seed=_whole(data, "seed", 0),
            client=str(data.get("client", "client")),
            clients=clients,
            spread=data.get("spread") is True,
            shards=_whole(data, "shards", 0),
            options=options,
        )


def _list(data: Mapping[str, object], key: str) -> list[object]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise BadInput(f"the load's {key} are not a list")
    return value


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise BadInput(f"the load's configuration lacks {key!r}")
    return value


def _whole(data: Mapping[str, object], key: str, default: int) -> int:
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"the load's {key} is not a whole number: {value!r}")
    return value


def _endpoints(
    data: Mapping[str, object], key: str, nodes: tuple[Endpoint, ...] = ()
) -> tuple[Endpoint, ...]:
    """Where it is not said, what is none of the ``nodes`` is a front door of theirs."""
    found = []
    for item in _list(data, key):
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            raise BadInput(f"an entry of the load's {key} has no url: {item!r}")
        node, url, addresses = str(item.get("node", "")), item["url"], item.get("addresses", [])
        if not isinstance(addresses, list) or not all(isinstance(a, str) for a in addresses):
            raise BadInput(f"the addresses in an entry of the load's {key} are no texts: {item!r}")
        known = {(one.node, one.url) for one in nodes}
        door = item.get("frontdoor", bool(known) and (node, url) not in known)
        if not isinstance(door, bool):
            raise BadInput(f"frontdoor in an entry of the load's {key} is not true or false")
        found.append(Endpoint.of(node, url, frontdoor=door, addresses=tuple(addresses)))
    return tuple(found)


def _check_pinned(streams: tuple[Stream, ...], nodes: tuple[Endpoint, ...]) -> None:
    known = {endpoint.node for endpoint in nodes}
    for stream in streams:
        if stream.pinned and stream.pinned not in known:
            raise BadInput(
                f"stream {stream.name!r} is pinned to {stream.pinned!r}, which is no node of the"
                " load's nodes"
            )


def _stream(item: object) -> Stream:
    if not isinstance(item, dict):
        raise BadInput(f"a stream of the load is not an object: {item!r}")
    try:
        stream = Stream(
            name=str(item["name"]),
            op=str(item["op"]),
            rate=float(item["rate"]),
            connections=str(item["connections"]),
            deadline_ns=int(item["deadline_ns"]),
            timeout_ns=int(item["timeout_ns"]),
            pinned=str(item.get("pinned", "")),
        )
    except KeyError as error:
        raise BadInput(f"a stream of the load lacks {error}: {item!r}") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"a stream of the load has a bad number ({error}): {item!r}") from error
    where = f"stream {stream.name!r}"
    if stream.op not in ("write", "read"):
        raise BadInput(f"{where}: op is {stream.op!r}; use write or read")
    if stream.connections not in ("kept", "new"):
        raise BadInput(f"{where}: connections is {stream.connections!r}; use kept or new")
    if not (math.isfinite(stream.rate) and 0 < stream.rate <= 100_000):
        raise BadInput(f"{where}: rate {stream.rate} is not between 0 and 100,000 a second")
    if not 0 < stream.deadline_ns <= stream.timeout_ns:
        raise BadInput(f"{where}: deadline must be above 0 and not beyond the timeout")
    if stream.timeout_ns > 600 * 10**9:
        raise BadInput(f"{where}: a timeout above ten minutes is not supported")
    return stream
