"""What a lab can do to a running service: each a pair of do and undo.

A lab has a capability by having its methods. Each pair writes its undo to the run's journal
before it acts, so whoever writes a fault gets crash safety for free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from chaoskit.contracts import Child, Node
from chaoskit.disks import Disks
from chaoskit.resources import Limits, ShiftsClock
from chaoskit.toxics import Toxifies

__all__ = [
    "CAPABILITIES",
    "LINK_NEEDS",
    "Action",
    "Clocked",
    "Connections",
    "Cut",
    "Cuts",
    "Direction",
    "Early",
    "Executes",
    "Kills",
    "Misdirection",
    "Misdirects",
    "Misname",
    "Misnames",
    "Netem",
    "Pauses",
    "Process",
    "Processes",
    "Ran",
    "Rate",
    "Removes",
    "Shape",
    "Shapes",
    "Spawns",
    "Stops",
]


@runtime_checkable
class Clocked(Protocol):
    """``first_pid``: processes can be asked which clock they read. Only looks, undoes nothing."""

    def first_pid(self, node: Node) -> int | None:
        """PID on this machine of the service's first process; None if it cannot be told."""


@runtime_checkable
class Early(Protocol):
    """``when_reachable``: processes of ours can start while the services still do."""

    def when_reachable(self, act: Callable[[], object]) -> None:
        """The next ``up`` calls ``act`` once, in its own thread, before any service is waited for.

        ``node`` and ``spawn`` work for client and observer from then on. What ``act`` raises ends
        ``up``, as any failure does.
        """


@runtime_checkable
class Kills(Protocol):
    """``kill``: the whole node, every process of it, at once."""

    def kill(self, node: Node, signal: int) -> int:
        """Returns when the signal is delivered and, for SIGKILL, no process is left.

        When it was delivered (``CLOCK_MONOTONIC``, ns): a container takes a while to be gone, and
        its clients are cut off long before.
        """

    def start(self, node: Node) -> None:
        """Start it again as it was. Returns when its process runs (not: is healthy)."""


@runtime_checkable
class Pauses(Protocol):
    """``pause``: every process of the node stands still; its sockets stay as they are."""

    def pause(self, node: Node) -> None:
        """Returns when nobody in the node runs. Raises ``LabError``."""

    def paused(self, node: Node) -> bool:
        """Ask kernel or engine whether everybody in the node stands still now."""

    def resume(self, node: Node) -> None:
        """Returns when nobody stands still any more. Idempotent. Raises ``HealFailed``."""


@runtime_checkable
class Spawns(Protocol):
    """``spawn``: a process of ours beside a node, as in ``Lab``; every lab can."""

    def spawn(self, place: Node, argv: Sequence[str]) -> Child:
        """See ``Lab``."""


@runtime_checkable
class Stops(Protocol):
    """``stop``: a node that is asked to end; ``Kills`` has the pair of do and undo."""

    def stopping(self, node: Node) -> tuple[int, float]:
        """Signal number and seconds of grace that the service itself asks for."""


@dataclass(frozen=True)
class Process:
    """One process of a node, and no later one of the same number. ``pid`` as this machine has it.

    ``name`` is what the kernel calls it (15 bytes at most), ``line`` its arguments, as its own
    title shows them; ``first``: it is the node's main process. ``guest``: it descends from nobody
    of the node's own, because somebody put it there from outside, as an engine does its health
    checks.
    """

    pid: int
    starttime: int  # clock ticks since boot
    name: str
    line: str
    first: bool
    guest: bool = False


@runtime_checkable
class Processes(Protocol):
    """``process``: single processes of a node, its main one or any other."""

    def processes(self, node: Node) -> tuple[Process, ...]:
        """Everything that runs in the node now. Raises ``LabError`` where that cannot be seen."""

    def signal_process(self, node: Node, process: Process, signal: int) -> bool:
        """Send it a signal, and wait for its end after SIGKILL. False: it was gone."""

    def runs(self, process: Process) -> bool:
        """Ask the kernel whether this very process is there."""

    def hang(self, node: Node, process: Process) -> bool:
        """Returns when it stands still; False: it was gone. The others run on. ``LabError``."""

    def hangs(self, process: Process) -> bool:
        """Ask the kernel whether it is there and stands still now."""

    def unhang(self, node: Node, process: Process) -> None:
        """Returns when it goes on, or is gone. Idempotent. Raises ``HealFailed``."""


@runtime_checkable
class Removes(Protocol):
    """``remove``: the node is gone with its address and whatever it kept outside of volumes."""

    def prepare_removal(self, node: Node) -> None:
        """Make ready what ``restore`` will need. Idempotent. Raises ``LabError``."""

    def remove(self, node: Node) -> int:
        """Returns when neither process nor address is left. Raises ``LabError``.

        When its processes were told to end, or that was all done where it had none.
        """

    def restore(self, node: Node) -> None:
        """A fresh node of that name: same address, labels, volumes. Idempotent. ``HealFailed``."""


@dataclass(frozen=True)
class Ran:
    """What became of a command: exit status (None: it took too long) and its last output."""

    status: int | None
    output: str


@runtime_checkable
class Executes(Protocol):
    """``exec``: a command inside a node. What it changes only its author knows how to undo."""

    def execute(self, node: Node, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run it to its end as the service's user; killed when the time is up. ``LabError``."""


class Direction(StrEnum):
    """Which way the target's packets are cut, seen from the target."""

    BOTH = "both"
    RECEIVE = "receive"  # it hears nothing, its own packets leave
    SEND = "send"  # it hears everything, nothing leaves


class Action(StrEnum):
    """What happens to a packet that is cut."""

    DROP = "drop"  # silence
    REJECT = "reject"  # TCP reset, ICMP administratively prohibited
    UNREACHABLE = "unreachable"  # ICMP host unreachable, as a router with no way on answers


class Connections(StrEnum):
    """Which connections a cut is about. TCP's: other protocols have none and are left alone."""

    ALL = "all"  # every packet, of any protocol
    NEW = "new"  # none can be opened; those that are open go on
    ESTABLISHED = "established"  # those open before go silent; new ones work: half-open


@dataclass(frozen=True)
class Cut:
    """Packets between ``node`` and every address of ``peers``; applied in node's namespace.

    ``share``: which part of them, drawn anew for each packet; 1.0 is all.
    """

    node: Node
    peers: tuple[Node, ...]
    direction: Direction = Direction.BOTH
    action: Action = Action.DROP
    connections: Connections = Connections.ALL
    share: float = 1.0


@runtime_checkable
class Cuts(Protocol):
    """``cut`` and ``join``: partitions."""

    def cut(self, cuts: Sequence[Cut]) -> str:
        """Put all cuts in force, read them back, return a handle. All or nothing."""

    def in_force(self, handle: str) -> bool:
        """Ask the kernel whether every cut of the handle is there now."""

    def join(self, handle: str) -> None:
        """Remove ours and only ours, and see that it is gone. Idempotent. Raises HealFailed."""


@dataclass(frozen=True)
class Rate:
    """A token bucket: so many bytes a second on average, ``burst`` of them at once.

    ``limit``: bytes that may wait; what comes on top is lost.
    """

    bytes_per_s: int
    burst: int
    limit: int


@dataclass(frozen=True)
class Netem:
    """What the kernel's network emulator does to each packet; shares from 0 to 1.

    ``correlation``: how much each draw depends on the one before. ``limit``: packets that may wait.
    """

    delay_us: int = 0
    jitter_us: int = 0
    normal: bool = False  # jitter is distributed normally, not evenly
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    correlation: float = 0.0
    limit: int = 10_000


@dataclass(frozen=True)
class Shape:
    """Everything that ``node`` sends, on every device of it."""

    node: Node
    what: Rate | Netem


@runtime_checkable
class Shapes(Protocol):
    """``shape`` and ``unshape``: slow and unsound links."""

    def shape(self, shapes: Sequence[Shape]) -> str:
        """Put all in force, read them back, return a handle. All or nothing; never replaces."""

    def shaped(self, handle: str) -> bool:
        """Ask the kernel whether every shape of the handle is there now."""

    def unshape(self, handle: str) -> None:
        """Remove ours and only ours, and see that it is gone. Idempotent. Raises HealFailed."""


@dataclass(frozen=True)
class Misdirection:
    """``node`` sends what is for ``address`` to a link-layer address that nobody has."""

    node: Node
    address: str


@runtime_checkable
class Misdirects(Protocol):
    """``misdirect`` and ``redirect``: stale neighbours, as after an address has moved."""

    def misdirect(self, wrong: Sequence[Misdirection]) -> str:
        """Put all in force, read them back, return a handle. All or nothing; never replaces."""

    def misdirected(self, handle: str) -> bool:
        """Ask the kernel whether every wrong entry of the handle is there now."""

    def redirect(self, handle: str) -> None:
        """Remove ours and only ours, and see that it is gone. Idempotent. Raises HealFailed."""


@dataclass(frozen=True)
class Misname:
    """What ``names`` mean on ``node``: the address here, or nothing at all where that is None."""

    node: Node
    names: tuple[str, ...]
    address: str | None = None


@runtime_checkable
class Misnames(Protocol):
    """``misname`` and ``rename``: names that are not resolved, or to the wrong address."""

    def misname(self, wrong: Sequence[Misname]) -> str:
        """Put all in force, read them back, return a handle. All or nothing."""

    def misnamed(self, handle: str) -> bool:
        """Whether every name of the handle still means what it was made to mean."""

    def rename(self, handle: str) -> None:
        """Let names mean what they did, and see that they do. Idempotent. Raises HealFailed."""


LINK_NEEDS = frozenset({"cut", "shape", "misname", "misdirect"})
"""Capabilities whose bite is felt between two nodes, not only by an observer."""

CAPABILITIES: Mapping[str, type] = {
    "kill": Kills,
    "clock": ShiftsClock,
    "cut": Cuts,
    "disk": Disks,
    "pause": Pauses,
    "shape": Shapes,
    "limit": Limits,
    "misdirect": Misdirects,
    "misname": Misnames,
    "exec": Executes,
    "process": Processes,
    "remove": Removes,
    "spawn": Spawns,  # every lab can
    "stop": Stops,
    "toxify": Toxifies,
}
"""Capability name, as a fault's ``needs`` says it → the protocol that a lab must have."""
