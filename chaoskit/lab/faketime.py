"""A node's time of day, shifted through libfaketime where the node runs with it.

The kernel has one time of day for all containers, and no namespace for it: what can be moved is
what programs are told. A service that is preloaded with libfaketime reads a file of its own each
time it asks; a line of ours in that file is the shift, and without the file time is as it is.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.ops import Op, check_run_id
from chaoskit.lab.ops_limits import RestoreClock
from chaoskit.lab.process import ProcessIdentity, open_checked

__all__ = ["ClockFile", "Shift", "opted_in", "restore_clock", "shift_text"]

FILE_VARIABLE = "FAKETIME_TIMESTAMP_FILE"
_OWED = {
    "FAKETIME_NO_CACHE": "without it a shift is noticed up to ten seconds later",
    "FAKETIME_DONT_FAKE_MONOTONIC": "without it time-outs and intervals would jump as well",
}
_LARGEST = 4096


def _mark(run_id: str) -> str:
    return f"# chaoskit_{check_run_id(run_id)}\n"


def shift_text(run_id: str, offset_s: float) -> str:
    """The file's text, always of one length.

    A line that starts with # is a comment to libfaketime.
    """
    return f"{_mark(run_id)}{offset_s:+018.6f}\n"


def opted_in(who: ProcessIdentity, node: str) -> str:
    """The path, as the node sees it, of the file that shifts its clock.

    Raises ``LabError`` that says what the service lacks.
    """
    try:
        with open_checked(who):
            raw = _bytes(f"/proc/{who.pid}/environ")
            maps = _bytes(f"/proc/{who.pid}/maps")
    except (ProcessLookupError, FileNotFoundError):
        raise LabError(f"{node} does not run, so its clock cannot be shifted") from None
    except PermissionError:
        raise LabError(f"the environment of {node} cannot be seen by this user") from None
    words = dict(os.fsdecode(word).split("=", 1) for word in raw.split(b"\0") if b"=" in word)
    path = words.get(FILE_VARIABLE, "")
    if not path.startswith("/"):
        raise LabError(f"{node} has no {FILE_VARIABLE} in its environment: {_HOW}")
    for name, why in _OWED.items():
        if words.get(name) != "1":
            raise LabError(f"{node} needs {name}=1 in its environment: {why}")
    if b"libfaketime" not in maps:
        raise LabError(
            f"{node} runs without libfaketime, though its environment asks for it: is the library "
            f"there, under the path that LD_PRELOAD says ({words.get('LD_PRELOAD', 'nothing')}), "
            "and is the program linked dynamically?"
        )
    return path


_HOW = (
    "a clock can be shifted only of a service that is started with libfaketime; "
    "chaoskit explain clock says how"
)


class ClockFile:
    """The folder of a node's clock file, held open: a place of tweaks.

    Raises ``LabError`` where it cannot be reached.
    """

    def __init__(self, who: ProcessIdentity) -> None:
        self.who = who
        self._root = -1
        try:
            with open_checked(who):
                self._root = os.open(
                    f"/proc/{who.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
                )
            with open_checked(who):  # still the same process: the root is its own
                pass
        except OSError as error:
            self.__exit__()
            raise LabError(f"the files of process {who.pid} cannot be reached: {error}") from None

    def read(self, path: str) -> str | None:
        """The file's text; None if there is none."""
        try:
            fd = self._open(path)
        except FileNotFoundError:
            return None
        try:
            return os.pread(fd, _LARGEST, 0).decode(errors="surrogateescape")
        finally:
            os.close(fd)

    def write(self, path: str, text: str) -> None:
        """Make the file say this, and nothing else. Whoever the service runs as can read it.

        At once, by a new file that takes its place: libfaketime ends the program that reads a file
        with nothing in it, or half a line. A file that is mounted there is written to, for it
        cannot be replaced.
        """
        folder = self._folder(path)
        name = path.rpartition("/")[2]
        beside = f".{name}.{os.getpid()}"
        data = text.encode(errors="surrogateescape")
        try:
            _refuse_what_is_no_file(name, folder)
            try:
                _fill(beside, os.O_CREAT | os.O_EXCL, data, folder)
                os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError as error:
                with suppress(FileNotFoundError):
                    os.unlink(beside, dir_fd=folder)
                if error.errno != errno.EBUSY:
                    raise
                _fill(name, 0, data, folder)
        finally:
            os.close(folder)

    def remove(self, path: str) -> None:
        """Take the file away."""
        folder = self._folder(path)
        try:
            os.unlink(path.rpartition("/")[2], dir_fd=folder)
        finally:
            os.close(folder)

    def _open(self, path: str) -> int:
        folder = self._folder(path)
        try:
            name = path.rpartition("/")[2]
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)

    def _folder(self, path: str) -> int:
        """Step by step, and through no link: a service must not lead us out of its own files."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        here = os.dup(self._root)
        for part in path.strip("/").split("/")[:-1]:
            try:
                inner = os.open(part, flags, dir_fd=here)
            finally:
                os.close(here)
            here = inner
        return here

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._root >= 0:
            os.close(self._root)
            self._root = -1


def _refuse_what_is_no_file(name: str, folder: int) -> None:
    """A link or a folder of that name is the service's own, and not replaced."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _fill(name: str, flags: int, data: bytes, folder: int) -> None:
    """Write the file in one go, cut to that length."""
    flags |= os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        os.pwrite(fd, data, 0)
        if os.fstat(fd).st_size != len(data):
            os.ftruncate(fd, len(data))
        with suppress(PermissionError):
            os.fchmod(fd, 0o644)
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Shift:
    """A shifted clock: a ``Tweak``. The offset itself may change while it stands."""

    node: Node
    run_id: str
    path: str
    before: str | None
    offset_s: float

    def refuse(self, place: ClockFile) -> None:
        """Somebody's own shift is not replaced."""
        text = _read(place, self.path, self.node.name)
        if text is not None and text not in ("+0", "+0\n"):
            raise LabError(
                f"{self.path} of {self.node.name} says something else than '+0' already: somebody "
                "shifts its clock, and that is not touched"
            )

    def put(self, place: ClockFile) -> None:
        """Write the file."""
        self.move(place, self.offset_s)

    def move(self, place: ClockFile, offset_s: float) -> None:
        """Write it again, with another offset."""
        try:
            place.write(self.path, shift_text(self.run_id, offset_s))
        except OSError as error:
            raise LabError(
                f"{self.path} of {self.node.name} cannot be written: {error.strerror}; its folder "
                "must be there, and no link may lead to it"
            ) from None

    def stands(self, place: ClockFile) -> bool:
        """Whether it is there."""
        text = _read(place, self.path, self.node.name)
        return text is not None and text.startswith(_mark(self.run_id))

    def take(self, place: ClockFile) -> None:
        """Let it say what it said, or be gone."""
        _restore(place, self.path, self.run_id, self.before)

    def undo(self, who: ProcessIdentity) -> Op:
        """For the journal."""
        where = (who.pid, who.starttime, who.boot_id, self.path)
        return RestoreClock(*where, self.run_id, self.before or "")


def restore_clock(who: ProcessIdentity, path: str, run_id: str, before: str) -> bool:
    """Without the harness; False if nothing of ours was there. Raises ``ProcessLookupError``."""
    with open_checked(who), ClockFile(who) as place:
        return _restore(place, path, run_id, before or None)


def _restore(place: ClockFile, path: str, run_id: str, before: str | None) -> bool:
    text = place.read(path)
    if text is None or not text.startswith(_mark(run_id)):
        return False
    if before:
        place.write(path, before)
    else:
        place.remove(path)
    if place.read(path) != before:
        raise LabError(f"{path} does not say again what it said")
    return True


def _read(place: ClockFile, path: str, node: str) -> str | None:
    try:
        return place.read(path)
    except OSError as error:
        raise LabError(f"{path} of {node} cannot be read: {error.strerror}") from None


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - of a process, not of a disk
        return file.read()
