"""Every protocol that a third party may implement. Read this first.

An experiment breaks a running failover system on purpose, clients keep asking, and every number
is computed afterwards from one recorded history. What *acts* meets the engine only through the
protocols of this file and of ``capabilities.py``; what *measures* never sees them.

Times are ``CLOCK_MONOTONIC`` nanoseconds, ``*_ns``. Durations in models are seconds, ``*_s``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict

__all__ = [
    "CLIENT",
    "OBSERVER",
    "Act",
    "Child",
    "Claim",
    "Dial",
    "Fault",
    "FaultModel",
    "Hold",
    "Lab",
    "Node",
    "Probe",
    "Targets",
]

CLIENT = "client"
"""The node that the load runs on: part of every lab, and it can be cut off like any other."""
OBSERVER = "observer"
"""The node that probes run on: no partition includes it unless an experiment names it."""


# ---------------------------------------------------------------- nodes and labs


@dataclass(frozen=True)
class Node:
    """A running service of the stack, or one of the lab's own two (client, observer)."""

    name: str
    address: str  # IPv4 inside the lab; on its first network where it has several
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    addresses: tuple[str, ...] = ()  # all of them; empty means just ``address``
    aliases: tuple[str, ...] = ()  # other names by which it is known in the lab

    def all_addresses(self) -> tuple[str, ...]:
        """Every IPv4 address of the node, the first one first."""
        return self.addresses or (self.address,)


class Child(Protocol):
    """A process of ours that runs inside the lab and speaks JSON lines.

    It ends by itself when its standard input closes, however that comes about: a dead harness
    cannot leave it behind.
    """

    def send(self, message: Mapping[str, object]) -> None:
        """Write one JSON line to its standard input. Raises ``LabError`` if it has died."""

    def receive(self, timeout_s: float) -> dict[str, object] | None:
        """The next JSON line of its standard output; None if there was none in time.

        Raises ``LabError``, with its last standard error, once it has died and all is read.
        """

    def alive(self) -> bool:
        """Whether the process still runs."""

    def close(self, grace_s: float = 1.0) -> None:
        """Close its input, wait, kill what is left. Never raises; closing twice is silent."""


@runtime_checkable
class Lab(Protocol):
    """Somewhere a stack can run. ``up`` and ``down`` are the pair that the guardian knows."""

    name: str

    def up(self) -> None:
        """Start everything and return when every service is running and healthy.

        Raises ``LabError`` naming the service and the cause; what was begun is then undone.
        """

    def down(self) -> None:
        """Remove everything that ``up`` made. Idempotent. Raises ``HealFailed``."""

    def nodes(self) -> tuple[Node, ...]:
        """The services of the stack; without client and observer."""

    def node(self, name: str) -> Node:
        """A service, the client or the observer by name. Raises ``LabError`` if unknown."""

    def identity(self, node: Node) -> str | None:
        """Which incarnation of the service runs now; None if none does.

        The same string means the same process that was never restarted in between.
        """

    def spawn(self, place: Node, argv: Sequence[str]) -> Child:
        """Run a process of ours in the network namespace of ``place``.

        ``argv`` starts with ``python`` for the interpreter that can import chaoskit there.
        """

    def inside(self, path: str) -> str:
        """The path by which a spawned child sees a file of the run's directory."""

    def facts(self) -> dict[str, str]:
        """What a reader of the report should know: engine, kernel, images."""

    def save_logs(self, folder: str) -> None:
        """Write ``<folder>/<node>.log`` for every service. Never raises."""


# ---------------------------------------------------------------- faults


@dataclass(frozen=True)
class Dial:
    """A TCP connection that an independent observer tries while the fault is on.

    It must work before the fault, fail while it is on (the fault *bites*) and work again when
    it is healed. ``source`` names the node in whose namespace it is tried. With ``poke`` it works
    only if the program at the other end reacts to that text, with whatever it says or by hanging
    up: the kernel of a program that stands still completes handshakes all the same.

    For faults that slow a connection down or cut it short, a dial works only if more is so:
    ``read`` "answer": bytes came back, not only a hang-up (it is over when the other end hangs up
    or says nothing more for ``quiet_s``); "close": the other end hung up after its answer. At
    least ``min_bytes`` came. And the whole took less than ``slow_s`` seconds plus
    ``slow_byte_s`` for each byte of the answer, where either is set.

    ``how`` "kept": a connection that was opened once goes on being acknowledged, byte by byte, by
    the other end's kernel. "datagram": ``size`` datagrams sent from source to target were all
    heard by an observer there; one way only, and no port of the target is involved. "transfer":
    ``size`` bytes sent from source to target were all received by an observer there. "name":
    ``address`` is a name, which the source has to resolve to ``expect``.
    """

    source: str
    target: str
    address: str
    port: int
    poke: str = ""
    read: Literal["reaction", "answer", "close"] = "reaction"
    min_bytes: int = 0
    slow_s: float = 0.0
    slow_byte_s: float = 0.0
    quiet_s: float = 0.1
    how: Literal["connect", "kept", "datagram", "transfer", "name"] = "connect"
    size: int = 1
    expect: str = ""
    patience_s: float = 0.2  # below TCP's first retransmission: silence is told from slowness


@dataclass(frozen=True)
class Targets:
    """What the selectors of a step came to, at the moment of injection.

    ``links``: the links that were named; ``nodes`` has the nodes that their proxies run on.
    """

    nodes: tuple[Node, ...]
    others: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    links: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> tuple[Node, ...]:
        return self.others[name]


@dataclass(frozen=True)
class Act:
    """Something that an operator saw or did: it becomes a mark of the trial."""

    event: str  # operator-ready, -asked, -approve, -reject, -wrong, -switchover, ...
    t_ns: int
    node: str
    detail: str
    low_ns: int | None = None  # it happened between these two; None: at ``t_ns``
    high_ns: int | None = None


@dataclass
class Hold:
    """A fault in force: what the engine writes into the history about it."""

    commanded_ns: int
    acknowledged_ns: int
    verified_ns: int | None  # read back from kernel or engine; None: could not be verified
    dials: tuple[Dial, ...] = ()  # empty: nothing is supposed to bite (noop)
    spared: tuple[Dial, ...] = ()  # must work while it is on: it hits no more than it should
    lost_share: float | None = None  # of the datagrams of ``dials``: how many it should lose
    detail: str = ""  # one phrase for the report: "a (198.18.0.2) cut from b, witness, client"
    heal_commanded_ns: int | None = None  # set by the fault while it heals
    healed_ns: int | None = None  # undo read back from kernel or engine
    outside: bool = True
    """False: no connection can tell whether it bites; that it was verified is all the evidence."""
    felt: Callable[[], bool] | None = None
    """Asks the kernel whether a target has come up against it since: the bite of a fault that no
    connection shows for certain. Called every few milliseconds, returns soon."""
    may_end: bool = False  # its targets may end of it, sooner or later: no sign of somebody else
    acts: list[Act] = field(default_factory=list)  # what an operator did so far
    asked_ns: int | None = None  # a person was asked then and has not answered: the trial waits
    thought_ns: int = 0  # how long persons took so far
    unmet: str = ""
    """Set by the fault while it heals: what it waited for and did not get, and the knob, as a
    clause. It makes the trial invalid, unless the step is optional."""
    tend: Callable[[], bool] | None = None
    """What the fault goes on doing while it is on; called every few milliseconds, returns soon.
    True: it ended or started a target just now."""
    in_force: Callable[[], bool] | None = None
    """Asks kernel or engine whether it holds now, and has held without a gap since verified."""


@dataclass(frozen=True)
class Claim:
    """Something of a target node that a fault uses while it is on.

    Two faults that are on one node at once collide over a resource that both claim, unless both
    ``share`` it. Plain words; those in use: ``life`` (whether its processes are there), ``run``
    (whether they go on), ``egress`` (the queueing discipline of its interface), ``link`` (whether a
    link is switched on).
    """

    resource: str
    share: bool = False


class FaultModel(BaseModel):
    """Base of every fault: its fields are the parameters an experiment may set, no others.

    A fault is plain frozen data. Give each field a description and examples: they become the
    JSON Schema and ``chaoskit explain``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    summary: ClassVar[str] = ""
    strikes: ClassVar[Literal["node", "link"]] = "node"  # what its target names
    labels: ClassVar[frozenset[str]] = frozenset()
    """Labels of which each must stand on some service of the stack."""
    waits: ClassVar[bool] = False
    """Whether it waits for something that the system may not do: its step may be optional."""
    ends_itself: ClassVar[bool] = False
    """Whether it is over by itself, before it is healed: it sets ``healed_ns`` of its hold then."""

    def drawn(self, rng: random.Random) -> Self:  # noqa: ARG002 - for those that have something
        """The same with everything decided that the run's seed decides."""
        return self

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """Further selectors to resolve at injection, by field name."""
        return {}

    def idle(self) -> frozenset[str]:
        """Keys that mean nothing beside the others that are given; a plan leaves them out."""
        return frozenset()

    def graceful(self) -> bool:
        """Whether its target can hand over before it goes, so that no detector need fire."""
        return False

    def features(self) -> frozenset[str]:
        """What it needs of the machine beyond the lab's capabilities (``lab.needs``): "netem"."""
        return frozenset()

    def claims(self) -> frozenset[Claim]:
        """What it uses of each target; steps that collide are refused when the file is read."""
        return frozenset()

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:  # noqa: ARG002
        """Dials that must have worked once before the fault comes, or they would prove nothing.

        Named are those of the hold to come, ``dials`` and ``spared``, that need it.
        """
        return ()

    def prepare(self, lab: Lab) -> None:
        """Start what injecting will need, after the lab is up and before anything is timed."""


class Fault(Protocol):
    """One thing that goes wrong. One file each; one method.

    Leaving the context heals, also when the trial failed or was interrupted, and returns when
    the heal has been read back. An undo that fails raises ``HealFailed``.
    """

    kind: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    def inject(self, lab: Lab, targets: Targets) -> AbstractContextManager[Hold]:
        """Put it in force on ``targets.nodes``, read it back, and hold it until the exit."""


# ---------------------------------------------------------------- probes


class Probe(Protocol):
    """Asks one node one thing, many times a second, from inside the lab.

    It runs in the probe child (standard library only, asyncio). The URL comes from a label such
    as ``chaoskit.probe.role: http://:8080/role``, with the node's address filled in.
    """

    schemes: ClassVar[tuple[str, ...]]

    async def ask(
        self, url: str, question: Literal["role", "health"], timeout_s: float
    ) -> Mapping[str, object]:
        """``{"value": "primary", "epoch": 3}``; raises ``OSError`` or ``TimeoutError``."""
