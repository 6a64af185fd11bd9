"""Carrying out what a journal says, and seeing that it is so.

An undo is idempotent and verified: asked, not assumed. "Not there" counts as undone only where
the identity of the thing proves that it is gone, and an undo that fails stops no other.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaoskit.errors import ChaoskitError
from chaoskit.lab.freeze import continue_one, resume_all
from chaoskit.lab.journal import Contents, Entry, Scope, append_undone, read_journal
from chaoskit.lab.ops import (
    ContinueProcess,
    ContinueProcesses,
    DockerStart,
    DockerUnpause,
    KillProcess,
    ReleaseDisk,
    RemoveDockerRun,
    RemoveNeighbour,
    RemoveQdisc,
    RemoveToxic,
    RemoveTree,
    RestoreNames,
    describe,
)
from chaoskit.lab.ops_limits import LeaveGroup, RestoreClock, RestoreFileLimit, RestoreLimit
from chaoskit.lab.process import ProcessIdentity, kill_and_wait

__all__ = ["Outcome", "order_of", "undo_all", "undo_entry"]

State = Literal["undone", "gone", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one undo.

    ``gone``: there was nothing left to undo, and that is proved. ``failed``: something may still
    be broken; ``sentence`` says what and why, ``command`` would undo it by hand.
    """

    what: str
    state: State
    sentence: str = ""
    command: str = ""

    @property
    def failed(self) -> bool:
        """Whether something may still be broken."""
        return self.state == "failed"

    def __str__(self) -> str:
        if not self.failed:
            return f"{self.what}: {'done' if self.state == 'undone' else 'was gone already'}"
        hint = f"; by hand: {self.command}" if self.command else ""
        return f"{self.what}: NOT done: {self.sentence}{hint}"


def undo_entry(entry: Entry, folder: Path) -> Outcome:
    """Undo one entry, verify it, and say how it went. Never raises for what an undo can meet.

    ``folder`` is the run's private folder. Nothing is written to the journal.
    """
    what, by_hand = describe(entry.op), _by_hand(entry, folder)
    try:
        return Outcome(what, _carry_out(entry, folder))
    except ChaoskitError as error:
        return Outcome(what, "failed", str(error), by_hand)
    except ImportError as error:
        return Outcome(what, "failed", f"{error.name} is not installed", by_hand)
    except OSError as error:
        return Outcome(what, "failed", error.strerror or str(error), by_hand)


def _carry_out(entry: Entry, folder: Path) -> State:  # noqa: C901, PLR0911 - one for each kind
    match entry.op:
        case KillProcess(pid, starttime, boot_id, _):
            ended = kill_and_wait(ProcessIdentity(pid, starttime, boot_id))
            return "undone" if ended else "gone"
        case RemoveDockerRun(run_id):
            return _remove_docker_run(run_id)
        case DockerStart(container_id):
            return _docker_start(container_id)
        case DockerUnpause(container_id):
            return _docker_unpause(container_id)
        case ContinueProcess(pid, starttime, boot_id):
            return "undone" if continue_one(ProcessIdentity(pid, starttime, boot_id)) else "gone"
        case ContinueProcesses(pid, starttime, boot_id):
            return "undone" if resume_all(ProcessIdentity(pid, starttime, boot_id)) else "gone"
        case ReleaseDisk(pid, starttime, boot_id):
            from chaoskit.lab.disk_state import release

            return "undone" if release(ProcessIdentity(pid, starttime, boot_id)) else "gone"
        case RemoveToxic():
            from chaoskit.lab.linkboard import undo_toxic

            return "undone" if undo_toxic(entry.op) else "gone"
        case RemoveTree(path):
            return _remove_tree(folder, path)
        case RemoveQdisc() | RemoveNeighbour() | RestoreNames():
            from chaoskit.lab.undo_link import undo_link  # only where it is needed: it is heavier

            return undo_link(entry.op)
        case LeaveGroup() | RestoreLimit() | RestoreFileLimit() | RestoreClock():
            from chaoskit.lab.undo_limit import undo_limit

            return undo_limit(entry.op)


def undo_all(path: Path, *, by: str, scope: Scope | None = None) -> list[Outcome]:
    """Undo everything that a journal has open, or only its faults, and write down what is undone.

    Latest first; what goes away with something else comes after it and is proved gone. Damaged
    lines are a failure of their own: what they said is unknown. Raises ``Refused`` for a journal
    that cannot be trusted and ``FileNotFoundError`` if there is none.
    """
    contents = read_journal(path)
    outcomes: list[Outcome] = []
    for entry in order_of(contents, scope):
        outcome = undo_entry(entry, path.parent)
        if not outcome.failed:
            outcome = _noted(outcome, path, entry, by)
        outcomes.append(outcome)
    if contents.damaged and scope is None:
        lines = ", ".join(map(str, contents.damaged))
        outcomes.append(
            Outcome(
                f"read the journal of run {contents.run_id}",
                "failed",
                f"line {lines} of {path} is damaged, so what it said is unknown",
                f"look for what belongs to run {contents.run_id}, then: rm -r {path.parent}",
            )
        )
    return outcomes


def order_of(contents: Contents, scope: Scope | None = None) -> Sequence[Entry]:
    """Open entries in the order in which they are to be undone."""
    wanted = [e for e in contents.open_entries() if scope is None or e.scope == scope]
    wanted.reverse()
    if any(isinstance(entry.op, RemoveDockerRun) for entry in wanted):
        # Nobody starts a container that is about to be removed; afterwards it is proved gone.
        wanted.sort(key=lambda entry: isinstance(entry.op, DockerStart))
    return wanted


def _noted(outcome: Outcome, path: Path, entry: Entry, by: str) -> Outcome:
    try:
        append_undone(path, entry.n, by)
    except OSError as error:
        # It is undone; the next heal will find that out again.
        return Outcome(
            outcome.what, outcome.state, f"could not be noted in {path}: {error.strerror}"
        )
    return outcome


def _remove_docker_run(run_id: str) -> State:
    from chaoskit.lab.docker_sweep import remove_run

    return "undone" if remove_run(run_id) else "gone"


def _docker_start(container_id: str) -> State:
    from docker import errors

    from chaoskit.lab.docker_engine import Engine, translating

    engine = Engine()
    try:
        with translating("starting a container again"):
            api = engine.client().api
            try:
                running = bool(api.inspect_container(container_id)["State"]["Running"])
                if not running:
                    api.start(container_id)
                    running = bool(api.inspect_container(container_id)["State"]["Running"])
            except errors.NotFound:
                return "gone"  # asked by its full id, which no other container ever has
    finally:
        engine.close()
    if not running:
        raise ChaoskitError("the container ended again at once")
    return "undone"


def _docker_unpause(container_id: str) -> State:
    from chaoskit.lab.docker_engine import Engine
    from chaoskit.lab.docker_pause import unpause

    engine = Engine()
    try:
        return "undone" if unpause(engine, container_id) else "gone"
    finally:
        engine.close()


def _remove_tree(folder: Path, path: str) -> State:
    target = folder / path
    if _real(target.parent) != _real(folder) / Path(path).parent:
        raise ChaoskitError(f"{target} leads out of the run's folder; not touched")
    try:
        kind = target.lstat().st_mode
    except FileNotFoundError:
        return "gone"
    mounts = [m for m in _mounts() if m == target or target in m.parents]
    if mounts:
        raise ChaoskitError(f"{mounts[0]} is still mounted; nothing was removed")
    if stat.S_ISDIR(kind):
        shutil.rmtree(target)
    else:
        target.unlink()
    return "undone"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _mounts() -> list[Path]:
    """Where something is mounted, as this process sees it. Octal escapes stand for blanks."""
    raw = Path("/proc/self/mountinfo").read_bytes()
    points = (line.split()[4] for line in raw.splitlines())
    return [Path(os.fsdecode(point.decode("unicode_escape").encode("latin-1"))) for point in points]


def _by_hand(entry: Entry, folder: Path) -> str:  # noqa: C901, PLR0911 - one for each kind
    match entry.op:
        case KillProcess(pid):
            return f"kill -9 {pid}  # after a look at: ps -fp {pid}"
        case DockerStart(container_id):
            return f"docker start {container_id[:12]}"
        case DockerUnpause(container_id):
            return f"docker unpause {container_id[:12]}"
        case ContinueProcess(pid):
            return f"kill -CONT {pid}"
        case ReleaseDisk(pid):
            return f"kill -USR1 {pid}  # after a look at: ps -fp {pid}"
        case ContinueProcesses(pid):
            return f"kill -CONT {pid}  # and every process in its PID namespace"
        case RemoveToxic(pid, _, _, port, proxy, name):
            undo = f"python -m chaoskit.links.child {port} undo {proxy} {name}"
            return f"nsenter --net --target {pid} {undo}"
        case RemoveTree(path):
            return f"rm -r {folder / path}"
        case RemoveQdisc() | RemoveNeighbour() | RestoreNames():
            from chaoskit.lab.undo_link import link_by_hand

            return link_by_hand(entry.op)
        case LeaveGroup() | RestoreLimit() | RestoreFileLimit() | RestoreClock():
            from chaoskit.lab.undo_limit import limit_by_hand

            return limit_by_hand(entry.op)
        case RemoveDockerRun(run_id):
            return f"chaoskit heal  # or look at: docker ps -a --filter label=chaoskit.run={run_id}"
