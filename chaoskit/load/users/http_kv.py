"""A client of the reference system, and of any HTTP service with one write and one read.

Which statuses prove that nothing was executed stands in :data:`DEFINITE`; what is not in it and is
not a success is ambiguous. ``docs/writing-a-load.md`` lists the options.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chaoskit.errors import BadInput
from chaoskit.history.records import Op
from chaoskit.load.config import Endpoint
from chaoskit.load.http import Answer, Client
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.tokens import tokens_of
from chaoskit.load.user import CombUser

__all__ = ["DEFINITE", "DEFINITE_OF_NODES", "MOVE_ON", "HttpKv", "Template"]

_json = json.JSONDecoder().raw_decode

DEFINITE = frozenset(
    {400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 414, 415, 421, 422, 428, 429, 431}
)
"""The server said no before it acted. 408, 500, 502, 504 are not here: it may have acted."""
DEFINITE_OF_NODES = frozenset({503})
"""Definite of a node that names itself. A proxy says it too, and some do so when the server that
they had handed a request to went away: then it may have acted."""
MOVE_ON = frozenset({421, 503})
"""Refusals that leave room to ask another endpoint within the same operation."""

_BARE = frozenset({"GET", "HEAD"})
"""Methods that need not say how long their body is where they have none."""

_KEYS = frozenset({"method", "path", "body", "ok", "definite"})


@dataclass(frozen=True)
class Template:
    """One kind of request: ``{token}`` and ``{key}`` are filled in."""

    method: str
    path: str
    body: str
    ok: frozenset[int]
    definite: frozenset[int] = DEFINITE
    of_nodes: frozenset[int] = DEFINITE_OF_NODES  # definite if the answer says which node gave it

    @classmethod
    def of(cls, name: str, value: object, default: Template) -> Template:
        """The template that load option ``name`` describes; raises ``BadInput``."""
        if value is None:
            return default
        if not isinstance(value, Mapping) or set(value) - _KEYS:
            raise BadInput(f"load option {name} takes {', '.join(sorted(_KEYS))}; not {value!r}")
        path = str(value.get("path", default.path))
        method = str(value.get("method", default.method)).upper()
        if not path.startswith("/") or not method.isalpha() or set(path) & set(" \r\n"):
            raise BadInput(f"load option {name}: cannot ask for {method} {path!r}")
        return cls(
            method,
            path,
            str(value.get("body", default.body)),
            _statuses(name, value.get("ok"), default.ok),
            _statuses(name, value.get("definite"), default.definite),
            default.of_nodes if value.get("definite") is None else frozenset(),
        )

    def proves(self, status: int, *, named: bool, write: bool) -> bool:
        """Whether a refusal proves that nothing was executed; of a read there is nothing to be."""
        if status in self.of_nodes:
            return named or not write
        return status in self.definite


def _statuses(name: str, value: object, default: frozenset[int]) -> frozenset[int]:
    if value is None:
        return default
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int) and 100 <= item <= 599 for item in items):
        raise BadInput(f"load option {name}: {value!r} are not HTTP statuses")
    return frozenset(items)


_GOOD = frozenset(range(200, 300))
_APPEND = Template("POST", "/log", "{token}", _GOOD)
_APPEND_TO = replace(_APPEND, path="/log/{key}")
_PUT = Template("PUT", "/kv/{key}", "{token}", _GOOD)
_GET = Template("GET", "/kv/{key}", "", _GOOD | {404})  # a key that nobody has written yet
_SCAN = Template("GET", "/log", "", _GOOD)


class HttpKv(CombUser):
    """Appends to a log, puts and gets registers, over HTTP/1.1."""

    abstract = False
    option_names = CombUser.option_names | {"write", "read", "put", "read_back", "headers"}

    def prepare(self) -> None:
        """Kept connections belong to one stream, so that the combs do not lend each other any."""
        for endpoint in (*self.shared.config.endpoints, *self.shared.config.nodes):
            if endpoint.scheme != "http":
                raise BadInput(f"endpoint {endpoint.url} is not http://, all that HttpKv speaks")
        self.client = Client()
        custom = self.options.get("write")
        write = Template.of("write", custom, _APPEND_TO if self.shards else _APPEND)
        # A service of which only a write is known has no registers to put into.
        put = Template.of("put", self.options.get("put"), _PUT if custom is None else write)
        wanted = self.options.get("read")
        # For a path of their own, nothing there is no answer: it may as well be a wrong path.
        read = Template.of("read", wanted, _GET if wanted is None else replace(_GET, ok=_GOOD))
        self.templates = {Op.APPEND: write, Op.PUT: put, Op.GET: read}
        if custom is not None and "put" not in self.options:
            self.put_share = 0.0
        known = custom is None or "read_back" in self.options
        scan = Template.of("read_back", self.options.get("read_back"), _SCAN)
        if scan.method == "HEAD":  # it would read an empty log, as if every write were lost
            raise BadInput("load option read_back: what answers HEAD has no body; use GET")
        self.scan = scan if known else None
        self._headers = _header_lines(self.options.get("headers"), self.shared.name)
        self._commons: dict[str, str] = {}

    def perform(self, operation: Operation) -> Verdict:
        """One request to whoever is believed to be in charge, on to others only if refused."""
        return self.door.walk(operation, self._attempt)

    def _payload(self, endpoint: Endpoint, template: Template, operation: Operation) -> bytes:
        path, body = template.path, template.body
        if operation.key and "{key}" in path:
            path = path.replace("{key}", f"r{operation.key}")
        if operation.token:
            token = str(operation.token)
            path, body = path.replace("{token}", token), body.replace("{token}", token)
        close = "Connection: close\r\n" if operation.fresh else ""
        common = self._common(endpoint)
        if not body and template.method in _BARE:
            return f"{template.method} {path}{common}{close}\r\n".encode()
        length = len(body) if body.isascii() else len(body.encode())
        return (
            f"{template.method} {path}{common}Content-Length: {length}\r\n{close}\r\n{body}"
        ).encode()

    def _common(self, endpoint: Endpoint) -> str:
        """What follows the path in every request to the endpoint."""
        known = self._commons.get(endpoint.url)
        if known is None:
            host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
            known = f" HTTP/1.1\r\nHost: {host}:{endpoint.port or 80}\r\n{self._headers}"
            self._commons[endpoint.url] = known
        return known

    def _attempt(self, endpoint: Endpoint, operation: Operation) -> Verdict:
        template = self.templates[operation.op]
        payload = self._payload(endpoint, template, operation)
        answer = self.client.ask(endpoint, payload, operation)
        named = answer.header(b"x-chaoskit-node").decode("latin-1")
        operation.server = named or endpoint.server
        epoch = answer.header(b"x-chaoskit-epoch")
        operation.epoch = int(epoch) if epoch.isdigit() else 0
        if answer.status in template.ok:
            _read_answer(answer, operation)
            return Verdict.ACKNOWLEDGED
        operation.error = f"HTTP {answer.status}"
        write = operation.op in (Op.APPEND, Op.PUT)
        if not template.proves(answer.status, named=bool(named), write=write):
            if answer.status in MOVE_ON:
                self.door.leave(endpoint)  # the operation is over, later ones begin elsewhere
            return Verdict.UNKNOWN
        operation.hint = answer.header(b"x-chaoskit-primary").decode("latin-1")
        operation.move_on = answer.status in MOVE_ON
        return Verdict.REFUSED

    def read_back(self, place: Endpoint | None) -> Mapping[int, int]:
        """``GET /log`` of one node, or of the one that clients would be served by.

        At the front door a node that says ``X-Chaoskit-Role`` must say primary: a backup answers
        for itself, not for the service.
        """
        if self.scan is None:
            raise BadInput("load option read_back is missing: nobody said how to read the log")
        scan, operation = self.scan, Operation(Op.SCAN, 0, 0, 0, fresh=True)
        if place is not None:
            answer = self.client.ask(place, self._payload(place, scan, operation), operation)
            if answer.status not in scan.ok:
                raise ConnectionError(f"HTTP {answer.status}")
            return tokens_of(answer.body)
        why = OSError("no endpoint of the front door says that it is primary")
        for endpoint in self.shared.door.endpoints:
            try:
                answer = self.client.ask(
                    endpoint, self._payload(endpoint, scan, operation), operation
                )
            except OSError as error:
                why = error
                continue
            if answer.status in scan.ok and answer.header(b"x-chaoskit-role") in (b"", b"primary"):
                return tokens_of(answer.body)
        raise why


def _header_lines(value: object, client: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        raise BadInput(f"load option headers is {value!r}; use names and values")
    lines = [f"{name}: {text}".replace("{client}", client) for name, text in value.items()]
    if any(set(line) & set("\r\n") for line in lines):
        raise BadInput("load option headers holds a line break")
    return "".join(f"{line}\r\n" for line in lines)


def _read_answer(answer: Answer, operation: Operation) -> None:
    """What was read, or the version a write got; an answer that says neither is fine."""
    if answer.status == 404 or not answer.body.startswith(b"{"):
        return
    try:
        said = _json(answer.body.decode())[0]
    except ValueError:
        return
    value = said.get("value" if operation.op == Op.GET else "version")
    if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
        operation.seen = int(value)
    if not operation.epoch and isinstance(said.get("epoch"), int):
        operation.epoch = said["epoch"]
