"""The way to a peer or to the witness: messages out, answers in, nothing promised.

Each message is one POST on a connection of its own kept pool, so that a message that hangs holds
nobody up. A connection whose answer does not come in time is given up, not waited for: after a
partition heals, the next message opens a fresh one at once instead of waiting for a backed-off
retransmission.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from chaoskit.reference.settings import Endpoint

__all__ = ["Link", "Names"]

OPEN_MAX = 8
"""Connections at most to one place, most of them hanging; beyond, messages are dropped."""


class Names:
    """Finds a peer's address, and goes on with the last good one when the name is gone.

    The resolver may block for seconds (the name of a dead container is nowhere), so it is asked
    in a thread, and only when an attempt to connect failed.
    """

    def __init__(self, place: Endpoint) -> None:
        self._place = place
        self.address: str | None = None
        self._asking = False
        self._again_at = 0.0

    def refresh(self) -> None:
        """Ask the resolver soon; returns at once."""
        loop = asyncio.get_running_loop()
        if self._asking or (self.address and loop.time() < self._again_at):
            return
        self._asking = True
        self._again_at = loop.time() + 0.25
        future = loop.run_in_executor(None, self._look_up)
        future.add_done_callback(self._found)

    def _look_up(self) -> str | None:
        try:
            found = socket.getaddrinfo(
                self._place.host, self._place.port, socket.AF_INET, socket.SOCK_STREAM
            )
        except OSError:
            return None
        return str(found[0][4][0]) if found else None

    def _found(self, future: asyncio.Future[str | None]) -> None:
        self._asking = False
        if not future.cancelled() and future.exception() is None:
            self.address = future.result() or self.address


class Link:
    """Sends messages to one place; ``on_answer`` gets the body of each answer that came."""

    def __init__(
        self, place: Endpoint, timeout_s: float, on_answer: Callable[[bytes], None]
    ) -> None:
        self.names = Names(place)
        self.timeout_s = timeout_s
        self.on_answer = on_answer
        self.idle: list[_Wire] = []
        self._open: set[_Wire] = set()
        self._place = place
        self._tasks: set[asyncio.Task[None]] = set()
        self._head = f"POST /peer HTTP/1.1\r\nHost: {place.host}\r\nContent-Length: ".encode()

    def send(self, body: bytes) -> None:
        """Send it if there is a way, else drop it."""
        data = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        while self.idle:
            wire = self.idle.pop()
            if wire.usable():
                wire.ask(data)
                return
        if len(self._open) + len(self._tasks) >= OPEN_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._connect(data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sweep(self, now: float) -> None:
        """Give up connections whose answer is overdue; ``now`` is the loop's time."""
        for wire in [w for w in self._open if w.due is not None and now > w.due]:
            wire.drop()

    async def close(self) -> None:
        """Drop everything; for tests, where a process outlives its node."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in list(self._open):
            wire.drop()

    async def _connect(self, data: bytes) -> None:
        if self.names.address is None:
            self.names.refresh()
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_s):
                _, wire = await loop.create_connection(
                    lambda: _Wire(self), self.names.address, self._place.port
                )
        except (OSError, TimeoutError):
            self.names.refresh()
            return
        wire.ask(data)

    def opened(self, wire: _Wire) -> None:
        """A connection is there."""
        self._open.add(wire)

    def lost(self, wire: _Wire) -> None:
        """A connection is gone."""
        self._open.discard(wire)
        if wire in self.idle:
            self.idle.remove(wire)


class _Wire(asyncio.Protocol):
    """One kept connection of a link; at most one request is on it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature
        self._transport = None
        self._link.lost(self)

    def usable(self) -> bool:
        """Whether a request may be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, data: bytes) -> None:
        """Write one request."""
        if self._transport is not None:
            self.due = asyncio.get_running_loop().time() + self._link.timeout_s
            self._transport.write(data)

    def drop(self) -> None:
        """Forget the connection; what was on it is lost."""
        if self._transport is not None:
            self._transport.abort()
        self._link.lost(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.find(b"Content-Length: ", 0, end)
        if at < 0:
            self.drop()
            return
        stop = self._buffer.find(b"\r\n", at)
        length = int(self._buffer[at + 16 : stop])
        if len(self._buffer) < end + 4 + length:
            return
        body, good = self._buffer[end + 4 : end + 4 + length], self._buffer[9:12] == b"200"
        self._buffer = self._buffer[end + 4 + length :]
        self.due = None
        self._link.idle.append(self)
        if good:
            self._link.on_answer(body)
