"""A small HTTP/1.1 client on gevent sockets that hides nothing.

No redirect is followed, no request is sent twice, no error is swallowed: libraries that re-send a
request when the peer closes the connection turn dropped requests into successes. It costs about
a tenth of what a general library does, which is what keeps the comb on time.
"""

from __future__ import annotations

import socket as plain
import time

import gevent
from gevent import socket

from chaoskit.history.records import Flag
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import Operation

__all__ = ["Answer", "Client", "parse_head"]

_MOST_HEAD = 64 * 1024
_NEW_CONNECTION = int(Flag.NEW_CONNECTION)
_HEAD = b"HEAD "
_NO_WAIT = plain.MSG_PEEK | plain.MSG_DONTWAIT


class Head:
    """Status line and headers of an answer, read once; plain data after that."""

    __slots__ = ("_head", "_lower", "_values", "chunked", "keep", "length", "status")

    def __init__(self, head: bytes) -> None:
        status = head[9:12]
        if not head.startswith(b"HTTP/1.") or not status.isdigit():
            raise ConnectionError("the answer is not HTTP")
        self.status = int(status)
        self._head = head
        self._lower = head.lower()
        self._values: dict[bytes, bytes] = {}
        version_1_0 = head.startswith(b"HTTP/1.0")
        connection = self.header(b"connection").lower()
        self.keep = connection == b"keep-alive" if version_1_0 else connection != b"close"
        self.chunked = b"chunked" in self.header(b"transfer-encoding").lower()
        self.length = self.header(b"content-length")

    def header(self, name: bytes) -> bytes:
        """The first value of the header, stripped; empty if it is not there."""
        value = self._values.get(name)
        if value is None:
            value = self._values[name] = self._find(name)
        return value

    def _find(self, name: bytes) -> bytes:
        at = self._lower.find(b"\r\n" + name + b":")
        if at < 0:
            return b""
        start = at + len(name) + 3
        end = self._head.find(b"\r\n", start)
        return self._head[start : end if end >= 0 else None].strip()


class Answer:
    """Status, headers and body of one answer. Header names are given in lower case."""

    __slots__ = ("body", "head", "header", "keep", "status")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.status = head.status
        self.keep = head.keep
        self.header = head.header
        self.body = b""


_heads: dict[bytes, Head] = {}
"""A service says the same head again and again, but for its date."""
_MOST_HEADS = 256


def parse_head(head: bytes) -> Answer:
    """Raises ``ConnectionError`` for something that is not HTTP/1."""
    known = _heads.get(head)
    if known is None:
        known = Head(head)
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        _heads[head] = known
    return Answer(known)


class _Connection:
    __slots__ = ("_buffer", "_hub", "_raw", "_readable", "generation", "sock")

    def __init__(self, endpoint: Endpoint, generation: int, within_s: float = 0.0) -> None:
        self.generation = generation
        self._buffer = b""
        family = plain.AF_INET6 if ":" in endpoint.host else plain.AF_INET
        self.sock = socket.socket(family, plain.SOCK_STREAM)
        try:
            self.sock.setsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY, 1)
            self.sock.settimeout(within_s or None)
            self.sock.connect((endpoint.host, endpoint.port or 80))
            self.sock.settimeout(None)
        except BaseException:  # a timeout as well: the descriptor must not stay behind
            self.sock.close()
            raise
        # What is done for every request goes past gevent's socket, which would try to read before
        # there can be an answer and make a waiter each time.
        self._raw = self.sock._sock  # noqa: SLF001 - it has no public name
        self._hub = gevent.get_hub()
        self._readable = self._hub.loop.io(self._raw.fileno(), 1)

    def close(self) -> None:
        self._readable.stop()
        self._readable.close()
        self.sock.close()

    def stale(self) -> bool:
        """An idle connection that can be read was closed by the peer, or is out of step."""
        try:
            self._raw.recv(1, _NO_WAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def send(self, payload: bytes, operation: Operation) -> None:
        try:
            sent = self._raw.send(payload)
        except BlockingIOError:
            sent = self.sock.send(payload)
        operation.dispatched = True
        if sent < len(payload):
            self.sock.sendall(payload[sent:])

    def _more(self) -> bytes:
        """What there is to read as soon as there is something; nothing at the end."""
        while True:
            self._readable.start(gevent.getcurrent().switch)
            try:
                self._hub.switch()
            finally:
                self._readable.stop()
            try:
                return self._raw.recv(65536)  # type: ignore[no-any-return]
            except BlockingIOError:
                continue

    def receive(self, *, bodiless: bool = False) -> Answer:
        """One answer; ``bodiless`` where it has no body, whatever length it names."""
        while True:
            answer = self._head()
            if answer.status >= 200:
                break
        if bodiless or answer.status in (204, 304):
            return answer
        head = answer.head
        if head.chunked:
            answer.body = self._chunks()
        elif head.length:
            if not head.length.isdigit():
                raise ConnectionError("the answer's length is not a number")
            answer.body = self._exactly(int(head.length))
        else:
            answer.keep = False
            rest: list[bytes] = [self._buffer]
            while data := self._more():
                rest.append(data)
            answer.body = b"".join(rest)
        return answer

    def _head(self) -> Answer:
        buffer = self._buffer
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > _MOST_HEAD:
                raise ConnectionError("the answer's headers do not end")
            data = self._more()
            if not data:
                raise ConnectionError(
                    "closed in the middle of an answer" if buffer else "closed without an answer"
                )
            buffer += data
        self._buffer = buffer[end + 4 :]
        return parse_head(buffer[:end])

    def _exactly(self, count: int) -> bytes:
        have = len(self._buffer)
        if have < count:
            parts = [self._buffer]
            while have < count:
                data = self._more()
                if not data:
                    raise ConnectionError("closed in the middle of an answer")
                parts.append(data)
                have += len(data)
            self._buffer = b"".join(parts)
        body, self._buffer = self._buffer[:count], self._buffer[count:]
        return body

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            data = self._more()
            if not data:
                raise ConnectionError("closed in the middle of an answer")
            self._buffer += data
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                size = int(self._line().split(b";", 1)[0], 16)
            except ValueError as error:
                raise ConnectionError("the answer has a chunk without a size") from error
            if size == 0:
                while self._line():
                    pass
                return b"".join(parts)
            parts.append(self._exactly(size))
            self._line()


class Client:
    """Connections to several endpoints, kept for the next request where that is wanted.

    At the first transport error on an endpoint all idle connections to it are closed, and those
    in use are not kept when they come back: they may be as dead as the one that failed.
    """

    def __init__(self) -> None:
        self._idle: dict[str, list[_Connection]] = {}  # by URL: a text keeps its hash
        self._generation: dict[str, int] = {}

    def flush(self, endpoint: Endpoint) -> None:
        """Forget every kept connection to the endpoint."""
        url = endpoint.url
        self._generation[url] = self._generation.get(url, 0) + 1
        for connection in self._idle.pop(url, ()):
            connection.close()

    def ask(self, endpoint: Endpoint, payload: bytes, operation: Operation) -> Answer:
        """Send one request and read its answer; sets ``dispatched`` and ``done_ns``.

        Raises ``OSError``; lets ``gevent.Timeout`` pass.
        """
        connection = None
        try:
            if not operation.fresh:
                connection = self._kept(endpoint)
            if connection is None:
                operation.flags |= _NEW_CONNECTION
                connection = _Connection(
                    endpoint, self._generation.get(endpoint.url, 0), operation.connect_s
                )
            connection.send(payload, operation)
            answer = connection.receive(bodiless=payload.startswith(_HEAD))
            operation.done_ns = time.monotonic_ns()
        except BaseException:  # Timeout and GreenletExit are no Exceptions; all is raised again
            if connection is not None:
                connection.close()
            self.flush(endpoint)
            raise
        current = self._generation.get(endpoint.url, 0)
        if operation.fresh or not answer.keep or connection.generation != current:
            connection.close()
        else:
            self._idle.setdefault(endpoint.url, []).append(connection)
        return answer

    def _kept(self, endpoint: Endpoint) -> _Connection | None:
        idle = self._idle.get(endpoint.url)
        while idle:
            connection = idle.pop()
            if not connection.stale():
                return connection
            connection.close()
        return None
