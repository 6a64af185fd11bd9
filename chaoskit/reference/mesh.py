"""The clock and the sockets of a node that talks to every other node of its group.

What is sent to one peer at one moment travels in one request, and the answers come back in one.
The client interface is that of every node of the reference system (``service.py``).
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from chaoskit.reference.actions import Answer, Do, Note, Reply, Tell
from chaoskit.reference.link import Link
from chaoskit.reference.members import Membership
from chaoskit.reference.messages import Action, Message
from chaoskit.reference.scan import counted
from chaoskit.reference.server import Connection, response
from chaoskit.reference.shell import Shell
from chaoskit.reference.wire import Codec

__all__ = ["Mesh"]

_ERRORS = {
    421: b'{"error":"this node does not own that; nothing was executed"',
    503: b'{"error":"this node cannot serve now; nothing was executed"',
    504: b'{"error":"the write may or may not have been executed"',
}


class Mesh(Shell):
    """What nodes of both shapes have in common. ``codec`` is their protocol's."""

    codec: Codec[Any]

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership.settings)
        self.membership = membership
        patience = membership.settings.timing.lease_ns / 1e9
        self.links = {
            name: Link(membership.members[name], patience, self.take_in)
            for name in membership.peers
        }
        self._request = 0
        self._pending: dict[int, Connection] = {}
        self._scans: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop; for tests, where a process outlives its node."""
        await super().close()
        for task in self._scans:
            task.cancel()
        await asyncio.gather(*self._scans, return_exceptions=True)
        for link in self.links.values():
            await link.close()

    # ------------------------------------------------------------ the state machine

    @abstractmethod
    def tick(self, now: int) -> list[Do]:
        """Time passed."""

    @abstractmethod
    def told(self, now: int, message: Any) -> list[Do]:
        """Another node said something."""

    @abstractmethod
    def read(self, now: int, key: str) -> Answer:
        """A register."""

    @abstractmethod
    def write(self, now: int, request: int, part: str, key: str, value: int) -> list[Do]:
        """A register, or (key "") a token for ``part`` of the log, the rest of the path."""

    @abstractmethod
    def tokens(self) -> Sequence[Iterable[int]]:
        """The log, in pieces that only grow."""

    @abstractmethod
    def role(self) -> str:
        """Role of this node."""

    @abstractmethod
    def facts(self, answer: Answer) -> tuple[int, str, str]:
        """Epoch, further headers and the hint of an answer, known by its ``request``."""

    # ------------------------------------------------------------ messages

    def ticked(self, now: int) -> list[Action]:
        """Give up overdue answers, then let the state machine look at the clock."""
        at = asyncio.get_running_loop().time()
        for link in self.links.values():
            link.sweep(at)
        self.carry_out(self.tick(now))
        return []

    def heard(self, now: int, message: Message) -> list[Action]:  # noqa: ARG002 - the signature
        """Nothing: the messages of a mesh are decoded here, not in the shell."""
        return []

    def act(self, action: Action) -> None:
        """Nothing: see ``carry_out``."""

    def handle(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        """Messages of peers; everything else as every node does it."""
        if path != b"/peer" or method != b"POST":
            return super().handle(conn, method, path, body)
        try:
            messages = self.codec.decode(body)
        except ValueError:
            return self.answer(400, b'{"error":"not a message of this protocol"}')
        return response(200, self._take(messages))

    def take_in(self, body: bytes) -> None:
        """Answers to messages of ours came; what is not of our protocol is dropped."""
        try:
            messages = self.codec.decode(body)
        except ValueError:
            return
        self._take(messages)

    def _take(self, messages: Iterable[Any]) -> bytes:
        actions: list[Do] = []
        for message in messages:
            actions += self.told(time.monotonic_ns(), message)
        return self.carry_out(actions)

    def carry_out(self, actions: Iterable[Do]) -> bytes:
        """Do all actions; the encoded replies. Messages to one peer leave together."""
        tells: dict[str, list[object]] = {}
        replies: list[object] = []
        for action in actions:
            if isinstance(action, Tell):
                tells.setdefault(action.to, []).append(action.message)
            elif isinstance(action, Reply):
                replies.append(action.message)
            elif isinstance(action, Note):
                self.events.add(time.monotonic_ns(), action.event, action.detail, self.epoch())
            else:
                conn = self._pending.pop(action.request, None)
                if conn is not None:
                    conn.respond(self.render(action))
        for name, messages in tells.items():
            self.links[name].send(self.codec.encode(messages))
        return self.codec.encode(replies)

    # ------------------------------------------------------------ clients

    def client(  # noqa: PLR0911 - one answer for each kind of request
        self, conn: Connection, method: bytes, path: bytes, body: bytes
    ) -> bytes | None:
        """Registers and log."""
        head, _, rest = path.decode("latin-1")[1:].partition("/")
        if head == "kv":
            if not rest or len(rest) > 128 or not rest.isprintable() or "?" in rest:
                return self.answer(400, b'{"error":"not a usable key"}')
            if method == b"PUT":
                return self._write(conn, "", rest, body)
            if method == b"GET":
                self._request += 1
                now = time.monotonic_ns()
                self.asked(self._request, rest)
                return self.render(self.read(now, rest)._replace(request=self._request))
        elif head == "log":
            if method == b"POST":
                return self._write(conn, rest, "", body)
            if method == b"GET" and not rest:
                task = asyncio.get_running_loop().create_task(self._scan(conn))
                self._scans.add(task)
                task.add_done_callback(self._scans.discard)
                return None
        else:
            return self.answer(404, b'{"error":"no such path or method"}')
        return self.answer(405, b'{"error":"no such method"}')

    def asked(self, request: int, place: str) -> None:
        """A request is about this place (a key, or a part of the log); for ``facts``."""

    def _write(self, conn: Connection, part: str, key: str, body: bytes) -> bytes | None:
        text = body.strip()
        if not text.isdigit() or len(text) > 20 or (value := int(text)) >= 2**64:
            return self.answer(400, b'{"error":"the body must be an unsigned 64-bit decimal"}')
        self._request += 1
        self._pending[self._request] = conn
        self.asked(self._request, key or part)
        self.carry_out(self.write(time.monotonic_ns(), self._request, part, key, value))
        return None

    def render(self, answer: Answer) -> bytes:
        """An answer of the state machine as an HTTP response."""
        epoch, extra, hint = self.facts(answer)
        tail = f',"epoch":{epoch},"node":"{self.settings.node}"}}'.encode()
        who = f"X-Chaoskit-Node: {self.settings.node}\r\nX-Chaoskit-Epoch: {epoch}\r\n{extra}"
        if answer.status == 200:
            value = "null" if answer.value is None else answer.value
            body = f'{{"value":{value},"version":{answer.version}'.encode() + tail
            return response(200, body, extra=who)
        if answer.status in (421, 503) and hint:
            who += f"X-Chaoskit-Primary: {hint}\r\n"
        return response(answer.status, _ERRORS[answer.status] + tail, extra=who)

    async def _scan(self, conn: Connection) -> None:
        """All tokens with their multiplicity."""
        parts = [await counted(list(piece)) for piece in self.tokens()]
        role = f"X-Chaoskit-Role: {self.role()}\r\n"
        conn.respond(self.answer(200, b"".join(parts), "text/plain", role))
