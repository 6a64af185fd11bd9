"""The Locust user that every client of the comb derives from.

One user stands for one stream of one client. Locust spawns it and keeps it; what it does is decided
slot by slot by the comb, which calls :meth:`CombUser.perform` in a greenlet of its own for every
request that is due. A client therefore holds several operations at once and must not share a
connection between them.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import gevent
from locust import User, task
from locust.env import Environment

from chaoskit.errors import BadInput
from chaoskit.history.history import Stream
from chaoskit.history.records import Flag, Op
from chaoskit.load.carriers import OutOfTime, Patience
from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.frontdoor import FrontDoor
from chaoskit.load.operation import Operation, Verdict, describe

__all__ = ["CombUser", "Party", "Shared"]

_TIMED_OUT = int(Flag.TIMED_OUT)  # flags of the enumeration are slow to combine


@dataclass
class Shared:
    """What the users of one client have in common, as the parts of one application would.

    ``client`` is its number, from 0; ``clients`` are those of the same load, itself among them.
    """

    config: LoadConfig
    door: FrontDoor
    client: int = 0
    seats: dict[int, CombUser] = field(default_factory=dict)  # by stream
    things: dict[str, object] = field(default_factory=dict)  # whatever a client wants to share

    @property
    def name(self) -> str:
        """What the client is called in the records."""
        return self.config.client_name(self.client)

    def free(self) -> int | None:
        """The first stream that has no user yet; None if all have. One client has the pinned."""
        for index, stream in enumerate(self.config.streams):
            if index not in self.seats and not (stream.pinned and self.client):
                return index
        return None


class Party:
    """The clients of one load. Locust makes users without saying what for: each sits down here."""

    def __init__(self, clients: Sequence[Shared]) -> None:
        self.clients = tuple(clients)

    def sit(self, user: CombUser) -> tuple[Shared, int]:
        """A user that Locust has spawned takes the next free stream of the next client."""
        for shared in self.clients:
            index = shared.free()
            if index is not None:
                shared.seats[index] = user
                return shared, index
        raise BadInput("Locust spawned more users than there are streams")


class CombUser(User):  # type: ignore[misc] # Locust ships no types that survive its patching
    """Derive from it, implement :meth:`perform`, name it under ``chaoskit.loads``.

    ``option_names`` are the keys that ``load.options`` of an experiment may carry. ``door`` is
    where to ask; a *pinned* user asks ``pinned`` alone, whoever else may be in charge, so that two
    nodes that both acknowledge are seen.
    """

    abstract = True
    option_names: frozenset[str] = frozenset({"registers", "put_share"})

    shared: Shared
    stream: Stream
    options: Mapping[str, object]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        party: Party = environment.chaoskit_party
        self.shared, self.index = party.sit(self)
        self.options = self.shared.config.options
        self.stream = self.shared.config.streams[self.index]
        self.pinned = self._pinned()
        self.door = self.shared.door if self.pinned is None else FrontDoor([self.pinned])
        self.shards = self.shared.config.shards
        self.registers = self.whole("registers", 2 * self.shards or 8, least=1, most=1_000_000)
        self.put_share = self.share("put_share", 0.2)
        self._token_base = self.shared.config.trial << 48 | (self.index + 1) << 40
        self.prepare()

    def _pinned(self) -> Endpoint | None:
        """The one node that this user's stream asks; None: it is a client like others."""
        nodes = {endpoint.node: endpoint for endpoint in self.shared.config.nodes}
        return nodes[self.stream.pinned] if self.stream.pinned else None

    # ------------------------------------------------------------ for those who derive

    def prepare(self) -> None:
        """Read options and build what is needed; opens no connection. May raise ``BadInput``."""

    def warm_up(self) -> None:
        """What an application does once when it starts, such as finding out who is in charge.

        One user is asked, before the load says that it is ready, for a second at most; errors of
        the transport are ignored. Whatever a library puts off until it is first used, and which
        would make the first slots late, belongs here.
        """

    @abstractmethod
    def perform(self, operation: Operation) -> Verdict:
        """Do it, once. Retry nothing that may have been executed. Runs many times at once.

        Fill in what the answer said and return how it ended. Errors of the transport may simply
        be raised as ``OSError``; ``gevent.Timeout`` must pass. Both are classified by
        ``operation.dispatched``.
        """

    def read_back(self, place: Endpoint | None) -> Mapping[int, int]:
        """Every token that the log holds, and how often; None is the front door.

        Called after the load has ended. Raises ``OSError`` or ``ValueError``; ``gevent.Timeout``
        must pass.
        """
        where = place.node if place else "the front door"
        raise BadInput(f"{type(self).__name__} cannot read back what it wrote, not from {where}")

    def plan(self, slot: int) -> Operation:
        """What slot number ``slot`` asks: appends with a share of puts, or gets round robin.

        Where there are shards, the key of an append says to which part of the log it goes, and the
        parts take turns. The shard of every operation is ``(key - 1) mod shards + 1``. Of several
        clients each goes through all of that, beginning elsewhere.
        """
        fresh = self.stream.connections == "new"
        token = self._token_base | (slot + 1)
        if self.pinned is not None and self.stream.op == "write":  # who acknowledges
            return Operation(Op.APPEND, slot, token, self._part(slot), fresh)
        turn = slot if self.pinned is not None else self._turn(slot)  # pinned: of one client
        if self.stream.op == "read":
            return Operation(Op.GET, slot, 0, turn % self.registers + 1, fresh)
        puts = int((turn + 1) * self.put_share + 1e-9)
        if puts > int(turn * self.put_share + 1e-9):
            return Operation(Op.PUT, slot, token, (puts - 1) % self.registers + 1, fresh)
        return Operation(Op.APPEND, slot, token, self._part(turn - puts), fresh)

    def _turn(self, slot: int) -> int:
        """Where in the round of keys a slot stands: the client's own count, begun at its number.

        The slot itself would not do: with as many clients as registers, each would have one alone.
        """
        clients = self.shared.config.clients
        return slot // clients + slot % clients

    def _part(self, number: int) -> int:
        """The part of the log that append ``number`` goes to; 0 where it has none."""
        return number % self.shards + 1 if self.shards else 0

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """An option that is a whole number."""
        value = self.options.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadInput(f"load option {name} is {value!r}; use {least} to {most}")
        return value

    def share(self, name: str, default: float) -> float:
        """An option between 0 and 1."""
        value = self.options.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise BadInput(f"load option {name} is {value!r}; use a number from 0 to 1")
        return float(value)

    def text(self, name: str, default: str) -> str:
        """An option that is a text."""
        value = self.options.get(name, default)
        if not isinstance(value, str) or not value:
            raise BadInput(f"load option {name} is {value!r}; use a text")
        return value

    # ------------------------------------------------------------ for the comb

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Raises ``BadInput`` for an option that this client does not know."""
        if unknown := sorted(set(options) - cls.option_names):
            raise BadInput(
                f"load option {', '.join(unknown)} is not known to {cls.__name__};"
                f" it knows {', '.join(sorted(cls.option_names))}"
            )

    def carry_out(self, operation: Operation, patience: Patience, now_ns: int) -> Verdict:
        """``perform`` from ``now_ns``, with every ending that is not an answer classified."""
        patience.begin(operation, now_ns)
        try:
            verdict = self.perform(operation)
            if not isinstance(verdict, Verdict):
                raise TypeError(f"perform returned {verdict!r}, and must return a Verdict")
            if not operation.done_ns:
                operation.done_ns = time.monotonic_ns()
        except OutOfTime as error:
            if error.operation is not operation:
                raise
            operation.done_ns = time.monotonic_ns()
            operation.flags |= _TIMED_OUT
            sent = operation.dispatched
            operation.error = "timeout after send" if sent else "timeout before anything was sent"
            verdict = Verdict.UNKNOWN if sent else Verdict.REFUSED
        except OSError as error:
            operation.done_ns = time.monotonic_ns()
            operation.error = describe(error)
            verdict = Verdict.UNKNOWN if operation.dispatched else Verdict.REFUSED
        finally:
            operation.carrier = None
        operation.attempts = operation.attempts or 1
        return verdict

    @task  # type: ignore[untyped-decorator]
    def stay(self) -> None:
        """Locust's own loop has nothing to do here: the comb decides when something is asked."""
        gevent.sleep(3600)
