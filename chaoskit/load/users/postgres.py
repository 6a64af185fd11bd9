"""A client of PostgreSQL: one server, a list of them of which one takes writes, or a front door.

Each operation is one statement and thereby one transaction. Like libpq with
``target_session_attrs=read-write``, it goes on to the next server of the list only if one cannot be
reached or says that it is a standby. What an error proves stands in ``chaoskit/load/sqlstate.py``.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import gevent
from gevent import Timeout

from chaoskit.errors import BadInput
from chaoskit.history.records import Op
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.postgres import PORT, Answer, Session, Sessions
from chaoskit.load.sqlstate import MOVE_ON, is_definite
from chaoskit.load.tokens import count, token_of
from chaoskit.load.user import CombUser
from chaoskit.load.whereabouts import Whereabouts

__all__ = ["Postgres", "Statement"]

_SCHEMES = frozenset({"postgres", "postgresql"})
_SSL = ("disable", "require", "verify-ca", "verify-full")
_SESSIONS = ("read-write", "any")
_LOGIN = ("user", "password", "database")
_SET_UP_S = 20.0
_AGAIN_S = 0.2

_SET_UP = (
    "CREATE TABLE IF NOT EXISTS chaoskit_log (token numeric(20) NOT NULL)",
    "CREATE TABLE IF NOT EXISTS chaoskit_register (key integer PRIMARY KEY,"  # noqa: ISC004
    " value numeric(20) NOT NULL, version bigint NOT NULL DEFAULT 1)",
)
_APPEND = "INSERT INTO chaoskit_log (token) VALUES ({token})"
_PUT = (
    "INSERT INTO chaoskit_register AS r (key, value) VALUES ({key}, {token})"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = r.version + 1"
    " RETURNING version"
)
_GET = "SELECT value FROM chaoskit_register WHERE key = {key}"
_WHO = b"SELECT host(inet_server_addr()) || ' ' || inet_server_port() || ' ' || pg_backend_pid()"
_ME = re.compile(r"(?P<host>\S+) (?P<port>[0-9]{1,5}) (?P<pid>[0-9]{1,10})")
_READ_BACK = "SELECT token FROM chaoskit_log"


@dataclass(frozen=True)
class Statement:
    """SQL with ``{token}`` and ``{key}``, which go to the server as parameters."""

    sql: bytes
    names: tuple[str, ...]

    @classmethod
    def of(cls, name: str, value: object, default: str) -> Statement:
        """The statement that load option ``name`` holds. Raises ``BadInput``."""
        text = default if value is None else value
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise BadInput(f"load option {name} is {value!r}; write one SQL statement")
        names = tuple(dict.fromkeys(re.findall(r"\{(token|key)\}", text)))
        for at, word in enumerate(names, start=1):
            text = text.replace(f"{{{word}}}", f"${at}")
        return cls(text.encode(), names)

    def values(self, operation: Operation) -> list[bytes]:
        """What goes with it, as texts of which the server knows the types."""
        of = {"token": operation.token, "key": operation.key}
        return [str(of[name]).encode() for name in self.names]


class Postgres(CombUser):
    """Appends tokens to a table, puts and gets rows by key."""

    abstract = False
    option_names = CombUser.option_names | {
        *_LOGIN,
        *("sslmode", "session"),
        *("set_up", "write", "put", "read", "read_back"),
    }

    def prepare(self) -> None:
        """Kept sessions belong to one stream, as with the other clients."""
        for endpoint in (*self.shared.config.endpoints, *self.shared.config.nodes):
            if endpoint.scheme not in _SCHEMES:
                raise BadInput(f"endpoint {endpoint.url} is not postgres://, all that is spoken")
        self.sessions = Sessions(self._login())
        session = self._one_of("session", _SESSIONS)
        # A pinned writer asks its node as it is, so that two that both acknowledge are seen.
        self.must_write = session == "read-write" and self.pinned is None
        custom = self.options.get("write")
        write = Statement.of("write", custom, _APPEND)
        put = self.options.get("put")
        self.statements = {
            Op.APPEND: write,
            # Of a system of which only a write is known, registers are not known either.
            Op.PUT: write if custom is not None and put is None else Statement.of("put", put, _PUT),
            Op.GET: Statement.of("read", self.options.get("read"), _GET),
        }
        if custom is not None and put is None:
            self.put_share = 0.0
        scan = self.options.get("read_back")
        known = custom is None or scan is not None
        self.scan = Statement.of("read_back", scan, _READ_BACK) if known else None
        self._set_up_with = self._statements("set_up", () if custom is not None else _SET_UP)
        self._where = Whereabouts(self.shared.config.nodes, PORT)

    def _login(self) -> dict[str, str]:
        login = {"user": "postgres", "dbname": "postgres", "sslmode": self._one_of("sslmode", _SSL)}
        for name in _LOGIN:
            if name in self.options:
                login["dbname" if name == "database" else name] = self.text(name, "")
        return login

    def _one_of(self, name: str, words: tuple[str, ...]) -> str:
        value = self.options.get(name, words[0])
        if value not in words:
            raise BadInput(f"load option {name} is {value!r}; use {' or '.join(words)}")
        return str(value)

    def _statements(self, name: str, default: tuple[str, ...]) -> list[bytes]:
        value = self.options.get(name, list(default))
        items = value if isinstance(value, list) else [value]
        return [Statement.of(name, item, "").sql for item in items]

    # ------------------------------------------------------------ before

    def warm_up(self) -> None:
        """Make the tables. It goes on beside the first slots if the server is slow about it."""
        gevent.spawn(self._set_up).join()

    def _set_up(self) -> None:
        until = time.monotonic() + _SET_UP_S
        for sql in self._set_up_with:
            while time.monotonic() < until:
                operation = Operation(Op.APPEND, 0, 0, 0, fresh=True)
                with Timeout(until - time.monotonic(), exception=False):
                    ask = partial(self._ask, sql=sql, values=[])
                    if self.shared.door.walk(operation, ask) is Verdict.ACKNOWLEDGED:
                        break
                gevent.sleep(_AGAIN_S)

    # ------------------------------------------------------------ one operation

    def perform(self, operation: Operation) -> Verdict:
        """One statement to the server believed in, on to others only if it cannot have run."""
        return self.door.walk(operation, self._attempt)

    def _attempt(self, endpoint: Endpoint, operation: Operation) -> Verdict:
        statement = self.statements[operation.op]
        return self._ask(endpoint, operation, statement.sql, statement.values(operation))

    def _ask(
        self, endpoint: Endpoint, operation: Operation, sql: bytes, values: list[bytes]
    ) -> Verdict:
        session = None
        try:
            session = self.sessions.borrow(endpoint, operation)
            if self.must_write and not _takes_writes(session):
                self.sessions.give_back(endpoint, session, operation)
                return self._refused(endpoint, operation, "postgres: the session is read-only")
            if session.server is None:
                session.server = endpoint.server or self._who(session)
            answer = session.ask(sql, values, operation)
        except BaseException:  # Timeout and GreenletExit are no Exceptions; all is raised again
            if session is not None:
                session.close()
            self.sessions.flush(endpoint)
            raise
        operation.server = session.server
        self.sessions.give_back(endpoint, session, operation)
        return self._verdict(endpoint, operation, answer)

    def _who(self, session: Session) -> str:
        """The node behind a front door, as the server says; empty where that names none.

        Behind a pooler the session is with the pooler, which may send the next statement to
        another server: that is told by the process that answers being none of this session's.
        """
        answer = session.ask(_WHO, [])
        said = (answer.rows[0] if answer.good and answer.rows else None) or b""
        found = _ME.fullmatch(said.decode("latin-1"))
        if found is None or int(found["pid"]) != session.pid:
            return ""
        return self._where.node(found["host"], int(found["port"]))

    def _refused(self, endpoint: Endpoint, operation: Operation, why: str) -> Verdict:
        operation.server = operation.server or endpoint.server
        operation.error = why
        operation.move_on = True
        # The next operations begin elsewhere: this one will be a standby for a while.
        self.door.leave(endpoint)
        return Verdict.REFUSED

    def _verdict(self, endpoint: Endpoint, operation: Operation, answer: Answer) -> Verdict:
        if answer.good:
            if answer.doubtful:
                operation.error = "acknowledged without its synchronous standby"
                return Verdict.UNKNOWN
            if answer.rows and operation.op in (Op.GET, Op.PUT):
                with contextlib.suppress(ValueError):  # NULL, or what is no token of ours
                    operation.seen = token_of(answer.rows[0])
            return Verdict.ACKNOWLEDGED
        said = f"{answer.severity} {answer.code}" if answer.severity != "ERROR" else answer.code
        operation.error = f"SQLSTATE {said}".replace("  ", " ")
        if not is_definite(answer.severity, answer.code):
            return Verdict.UNKNOWN
        if answer.code in MOVE_ON:
            return self._refused(endpoint, operation, operation.error)
        return Verdict.REFUSED

    # ------------------------------------------------------------ afterwards

    def read_back(self, place: Endpoint | None) -> Mapping[int, int]:
        """Every token of the table, from one node, or from the server that takes writes."""
        if self.scan is None:
            raise BadInput("load option read_back is missing: nobody said how to read the log")
        if place is not None:
            return self._scan(place, must_write=False)
        why = OSError("no server of the front door takes writes")
        for endpoint in self.shared.door.endpoints:
            try:
                return self._scan(endpoint, must_write=self.must_write)
            except OSError as error:
                why = error
        raise why

    def _scan(self, endpoint: Endpoint, *, must_write: bool) -> Mapping[int, int]:
        assert self.scan is not None  # noqa: S101 - looked at by the only caller
        session = Session(endpoint, self._login())
        try:
            if must_write and not _takes_writes(session):
                raise ConnectionError("postgres: the session is read-only")
            answer = session.ask(self.scan.sql, [])
        finally:
            session.close()
        if not answer.good:
            raise ConnectionError(f"SQLSTATE {answer.code}")
        return count(answer.rows)


def _takes_writes(session: Session) -> bool:
    """What ``target_session_attrs=read-write`` asks, with its two ways of finding out.

    From PostgreSQL 14 on the server reports it when a session is opened and with each answer, so
    only a session that was last known to be read-only costs a question.
    """
    standby, read_only = (
        session.told(b"in_hot_standby"),
        session.told(b"default_transaction_read_only"),
    )
    if standby == "off" and read_only == "off":
        return True
    answer = session.ask(b"SHOW transaction_read_only", [])
    if not answer.good:
        raise ConnectionError(f"SQLSTATE {answer.code}")
    return answer.rows == [b"off"]
