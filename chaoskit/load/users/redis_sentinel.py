"""A client of Redis behind Sentinel, as an application would be one.

The sentinels are asked who the master is; a kept pool of connections goes to it until the first
error of the transport or the first refusal that says it is no master any more. Nothing is sent
twice: every retry of the library is off, and one operation is one command on one connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import gevent
import redis
from gevent import Timeout
from gevent.event import AsyncResult
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.retry import Retry
from redis.sentinel import Sentinel

from chaoskit.errors import BadInput
from chaoskit.history.records import Flag, Op
from chaoskit.load.config import Endpoint
from chaoskit.load.operation import Operation, Verdict, describe
from chaoskit.load.tokens import count, token_of
from chaoskit.load.user import CombUser
from chaoskit.load.whereabouts import Whereabouts

__all__ = ["DEFINITE", "NOT_MASTER", "Masters", "RedisSentinel"]

_SCHEMES = frozenset({"sentinel", "redis-sentinel", "redis+sentinel"})
_CHUNK = 10_000

DEFINITE: Mapping[str, type[redis.RedisError] | None] = {
    "READONLY": redis.exceptions.ReadOnlyError,
    "LOADING": redis.exceptions.BusyLoadingError,
    "MASTERDOWN": redis.exceptions.MasterDownError,
    "CLUSTERDOWN": redis.exceptions.ClusterDownError,
    "OOM": redis.exceptions.OutOfMemoryError,
    "NOPERM": redis.exceptions.NoPermissionError,
    "NOAUTH": redis.exceptions.AuthenticationError,
    "NOREPLICAS": None,
    "MISCONF": None,
    "WRONGTYPE": None,
}
"""Answers by which Redis says that it did not execute the command: its word, and the library's
class where that takes the word away. Every other error answer is ambiguous."""
NOT_MASTER = frozenset({"READONLY", "LOADING", "MASTERDOWN"})
"""Of these, the ones after which the sentinels are asked again."""


def _word(error: redis.RedisError) -> str:
    """The word of the table for an error answer; empty for one that is not in it."""
    for word, kind in DEFINITE.items():
        if kind is not None and isinstance(error, kind):
            return word
    first = str(error).split(" ", 1)[0]
    return first if first in DEFINITE else ""


def _cause(error: redis.RedisError) -> OSError:
    """The library's connection error as the system's own, where there is one beneath it."""
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, OSError):
            return beneath
        beneath = beneath.__cause__ or beneath.__context__
    if "closed by server" in str(error).lower():
        return ConnectionError("closed without an answer")
    return ConnectionError(str(error).split(" connecting to ", 1)[0])


class Masters:
    """Who the master is, as the sentinels say.

    Operations that ask at the same time share one question, and a timeout of one of them does
    not cut it short for the others.
    """

    def __init__(self, sentinel: Sentinel, service: str) -> None:
        self._sentinel, self._service = sentinel, service
        self._known: tuple[str, int] | None = None
        self._under_way: AsyncResult | None = None

    def forget(self, address: tuple[str, int]) -> None:
        """Ask the sentinels again before the next command, unless they have said other since."""
        if self._known == address:
            self._known = None

    def address(self, *, anew: bool = False) -> tuple[str, int]:
        """Raises ``OSError`` where no sentinel knows a master that is up."""
        if self._known is not None and not anew:
            return self._known
        if self._under_way is None:
            self._under_way = AsyncResult()
            gevent.spawn(self._look, self._under_way)
        found: tuple[str, int] = self._under_way.get()
        return found

    def _look(self, result: AsyncResult) -> None:
        try:
            host, port = self._sentinel.discover_master(self._service)
            self._known = (str(host), int(port))
        except (redis.RedisError, OSError):
            self._known = None
        # The question is over before anybody who waits for it can run and ask the next one.
        self._under_way = None
        if self._known is None:
            result.set_exception(ConnectionError("no master known to the sentinels"))
        else:
            result.set(self._known)


class _Always:
    """The one server of a pinned writer, whatever the sentinels say."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def forget(self, address: tuple[str, int]) -> None:
        """It stays."""

    def address(self, *, anew: bool = False) -> tuple[str, int]:  # noqa: ARG002 - as Masters
        """Always the same."""
        return self._address


class RedisSentinel(CombUser):
    """RPUSH of a token onto a list, SET and GET of registers, on the current master."""

    abstract = False
    option_names = CombUser.option_names | {"master", "log", "prefix", "password"}

    def prepare(self) -> None:
        """One question to the sentinels may take a quarter of the shortest timeout."""
        config = self.shared.config
        self.log = self.text("log", "chaoskit:log")
        self.prefix = self.text("prefix", "chaoskit:r")
        self._login = {"password": self.options["password"]} if "password" in self.options else {}
        sentinels = [e for e in config.endpoints if e.scheme in _SCHEMES or e.port == 26379]
        if not sentinels:
            raise BadInput(
                "no endpoint is a sentinel; label the sentinels chaoskit.endpoint: sentinel://:26379"
            )
        if "masters" not in self.shared.things:
            patience = min(stream.timeout_ns for stream in config.streams) / 4e9
            sentinel = Sentinel(
                [(e.host, e.port or 26379) for e in sentinels],
                sentinel_kwargs={**self._plain(), "socket_timeout": patience},
            )
            name = self.text("master", "mymaster")
            self.shared.things["masters"] = Masters(sentinel, name)
        masters = self.shared.things["masters"]
        assert isinstance(masters, Masters)  # noqa: S101 - set by the first of us
        self.masters: Masters | _Always = masters
        if self.pinned is not None:
            self.masters = _Always((self.pinned.host, self.pinned.port or 6379))
        self._where = Whereabouts(config.nodes, 6379)
        self._pool: ConnectionPool | None = None
        self._pool_of: tuple[str, int] | None = None

    @staticmethod
    def _plain() -> dict[str, object]:
        """No retries, no checks of its own, no handshake beyond what is needed."""
        return {
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "health_check_interval": 0,
            "protocol": 2,
            "driver_info": None,
            # Times are bounded from outside, by the timeout of the whole operation.
            "socket_timeout": None,
            "socket_connect_timeout": None,
        }

    def warm_up(self) -> None:
        """Ask the sentinels and open one connection: much of the library loads only then."""
        operation = Operation(Op.GET, 0, 0, 1, fresh=True)
        self.perform(operation)

    # ------------------------------------------------------------ one operation

    def perform(self, operation: Operation) -> Verdict:
        """Find the master if it is not known, and send it one command."""
        operation.attempts = 1
        address = self.masters.address(anew=operation.fresh)
        try:
            return self._command(address, operation)
        except (Timeout, OSError):
            self._flush(address)
            raise

    def _flush(self, address: tuple[str, int]) -> None:
        """Trust neither the address nor any kept connection to it any more."""
        self.masters.forget(address)
        if self._pool is not None and self._pool_of == address:
            pool, self._pool, self._pool_of = self._pool, None, None
            pool.disconnect(inuse_connections=False)

    def _pool_for(self, address: tuple[str, int]) -> ConnectionPool:
        if self._pool is None or self._pool_of != address:
            if self._pool is not None:
                self._pool.disconnect(inuse_connections=False)
            host, port = address
            self._pool = ConnectionPool(host=host, port=port, **self._plain(), **self._login)
            self._pool_of = address
        return self._pool

    def _command(self, address: tuple[str, int], operation: Operation) -> Verdict:
        operation.server = ""
        pool = None if operation.fresh else self._pool_for(address)
        connection: Connection | None = None
        try:
            if pool is None:
                operation.flags |= Flag.NEW_CONNECTION
                host, port = address
                connection = Connection(host=host, port=port, **self._plain(), **self._login)
                connection.connect()
            else:
                connection = pool.get_connection()  # finds out whether an idle one is stale
            return self._exchange(connection, address, operation)
        except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse) as error:
            if connection is not None:
                connection.disconnect()
            raise _cause(error) from error
        except Timeout:
            if connection is not None:
                connection.disconnect()
            raise
        finally:
            if pool is not None and connection is not None:
                if pool is not self._pool:  # flushed by another operation meanwhile
                    connection.disconnect()
                pool.release(connection)
            elif connection is not None:
                connection.disconnect()

    def _exchange(
        self, connection: Connection, address: tuple[str, int], operation: Operation
    ) -> Verdict:
        packed = connection.pack_command(*self._words(operation))
        operation.dispatched = True  # the library does not say how much it got rid of
        connection.send_packed_command(packed, check_health=False)
        try:
            answer = connection.read_response()
        except redis.RedisError as error:
            word = _word(error)
            if not word and not isinstance(error, redis.ResponseError):
                raise
            operation.server = self._server(address)
            operation.error = f"redis {word or 'error ' + str(error).split(' ', 1)[0]}"
            if word in NOT_MASTER:
                self._flush(address)
            return Verdict.REFUSED if word else Verdict.UNKNOWN
        operation.server = self._server(address)
        if operation.op == Op.GET and answer is not None:
            operation.seen = token_of(answer)
        return Verdict.ACKNOWLEDGED

    def _words(self, operation: Operation) -> tuple[str | int, ...]:
        if operation.op == Op.APPEND:
            return ("RPUSH", self.log, operation.token)
        register = f"{self.prefix}{operation.key}"
        if operation.op == Op.PUT:
            return ("SET", register, operation.token)
        return ("GET", register)

    def _server(self, address: tuple[str, int]) -> str:
        """The node there. An address that nobody knows is no server of its own: it is left open."""
        return self._where.node(*address)

    # ------------------------------------------------------------ afterwards

    def read_back(self, place: Endpoint | None) -> Mapping[int, int]:
        """LRANGE in pieces, from the current master or from one node itself."""
        if place is None:
            host, port = self.masters.address(anew=True)
        else:
            host, port = place.host, place.port or 6379
        found: Counter[int] = Counter()
        client = redis.Redis(host=host, port=port, **self._plain(), **self._login)
        try:
            start = 0
            while piece := client.lrange(self.log, start, start + _CHUNK - 1):
                found.update(count(piece))
                start += len(piece)
        except redis.RedisError as error:
            cause = _cause(error)
            word = _word(error)
            raise ConnectionError(f"redis {word}" if word else describe(cause)) from error
        finally:
            client.close()
        return found
