"""Sessions with PostgreSQL on gevent, through libpq's own non-blocking calls. Hides nothing.

libpq is used by way of ``psycopg.pq`` and not through psycopg's connections, so that it is known at
every moment whether a statement has been handed to the kernel, and that nothing is tried twice:
one host, no encryption or Kerberos to fall back from, no cancelling of what is given up. All waits
are gevent's, so a ``gevent.Timeout`` ends any of them.
"""

from __future__ import annotations

import ipaddress
import select
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import psycopg
from gevent.monkey import get_original
from gevent.socket import getaddrinfo, wait_read, wait_write
from psycopg import pq
from psycopg.conninfo import make_conninfo

from chaoskit.history.records import Flag
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import Operation
from chaoskit.load.sqlstate import is_doubtful, phrase_of

__all__ = ["PORT", "Answer", "Session", "Sessions"]

PORT = 5432

T = TypeVar("T")
_poll = get_original("select", "poll")  # gevent's own would let others run in between
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)
_FIXED = {
    # Each of these could make libpq try something a second time, or elsewhere.
    "gssencmode": "disable",
    "target_session_attrs": "any",
    "options": "",
    "application_name": "chaoskit",
}


class Answer:
    """What the server said to one statement."""

    __slots__ = ("code", "doubtful", "good", "rows", "severity")

    def __init__(self, result: pq.abc.PGresult, *, doubtful: str) -> None:
        self.good = result.status in _GOOD
        self.severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        self.code = _field(result, pq.DiagnosticField.SQLSTATE)
        self.doubtful = doubtful  # SQLSTATE of a warning that takes the acknowledgement back
        self.rows = [result.get_value(row, 0) for row in range(result.ntuples)]


def _field(result: pq.abc.PGresult, field: pq.DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode("latin-1")


class Session:
    """One connection. Errors of the transport are ``OSError``; those of the server are answers."""

    def __init__(self, endpoint: Endpoint, login: Mapping[str, str], generation: int = 0) -> None:
        self.generation = generation
        self.server: str | None = None  # node at the other end; None: nobody has found out yet
        self._doubtful = ""
        place = {"host": endpoint.host, "hostaddr": _address(endpoint.host)}
        conninfo = make_conninfo("", **place, port=endpoint.port or PORT, **login)
        self._conn = pq.PGconn.connect_start(make_conninfo(conninfo, **_FIXED).encode())
        try:
            self._open()
        except BaseException:  # a timeout as well: the descriptor must not stay behind
            self.close()
            raise
        self._conn.nonblocking = 1
        self._conn.notice_handler = self._notice

    def _open(self) -> None:
        conn = self._conn
        while conn.status != pq.ConnStatus.BAD:
            state = conn.connect_poll()
            if state == pq.PollingStatus.OK:
                return
            if state == pq.PollingStatus.READING:
                wait_read(_descriptor(conn))
            elif state == pq.PollingStatus.WRITING:
                wait_write(_descriptor(conn))
            else:
                break
        raise ConnectionError(phrase_of(conn.get_error_message()))

    def _notice(self, result: pq.abc.PGresult) -> None:
        severity = _field(result, pq.DiagnosticField.SEVERITY_NONLOCALIZED)
        code = _field(result, pq.DiagnosticField.SQLSTATE)
        if is_doubtful(severity, code, _field(result, pq.DiagnosticField.SOURCE_FUNCTION)):
            self._doubtful = code

    def close(self) -> None:
        """Hang up at once. Whatever the server is still doing for us goes on there."""
        self._conn.finish()

    def stale(self) -> bool:
        """An idle session that can be read was ended by the server, or is out of step."""
        try:
            poll = _poll()
            poll.register(self._conn.socket, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, psycopg.Error):
            return True

    @property
    def pid(self) -> int:
        """The server's process that the session was opened with, as it said then."""
        return self._conn.backend_pid

    def told(self, name: bytes) -> str:
        """A setting that the server reports by itself; empty where it does not know it."""
        return (self._conn.parameter_status(name) or b"").decode("latin-1")

    def ask(
        self, statement: bytes, values: Sequence[bytes], operation: Operation | None = None
    ) -> Answer:
        """Send one statement, a transaction of its own, and read its answer.

        Sets ``dispatched`` and ``done_ns`` of ``operation``. Raises ``OSError``.
        """
        conn = self._conn
        self._doubtful = ""
        if operation is not None:
            operation.dispatched = True  # libpq may get rid of it before it returns
        _try(conn, lambda: conn.send_query_params(statement, values))
        while _try(conn, conn.flush):
            wait_write(_descriptor(conn))
        answer = self._answer()
        if operation is not None:
            operation.done_ns = time.monotonic_ns()
        return answer

    def _answer(self) -> Answer:
        """Of several results, which only a connection that breaks has, the one with the error."""
        conn, found = self._conn, None
        while True:
            try:
                while _try(conn, conn.is_busy):
                    wait_read(_descriptor(conn))
                    _try(conn, conn.consume_input)
            except ConnectionError:
                if found is None or found.status in _GOOD:  # said before it was committed
                    raise
                break  # the server told why it would hang up
            result = conn.get_result()
            if result is None:
                break
            if found is None or found.status in _GOOD:
                found = result
        if found is None:
            raise ConnectionError(phrase_of(conn.get_error_message()))
        answer = Answer(found, doubtful=self._doubtful)
        if not answer.good and not answer.code:  # libpq's own words: the server said nothing
            raise ConnectionError(phrase_of(conn.get_error_message()))
        return answer

    @property
    def broken(self) -> bool:
        """Whether the server has hung up, perhaps after an answer."""
        return self._conn.status != pq.ConnStatus.OK


def _descriptor(conn: pq.abc.PGconn) -> int:
    return _try(conn, lambda: conn.socket)


def _address(host: str) -> str:
    """One address for a name, asked for without holding up the loop, as libpq would."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return str(getaddrinfo(host, None)[0][4][0])
    return host


def _try(conn: pq.abc.PGconn, call: Callable[[], T]) -> T:
    """The library's connection errors as the system's own."""
    try:
        return call()
    except psycopg.Error as error:
        said = conn.get_error_message() if conn.status != pq.ConnStatus.OK else str(error)
        raise ConnectionError(phrase_of(said)) from error


class Sessions:
    """Sessions with several servers, kept for the next operation where that is wanted.

    At the first transport error on a server all idle sessions with it are closed, and those in
    use are not kept when they come back: they may be as dead as the one that failed.
    """

    def __init__(self, login: Mapping[str, str]) -> None:
        self._login = login
        self._idle: dict[str, list[Session]] = {}
        self._generation: dict[str, int] = {}

    def flush(self, endpoint: Endpoint) -> None:
        """Forget every kept session with the server."""
        url = endpoint.url
        self._generation[url] = self._generation.get(url, 0) + 1
        for session in self._idle.pop(url, ()):
            session.close()

    def borrow(self, endpoint: Endpoint, operation: Operation) -> Session:
        """A kept session, else a new one. Raises ``OSError``; nothing has been asked then."""
        idle = [] if operation.fresh else self._idle.get(endpoint.url, [])
        while idle:
            session = idle.pop()
            if not session.stale():
                return session
            session.close()
        operation.flags |= Flag.NEW_CONNECTION
        return Session(endpoint, self._login, self._generation.get(endpoint.url, 0))

    def give_back(self, endpoint: Endpoint, session: Session, operation: Operation) -> None:
        """Keep it for the next operation, or close it where that cannot be."""
        current = self._generation.get(endpoint.url, 0)
        if operation.fresh or session.broken or session.generation != current:
            session.close()
        else:
            self._idle.setdefault(endpoint.url, []).append(session)
