"""A small HTTP/1.1 server: kept connections, one request at a time on each, no more than needed.

It is written by hand because two nodes, their clients and a harness share two cores: a request
costs tens of microseconds here, of which most is the kernel's.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

__all__ = ["Connection", "Handler", "response"]

HEAD_MAX = 16 * 1024
BODY_MAX = 16 * 1024 * 1024

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    421: "Misdirected Request",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def response(status: int, body: bytes, kind: str = "application/json", extra: str = "") -> bytes:
    """A whole HTTP response. ``extra`` is header lines, each ended by CRLF."""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"{extra}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class Handler(Protocol):
    """What the server calls for each request."""

    def handle(self, conn: Connection, method: bytes, path: bytes, body: bytes) -> bytes | None:
        """The whole response, or None: ``conn.respond`` will be called with it later."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._busy = False
        self._serving = False
        self._close_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers leave at once: they are small, and somebody measures how long they take."""
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature
        """Whoever asked has gone; what is still to be answered is answered to nobody."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Requests are handled as they become whole; the next waits for the answer."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._serve()

    def respond(self, answer: bytes) -> None:
        """Send the response of a request whose handler returned None; no-op if it has gone."""
        self._busy = False
        if self._transport is None:
            return
        self._transport.write(answer)
        if self._close_after:
            self._transport.close()
        elif self._buffer and not self._serving:
            self._serve()

    def _serve(self) -> None:
        """Handle every whole request in the buffer, in order."""
        self._serving = True
        try:
            self._serve_buffer()
        finally:
            self._serving = False

    def _serve_buffer(self) -> None:
        while self._buffer and not self._busy and not self._close_after:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_MAX:
                    self._refuse(400)
                return
            head = self._buffer[:end]
            line_end = head.find(b"\r\n")
            line = head if line_end < 0 else head[:line_end]
            headers = b"" if line_end < 0 else head[line_end:].lower()
            parts = line.split(b" ")
            length = self._length(headers)
            if len(parts) != 3 or length is None:
                self._refuse(400)
                return
            if length > BODY_MAX:
                self._refuse(413)
                return
            stop = end + 4 + length
            if len(self._buffer) < stop:
                return
            body = self._buffer[end + 4 : stop]
            self._buffer = self._buffer[stop:]
            if b"\r\nconnection: close" in headers or parts[2] == b"HTTP/1.0":
                self._close_after = True
            self._busy = True
            answer = self._handler.handle(self, parts[0], parts[1], body)
            if answer is not None:
                self.respond(answer)

    @staticmethod
    def _length(headers: bytes) -> int | None:
        at = headers.find(b"\r\ncontent-length:")
        if at < 0:
            return None if b"\r\ntransfer-encoding:" in headers else 0
        at += 17
        end = headers.find(b"\r\n", at)
        text = (headers[at:] if end < 0 else headers[at:end]).strip()
        return int(text) if text.isdigit() and len(text) < 10 else None

    def _refuse(self, status: int) -> None:
        self._buffer, self._close_after = b"", True
        if self._transport is not None:
            self._transport.write(response(status, b'{"error":"not understood"}'))
            self._transport.close()
