"""The undo journal: what a run must take back, written before it acts.

One file per run, ``<state>/chaoskit/<run id>/journal.jsonl``. Each line is a CRC and one JSON
object. The order is: *intent* (with everything that the undo needs) reaches the disk, the act
happens, *done*, and, once an undo has been verified, *undone*. Whatever has an intent and no
*undone* may still be in force.

The run holds a lock on the file for as long as it lives. That is how ``chaoskit heal`` tells a
live run from a dead one: the kernel releases the lock however the run ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from chaoskit.errors import HealFailed, LabError, Refused
from chaoskit.lab.ops import Op, check_run_id, describe, from_data, to_data
from chaoskit.lab.private import (
    make_folder,
    open_private,
    remove_folder,
    state_roots,
    sync_folder,
)
from chaoskit.lab.process import ProcessIdentity, identity_of

__all__ = [
    "FILE_NAME",
    "NEW_NAME",
    "Contents",
    "Entry",
    "Journal",
    "Scope",
    "append_undone",
    "is_locked",
    "lock",
    "read_journal",
]

FILE_NAME = "journal.jsonl"
NEW_NAME = "journal.new"  # the name until it is locked and has its header
_SIZE_MAX = 16 << 20
_RESERVE = 256 << 10  # bytes set aside, so that "undone" can be written on a full disk
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE

Scope = Literal["lab", "fault"]
"""What an entry belongs to. Faults alone are undone when the harness is frozen, not dead."""


@dataclass(frozen=True)
class Entry:
    """One act and how far it came. ``done`` says that the act returned, not that it is in force."""

    n: int
    op: Op
    scope: Scope
    done: bool = False
    undone: bool = False


@dataclass(frozen=True)
class Contents:
    """A journal, read back.

    ``damaged`` names lines (from 1) that cannot be trusted; what they said is unknown, so a
    journal with any cannot be called healed. A torn last line is no damage: the act that it
    announces had not begun.
    """

    path: Path
    run_id: str
    owner: ProcessIdentity | None
    entries: tuple[Entry, ...] = ()
    damaged: tuple[int, ...] = ()

    def open_entries(self) -> tuple[Entry, ...]:
        """Entries without *undone*, oldest first."""
        return tuple(entry for entry in self.entries if not entry.undone)


class Journal:
    """The journal of a living run. Every method may be called from any thread.

    Raises ``LabError`` when a line cannot be brought to the disk: the act must then not happen.
    """

    def __init__(self, path: Path, fd: int, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self._fd = fd
        self._lock = threading.Lock()
        self._entries: dict[int, Entry] = {}

    @classmethod
    def create(cls, run_id: str, root: Path | None = None) -> Journal:
        """Begin the journal of a new run and lock it.

        Without ``root`` it goes to the user's state folder, or to a private one in /tmp where
        that cannot be written. Raises ``Refused`` if neither can, or if the run id is taken.
        """
        check_run_id(run_id)
        folder = make_folder(run_id, (root,) if root else state_roots())
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(folder / NEW_NAME, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(fd)
            owner = identity_of(os.getpid())
            header = {"pid": owner.pid, "starttime": owner.starttime, "boot_id": owner.boot_id}
            _append(fd, {"what": "run", "run_id": run_id, **header})
            (folder / NEW_NAME).rename(folder / FILE_NAME)
            sync_folder(folder)
        except BaseException:
            os.close(fd)
            raise
        return cls(folder / FILE_NAME, fd, run_id)

    @property
    def directory(self) -> Path:
        """The run's private folder, mode 0700; what ``RemoveTree`` names lies in it."""
        return self.path.parent

    def intend(self, op: Op, *, scope: Scope = "lab") -> int:
        """Announce an act by its undo; when this returns it is on the disk. Returns its number."""
        with self._lock:
            n = len(self._entries) + 1
            self._write({"what": "intent", "n": n, "scope": scope, "op": to_data(op)})
            self._entries[n] = Entry(n, op, scope)
            return n

    def done(self, n: int) -> None:
        """The act of entry ``n`` has returned."""
        with self._lock:
            entry = self._entries[n]
            self._write({"what": "done", "n": n})
            self._entries[n] = replace(entry, done=True)

    def undone(self, n: int) -> None:
        """The undo of entry ``n`` is verified. Saying it twice is silent."""
        with self._lock:
            entry = self._entries[n]
            if not entry.undone:
                self._write({"what": "undone", "n": n})
                self._entries[n] = replace(entry, undone=True)

    def open_entries(self) -> tuple[Entry, ...]:
        """Entries whose undo is not verified, oldest first."""
        with self._lock:
            return tuple(entry for entry in self._entries.values() if not entry.undone)

    def close(self) -> None:
        """Release the lock. Raises ``HealFailed`` while anything is open. Idempotent."""
        left = self.open_entries()
        if left:
            what = "; ".join(describe(entry.op) for entry in left)
            raise HealFailed(f"run {self.run_id} has not undone: {what}. Run: chaoskit heal")
        self.abandon()

    def abandon(self) -> None:
        """Release the lock whatever is open, so that guardian and heal may take over."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def archive(self, to: Path) -> Path:
        """Close, move the journal to ``to`` (a file, or a folder), remove the private folder.

        Returns where it is. Raises ``HealFailed`` if anything is open, or if there are other
        files in the private folder.
        """
        self.close()
        kept = to / FILE_NAME if to.is_dir() else to
        shutil.copyfile(self.path, kept)
        remove_folder(self.directory, FILE_NAME)
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()

    def _write(self, line: Mapping[str, object]) -> None:
        if self._fd < 0:
            raise LabError(f"the journal of run {self.run_id} is closed")
        try:
            _append(self._fd, line)
        except OSError as error:
            raise LabError(f"cannot write the undo journal {self.path}: {error.strerror}") from None


def read_journal(path: Path) -> Contents:
    """Read a journal that a process of this user wrote.

    Raises ``Refused`` if the file or its folder is a symbolic link, belongs to another user or
    could have been written by one, and ``FileNotFoundError`` if there is none.
    """
    folder = open_private(path.parent, os.O_DIRECTORY, None)
    try:
        fd = open_private(path, os.O_NONBLOCK, folder)
    finally:
        os.close(folder)
    with os.fdopen(fd, "rb") as file:
        raw = file.read(_SIZE_MAX + 1)
    if len(raw) > _SIZE_MAX:
        raise Refused(f"{path} is no journal: it is larger than {_SIZE_MAX >> 20} MiB")
    return _parse(path, raw)


def lock(path: Path) -> int | None:
    """Take the lock of a dead run's journal: a descriptor to close; None while a run lives."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def is_locked(path: Path) -> bool:
    """Whether somebody holds the journal: its run, or whoever heals it just now."""
    fd = lock(path)
    if fd is None:
        return True
    os.close(fd)
    return False


def append_undone(path: Path, n: int, by: str) -> None:
    """Write that entry ``n`` is verified to be undone, from outside the run."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        before = b"\n" + _encode({"what": "torn"}) if torn else b""
        _append(fd, {"what": "undone", "n": n, "by": by}, before)
    finally:
        os.close(fd)


def _parse(path: Path, raw: bytes) -> Contents:
    *whole, tail = raw.split(b"\n")
    entries: dict[int, Entry] = {}
    damaged: list[int] = []
    owner: ProcessIdentity | None = None
    for number, text in enumerate(whole + _saved(tail), 1):
        try:
            line = _decode(text)
            if line["what"] == "run":
                owner = _owner_of(line, path)
            elif line["what"] == "torn" and damaged[-1:] == [number - 1]:
                damaged.pop()  # the line before broke off when its run died: see append_undone
            else:
                _apply(line, entries)
        except (ValueError, KeyError, TypeError, RecursionError):
            damaged.append(number)
    if owner is None and not damaged:
        damaged.append(1)  # not even the header is there
    ordered = tuple(entries[n] for n in sorted(entries))
    return Contents(path, path.parent.name, owner, ordered, tuple(damaged))


def _saved(tail: bytes) -> list[bytes]:
    """The last line where only its newline is missing or spoilt; nothing where it is torn."""
    for text in (tail, tail[:-1]):
        try:
            _decode(text)
        except (ValueError, TypeError, RecursionError):
            continue
        return [text]
    return []


def _owner_of(line: Mapping[str, object], path: Path) -> ProcessIdentity:
    pid, starttime, boot = line["pid"], line["starttime"], line["boot_id"]
    if line["run_id"] != path.parent.name:
        raise ValueError("the journal belongs to another run")
    if not (isinstance(pid, int) and isinstance(starttime, int) and isinstance(boot, str)):
        raise TypeError("the journal's header is not what we write")
    return ProcessIdentity(pid, starttime, boot)


def _apply(line: Mapping[str, object], entries: dict[int, Entry]) -> None:
    n, what = line["n"], line["what"]
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError("an entry has a number")
    if what == "intent":
        scope = line["scope"]
        if n in entries or scope not in ("lab", "fault"):
            raise ValueError("not an intent that we write")
        entries[n] = Entry(n, from_data(line["op"]), "fault" if scope == "fault" else "lab")
    elif what == "done":
        entries[n] = replace(entries[n], done=True)
    elif what == "undone":
        entries[n] = replace(entries[n], undone=True)
    else:
        raise ValueError("not a line that we write")


def _decode(text: bytes) -> dict[str, object]:
    crc, _, body = text.partition(b" ")
    if len(crc) != 8 or int(crc, 16) != zlib.crc32(body):
        raise ValueError("checksum")
    line = json.loads(body)
    if not isinstance(line, dict):
        raise TypeError("a line is an object")
    return line


def _encode(line: Mapping[str, object]) -> bytes:
    body = json.dumps(line, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _append(fd: int, line: Mapping[str, object], before: bytes = b"") -> None:
    data = before + _encode(line)
    size = os.fstat(fd).st_size
    written = os.write(fd, data)  # one write: lines of two writers never mix
    if written != len(data):
        os.ftruncate(fd, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fdatasync(fd)


def _reserve(fd: int) -> None:
    """Set disk space aside without changing the size; file systems that cannot are forgiven."""
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fallocate(fd, _KEEP_SIZE, 0, _RESERVE)
