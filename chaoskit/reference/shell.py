"""The part that has a clock and sockets: runs a state machine, speaks HTTP for it.

One thread, one event loop. Each thing that happens reads the clock anew, is given to the state
machine, and the actions that come out are done before anything else is looked at.
"""

from __future__ import annotations

import asyncio
import socket
import time
from abc import ABC, abstractmethod

from chaoskit.reference.events import Events
from chaoskit.reference.messages import Action, Message, Note, Reply, decode, encode
from chaoskit.reference.server import Connection, response
from chaoskit.reference.settings import Settings

__all__ = ["Shell"]

BACKLOG = 1024
"""A paused process collects connections; the kernel should hold them and not turn them away."""


class Shell(ABC):
    """What node and witness have in common."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events = Events(settings.node)
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on (of use where 0 was asked for)."""
        if self._server is None or not self._server.sockets:
            return self.settings.port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen and begin. Raises ``OSError`` if the port cannot be had."""
        loop = asyncio.get_running_loop()
        sock = socket.create_server(
            (self.settings.bind, self.settings.port), backlog=BACKLOG, reuse_port=False
        )
        self._server = await loop.create_server(lambda: Connection(self), sock=sock)
        self._ticker = loop.create_task(self._tick_for_ever())

    async def run(self) -> None:
        """Serve until the process ends; an error in the state machine ends it loudly."""
        if self._ticker is not None:
            await self._ticker

    async def close(self) -> None:
        """Stop; for tests, where a process outlives its node."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    async def _tick_for_ever(self) -> None:
        every = self.settings.timing.tick_ns / 1e9
        while True:
            self.perform(self.ticked(time.monotonic_ns()))
            await asyncio.sleep(every)

    # ------------------------------------------------------------ what differs

    @abstractmethod
    def ticked(self, now: int) -> list[Action]:
        """Time passed."""

    @abstractmethod
    def heard(self, now: int, message: Message) -> list[Action]:
        """A message came in: a request of somebody, or the answer to one of ours."""

    @abstractmethod
    def act(self, action: Action) -> None:
        """Do one action that is neither ``Note`` nor ``Reply``."""

    @abstractmethod
    def epoch(self) -> int:
        """The epoch as this process knows it."""

    @abstractmethod
    def status(self, now: int) -> tuple[bool, bytes]:
        """Healthy or not, and the JSON of ``GET /role``."""

    @abstractmethod
    def client(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        """A request that every kind of process answers in its own way."""

    # ------------------------------------------------------------ requests

    def handle(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        """Route one request."""
        if path == b"/peer" and method == b"POST":
            try:
                message = decode(body)
            except ValueError:
                return self.answer(400, b'{"error":"not a message of this protocol"}')
            made = response(200, self.perform(self.heard(time.monotonic_ns(), message)))
            return self.replied(conn, message, made)
        place, _, asked = path.partition(b"?")
        if method == b"GET" and place == b"/events":
            after = asked.removeprefix(b"after=")
            return self.answer(200, self.events.as_json(int(after) if after.isdigit() else 0))
        if method == b"GET" and path in {b"/role", b"/health"}:
            healthy, status = self.status(time.monotonic_ns())
            return self.answer(200 if healthy or path == b"/role" else 503, status)
        work_ns = self.settings.timing.work_ns
        if not work_ns:
            return self.client(conn, method, path, body)
        loop = asyncio.get_running_loop()
        loop.call_later(work_ns / 1e9, self._worked, conn, method, path, body)
        return None

    def _worked(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> None:
        """A client's request has taken its time, and is executed now."""
        answer = self.client(conn, method, path, body)
        if answer is not None:
            conn.respond(answer)

    def replied(
        self,
        conn: Connection,  # noqa: ARG002 - for those that answer later
        message: Message,  # noqa: ARG002 - likewise
        made: bytes,
    ) -> bytes | None:
        """The response to a message, or None: ``conn.respond`` will be called with it later."""
        return made

    def answer(
        self, status: int, body: bytes, kind: str = "application/json", extra: str = ""
    ) -> bytes:
        """A response that says who answered, in which epoch."""
        who = f"X-Chaoskit-Node: {self.settings.node}\r\nX-Chaoskit-Epoch: {self.epoch()}\r\n"
        return response(status, body, kind, who + extra)

    def perform(self, actions: list[Action]) -> bytes:
        """Do all actions in order; the encoded reply if one of them was one."""
        reply = b""
        for action in actions:
            if isinstance(action, Reply):
                reply = encode(action.message)
            elif isinstance(action, Note):
                self.events.add(time.monotonic_ns(), action.event, action.detail, self.epoch())
            else:
                self.act(action)
        return reply

    def take_in(self, body: bytes) -> None:
        """An answer to a message of ours came; one that is not of our protocol is dropped."""
        try:
            message = decode(body)
        except ValueError:
            return
        self.perform(self.heard(time.monotonic_ns(), message))
