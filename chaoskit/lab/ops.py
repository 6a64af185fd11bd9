"""Undo operations: a closed list of typed data, never code.

The run's journal holds these; harness, guardian and ``chaoskit heal`` know how to carry them out
(``undo.py``). A journal is read by a process with more rights than whoever might have written to
it, so every field is checked here and an unknown operation is an error, not a guess.

Every process that a run starts, inside or outside its lab, carries ``CHAOSKIT_RUN=<run id>`` in
its environment: the harness sets it in its own before it starts anything. Leaks are counted by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import ClassVar

from chaoskit.lab.ops_checks import BOOT_ID as _BOOT_ID
from chaoskit.lab.ops_checks import PID_MAX as _PID_MAX
from chaoskit.lab.ops_checks import check as _check
from chaoskit.lab.ops_checks import check_process as _check_process
from chaoskit.lab.ops_checks import is_int as _is_int
from chaoskit.lab.ops_checks import is_ipv4 as _is_ipv4
from chaoskit.lab.ops_checks import matches as _matches
from chaoskit.lab.ops_limits import KINDS, LimitOp, describe_limit

__all__ = [
    "RUN_MARK",
    "ContinueProcess",
    "ContinueProcesses",
    "DockerStart",
    "DockerUnpause",
    "KillProcess",
    "Op",
    "ReleaseDisk",
    "RemoveDockerRun",
    "RemoveNeighbour",
    "RemoveQdisc",
    "RemoveToxic",
    "RemoveTree",
    "RestoreNames",
    "check_run_id",
    "describe",
    "from_data",
    "to_data",
]

RUN_MARK = "CHAOSKIT_RUN"
"""Environment variable that marks every process of a run."""

_RUN_ID = re.compile(r"[a-z0-9_]{1,15}")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_OUR_LINK = re.compile(r"02:ca(:[0-9a-f]{2}){4}")
_LINK = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TOXIC = re.compile(r"down|chaoskit_[a-z0-9_]{1,15}_[0-9]{1,9}")
_PRINTABLE = re.compile(r"[ -~]{0,200}")


def check_run_id(run_id: str) -> str:
    """The run id itself; ``ValueError`` unless it is 1 to 15 of ``a-z 0-9 _``.

    It becomes part of table, network and folder names, so nothing else may be in it.
    """
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"a run id is 1 to 15 of a-z, 0-9 and _, not {run_id!r}")
    return run_id


@dataclass(frozen=True)
class KillProcess:
    """End one process: a sandbox's init (its whole lab goes with it), an nft holder, a child.

    ``starttime`` is field 22 of ``/proc/<pid>/stat`` (clock ticks since boot); with the boot id
    it tells the process from a later one that was given the same number.
    """

    kind: ClassVar[str] = "kill-process"
    pid: int
    starttime: int
    boot_id: str
    what: str

    def __post_init__(self) -> None:
        _check(_is_int(self.pid) and 1 < self.pid <= _PID_MAX, "pid", self.pid)
        _check(_is_int(self.starttime) and self.starttime >= 0, "starttime", self.starttime)
        _check(_matches(_BOOT_ID, self.boot_id), "boot_id", self.boot_id)
        _check(_matches(_PRINTABLE, self.what), "what", self.what)


@dataclass(frozen=True)
class RemoveDockerRun:
    """Remove every container, network and volume that carries the label of this run."""

    kind: ClassVar[str] = "remove-docker-run"
    run_id: str

    def __post_init__(self) -> None:
        _check(_matches(_RUN_ID, self.run_id), "run_id", self.run_id)


@dataclass(frozen=True)
class DockerStart:
    """Start a container again that a fault has stopped. The id is the full one."""

    kind: ClassVar[str] = "docker-start"
    container_id: str

    def __post_init__(self) -> None:
        _check(_matches(_CONTAINER, self.container_id), "container_id", self.container_id)


@dataclass(frozen=True)
class DockerUnpause:
    """Let a container go on that a fault has paused. The id is the full one."""

    kind: ClassVar[str] = "docker-unpause"
    container_id: str

    def __post_init__(self) -> None:
        _check(_matches(_CONTAINER, self.container_id), "container_id", self.container_id)


@dataclass(frozen=True)
class ContinueProcess:
    """Let one process go on that a fault has stopped, and no other of its node."""

    kind: ClassVar[str] = "continue-process"
    pid: int
    starttime: int
    boot_id: str

    def __post_init__(self) -> None:
        _check(_is_int(self.pid) and 1 < self.pid <= _PID_MAX, "pid", self.pid)
        _check(_is_int(self.starttime) and self.starttime >= 0, "starttime", self.starttime)
        _check(_matches(_BOOT_ID, self.boot_id), "boot_id", self.boot_id)


@dataclass(frozen=True)
class ContinueProcesses:
    """Let every process go on of the PID namespace whose first process this is."""

    kind: ClassVar[str] = "continue-processes"
    pid: int
    starttime: int
    boot_id: str

    def __post_init__(self) -> None:
        _check(_is_int(self.pid) and 1 < self.pid <= _PID_MAX, "pid", self.pid)
        _check(_is_int(self.starttime) and self.starttime >= 0, "starttime", self.starttime)
        _check(_matches(_BOOT_ID, self.boot_id), "boot_id", self.boot_id)


@dataclass(frozen=True)
class RemoveToxic:
    """Remove one toxic from a Toxiproxy, or (``down``) switch its proxy on again.

    The process is any in the network namespace of the server, whose API listens there on ``port``.
    """

    kind: ClassVar[str] = "remove-toxic"
    pid: int
    starttime: int
    boot_id: str
    port: int
    proxy: str
    name: str

    def __post_init__(self) -> None:
        _check(_is_int(self.pid) and 1 < self.pid <= _PID_MAX, "pid", self.pid)
        _check(_is_int(self.starttime) and self.starttime >= 0, "starttime", self.starttime)
        _check(_matches(_BOOT_ID, self.boot_id), "boot_id", self.boot_id)
        _check(_is_int(self.port) and 0 < self.port < 65536, "port", self.port)
        _check(_matches(_LINK, self.proxy), "proxy", self.proxy)
        _check(_matches(_TOXIC, self.name), "name", self.name)


@dataclass(frozen=True)
class RemoveTree:
    """Remove a folder inside the run's private state folder.

    ``path`` is relative to that folder, so a journal cannot name anything outside it.
    """

    kind: ClassVar[str] = "remove-tree"
    path: str

    def __post_init__(self) -> None:
        _check(isinstance(self.path, str) and self._inside(), "path", self.path)

    def _inside(self) -> bool:
        parts = PurePosixPath(self.path).parts
        plain = "\0" not in self.path and len(self.path) <= 1000
        return plain and bool(parts) and parts[0] != "/" and ".." not in parts


@dataclass(frozen=True)
class RemoveQdisc:
    """Take a queueing discipline of ours off a device in this process's network.

    ``major`` is the handle's major number, which is ours: between c000 and cfff.
    """

    kind: ClassVar[str] = "remove-qdisc"
    pid: int
    starttime: int
    boot_id: str
    device: str
    major: int

    def __post_init__(self) -> None:
        _check_process(self.pid, self.starttime, self.boot_id)
        _check(_matches(_DEVICE, self.device), "device", self.device)
        _check(_is_int(self.major) and 0xC000 <= self.major <= 0xCFFF, "major", self.major)


@dataclass(frozen=True)
class RemoveNeighbour:
    """Take a neighbour entry of ours, known by ``link``, out of this process's network."""

    kind: ClassVar[str] = "remove-neighbour"
    pid: int
    starttime: int
    boot_id: str
    device: str
    address: str
    link: str

    def __post_init__(self) -> None:
        _check_process(self.pid, self.starttime, self.boot_id)
        _check(_matches(_DEVICE, self.device), "device", self.device)
        _check(_is_ipv4(self.address), "address", self.address)
        _check(_matches(_OUR_LINK, self.link), "link", self.link)


@dataclass(frozen=True)
class RestoreNames:
    """Let names mean what they did in ``/etc/hosts`` as this process sees it: our lines go."""

    kind: ClassVar[str] = "restore-names"
    pid: int
    starttime: int
    boot_id: str
    run_id: str

    def __post_init__(self) -> None:
        _check_process(self.pid, self.starttime, self.boot_id)
        _check(_matches(_RUN_ID, self.run_id), "run_id", self.run_id)


@dataclass(frozen=True)
class ReleaseDisk:
    """Let a process of ours go on that holds up a disk, or space on one (``disk_state.py``)."""

    kind: ClassVar[str] = "release-disk"
    pid: int
    starttime: int
    boot_id: str

    def __post_init__(self) -> None:
        _check_process(self.pid, self.starttime, self.boot_id)


Op = (
    KillProcess
    | RemoveDockerRun
    | DockerStart
    | DockerUnpause
    | ContinueProcess
    | ContinueProcesses
    | RemoveToxic
    | RemoveTree
    | RemoveQdisc
    | RemoveNeighbour
    | RestoreNames
    | LimitOp
    | ReleaseDisk
)

_KINDS: Mapping[str, Callable[..., Op]] = {
    KillProcess.kind: KillProcess,
    RemoveDockerRun.kind: RemoveDockerRun,
    DockerStart.kind: DockerStart,
    DockerUnpause.kind: DockerUnpause,
    ContinueProcess.kind: ContinueProcess,
    ContinueProcesses.kind: ContinueProcesses,
    RemoveToxic.kind: RemoveToxic,
    RemoveTree.kind: RemoveTree,
    RemoveQdisc.kind: RemoveQdisc,
    RemoveNeighbour.kind: RemoveNeighbour,
    RestoreNames.kind: RestoreNames,
    **KINDS,
    ReleaseDisk.kind: ReleaseDisk,
}


def to_data(op: Op) -> dict[str, object]:
    """Plain JSON data: the operation's kind and its fields."""
    return {"kind": op.kind, **{f.name: getattr(op, f.name) for f in fields(op)}}


def from_data(data: object) -> Op:
    """The operation that ``to_data`` wrote; ``ValueError`` for anything else.

    Unknown kinds, missing or additional fields and values of another type are all refused.
    """
    if not isinstance(data, dict):
        raise ValueError("an undo operation is an object")  # noqa: TRY004 - one error for callers
    kind = data.get("kind")
    make = _KINDS.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise ValueError(f"unknown undo operation {kind!r}")
    values = {key: value for key, value in data.items() if key != "kind"}
    try:
        return make(**values)
    except TypeError:
        raise ValueError(f"undo operation {kind} has other fields than it should") from None


def describe(op: Op) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each kind
    """The operation in words, for a report or an error message."""
    match op:
        case KillProcess():
            return f"end process {op.pid} ({op.what})"
        case RemoveDockerRun():
            return f"remove the containers, networks and volumes of run {op.run_id}"
        case DockerStart():
            return f"start container {op.container_id[:12]} again"
        case DockerUnpause():
            return f"let container {op.container_id[:12]} go on"
        case ContinueProcess():
            return f"let process {op.pid} go on"
        case ContinueProcesses():
            return f"let process {op.pid} and everything in its namespace go on"
        case RemoveToxic():
            what = "switch on" if op.name == "down" else f"remove the toxic {op.name} from"
            return f"{what} the link {op.proxy}"
        case RemoveTree():
            return f"remove the folder {op.path} of the run"
        case RemoveQdisc():
            return f"take qdisc {op.major:x}: off {op.device} in the network of process {op.pid}"
        case RemoveNeighbour():
            return f"take the entry for {op.address} out of the network of process {op.pid}"
        case RestoreNames():
            return f"restore /etc/hosts as process {op.pid} sees it"
        case ReleaseDisk():
            return f"let the disk go on that process {op.pid} holds up"
        case _:
            return describe_limit(op)
