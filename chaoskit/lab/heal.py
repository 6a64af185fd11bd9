"""``chaoskit heal``: find what earlier runs left behind, and undo it.

First by journal: a run whose lock is free is dead. Then by label on a Docker engine, where there
is one: a journal may be lost, labels are not. Live runs are never touched. Healing twice does
nothing the second time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaoskit.clock import NS, MonotonicClock, now_ns
from chaoskit.errors import ChaoskitError, LabError
from chaoskit.lab.journal import (
    FILE_NAME,
    NEW_NAME,
    Contents,
    is_locked,
    lock,
    read_journal,
)
from chaoskit.lab.ops import check_run_id, describe
from chaoskit.lab.private import remove_folder, state_roots
from chaoskit.lab.process import boot_id, identity_of, is_alive
from chaoskit.lab.undo import Outcome, order_of, undo_all

__all__ = ["Healed", "faults_on", "heal"]

_YOUNG_S = 10.0  # a folder without a journal may be a run that is just beginning
_GUARDIAN_S = 15.0  # how long a guardian may be at work on a dead run before we say so


@dataclass(frozen=True)
class Healed:
    """What was found of one run, and what became of it; ``str()`` is fit to be printed."""

    run_id: str
    outcomes: tuple[Outcome, ...]
    planned: tuple[str, ...] = ()  # a dry run: what would be undone

    @property
    def failed(self) -> bool:
        """Whether something of this run may still be broken."""
        return any(outcome.failed for outcome in self.outcomes)

    def __str__(self) -> str:
        lines = [f"would {what}" for what in self.planned] + [str(one) for one in self.outcomes]
        return "\n".join([f"run {self.run_id}:", *(f"  {line}" for line in lines)])


def heal(*, dry_run: bool = False, roots: Sequence[Path] | None = None) -> list[Healed]:
    """Undo what dead runs left. Returns one item per run with something to undo; none if clean.

    Never raises for a run that cannot be healed: its outcomes say so, and the others go on.
    """
    found: list[Healed] = []
    live: set[str] = set()
    for folder in _folders(state_roots() if roots is None else roots):
        if _is_live(folder / FILE_NAME):
            live.add(folder.name)
            continue
        one = _plan(folder) if dry_run else _heal_folder(folder)
        if one is not None:
            found.append(one)
    found += _sweep(live | {one.run_id for one in found if one.failed or dry_run}, dry_run=dry_run)
    return found


def faults_on(roots: Sequence[Path] | None = None) -> tuple[str, ...]:
    """Runs, alive or dead, whose journal holds a fault that has not been undone."""
    found = []
    for folder in _folders(state_roots() if roots is None else roots):
        try:
            left = read_journal(folder / FILE_NAME).open_entries()
        except (OSError, ChaoskitError):
            continue  # it was closed and moved away in the meantime, or holds nothing
        if any(entry.scope == "fault" for entry in left):
            found.append(folder.name)
    return tuple(found)


def _folders(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        try:
            names = sorted(path.name for path in root.iterdir())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        for name in names:
            try:
                yield root / check_run_id(name)
            except ValueError:
                continue  # not a run of ours


def _is_live(path: Path) -> bool:
    """Whether the run lives. A dead one that is held is in its guardian's hands: wait for that."""
    deadline = now_ns() + int(_GUARDIAN_S * NS)
    while True:
        try:
            if not is_locked(path):
                return False
            owner = read_journal(path).owner
        except (OSError, ChaoskitError):
            return False  # whatever is wrong with it is found again, and said, by healing it
        if owner is not None and is_alive(owner):
            return True
        if now_ns() > deadline:
            return False
        MonotonicClock().sleep(0.05)


def _plan(folder: Path) -> Healed | None:
    try:
        contents = read_journal(folder / FILE_NAME)
    except FileNotFoundError:
        return None
    except (OSError, ChaoskitError) as error:
        return _unreadable(folder, error)
    planned = tuple(describe(entry.op) for entry in order_of(contents))
    return Healed(folder.name, _damage(contents), planned) if planned or contents.damaged else None


def _damage(contents: Contents) -> tuple[Outcome, ...]:
    if not contents.damaged:
        return ()
    return (Outcome("read the journal", "failed", f"{contents.path} has damaged lines"),)


def _unreadable(folder: Path, error: OSError | ChaoskitError) -> Healed:
    said = str(error) if isinstance(error, ChaoskitError) else error.strerror or str(error)
    by_hand = f"ls -la {folder}"
    return Healed(folder.name, (Outcome("read the journal", "failed", said, by_hand),))


def _heal_folder(folder: Path) -> Healed | None:
    path = folder / FILE_NAME
    try:
        read_journal(path)  # refuses links and strangers' files before anything is opened to write
        held = lock(path)
    except FileNotFoundError:
        return _remove_stillborn(folder)
    except (OSError, ChaoskitError) as error:
        return _unreadable(folder, error)
    if held is None:
        busy = Outcome("undo the run", "failed", "another process is healing it", "chaoskit heal")
        return Healed(folder.name, (busy,))
    try:
        outcomes = undo_all(path, by="heal")
        if not any(outcome.failed for outcome in outcomes):
            remove_folder(folder, FILE_NAME, NEW_NAME)
    except FileNotFoundError:
        return None  # its guardian was quicker
    except (OSError, ChaoskitError) as error:
        return _unreadable(folder, error)
    finally:
        os.close(held)
    return Healed(folder.name, tuple(outcomes)) if outcomes else None


def _remove_stillborn(folder: Path) -> Healed | None:
    """A run that died before its journal had a name: it had not begun to act."""
    try:
        if folder.is_symlink() or datetime.now(UTC).timestamp() - folder.stat().st_mtime < _YOUNG_S:
            return None
        remove_folder(folder, FILE_NAME, NEW_NAME)
    except FileNotFoundError:
        return None
    except (OSError, ChaoskitError) as error:
        return _unreadable(folder, error)
    return None


def _sweep(skip: set[str], *, dry_run: bool) -> list[Healed]:
    """Docker objects of dead runs whose journal is gone. Nothing where no engine answers."""
    try:
        from chaoskit.lab.docker_sweep import find_runs, remove_run

        runs = find_runs()
    except (ImportError, LabError):
        return []
    found = []
    for run_id, owner in sorted(runs.items()):
        if run_id in skip or _owner_lives(owner):
            continue
        what = f"remove the containers, networks and volumes of run {run_id}"
        if dry_run:
            found.append(Healed(run_id, (), (what,)))
            continue
        try:
            remove_run(run_id)
            outcome = Outcome(what, "undone")
        except ChaoskitError as error:
            outcome = Outcome(what, "failed", str(error), "chaoskit heal")
        found.append(Healed(run_id, (outcome,)))
    return found


def _owner_lives(owner: str) -> bool:
    """Whether ``<pid>@<boot id>`` may still be that run. In doubt it is: nothing is touched."""
    pid, _, boot = owner.partition("@")
    if not (pid.isascii() and pid.isdigit() and int(pid) > 1):
        return True
    if boot != boot_id():
        return False
    try:
        return is_alive(identity_of(int(pid)))
    except ProcessLookupError:
        return False
