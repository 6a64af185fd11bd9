"""Control groups of either version: where a process is, what its group may use, groups of ours.

Version 1 has a hierarchy for each controller, version 2 one for all. Values are read and written in
one form for both: ``cpu`` as "<quota or max> <period>" in microseconds, ``memory`` as the kernel
writes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from chaoskit.clock import wait_until
from chaoskit.errors import LabError

__all__ = ["Group", "group_of", "make_group", "move", "oom_kills", "remove_group", "unusable"]

_WITHIN_S = 5.0
_FITS_S = 1.0
_ENABLE = "as root: echo +{} > {}/cgroup.subtree_control"


@dataclass(frozen=True)
class Group:
    """One group: ``path`` below ``mount``, where the hierarchy of ``controller`` is mounted."""

    controller: str
    version: int
    mount: Path
    path: str

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.mount / self.path.lstrip("/")

    def named(self, path: str) -> Group:
        """Another group of the same hierarchy."""
        return Group(self.controller, self.version, self.mount, path)

    def beside(self, name: str) -> Group:
        """Where a group for some of its processes can be made.

        Version 1: in it, so that what limits it goes on to limit them. Version 2 allows no group
        with both processes and limited children, but for the root: next to it.
        """
        here = PurePosixPath(self.path)
        inner = self.version == 1 or self.path == "/"
        return self.named(str((here if inner else here.parent) / name))

    def pids(self) -> list[int]:
        """Who is in it, as this process sees them. Raises ``FileNotFoundError``."""
        return [int(word) for word in self._read("cgroup.procs").split() if word != "0"]

    def limit(self) -> str:
        """The limit, in the form that ``set_limit`` takes. Raises ``LabError``, ``OSError``."""
        if self.controller == "memory":
            return self._read("memory.max" if self.version == 2 else "memory.limit_in_bytes")
        if self.version == 2:
            return self._read("cpu.max")
        quota = int(self._read("cpu.cfs_quota_us"))
        return f"{'max' if quota < 0 else quota} {self._read('cpu.cfs_period_us')}"

    def set_limit(self, value: str) -> None:
        """Set it, as little as possible of it anew. Raises ``LabError`` with the kernel's words."""
        if self.controller == "memory" and self.version == 1:
            self._write_when_it_fits("memory.limit_in_bytes", value)
        elif self.controller == "memory":
            self._write("memory.max", value)
        elif self.version == 2:
            self._write("cpu.max", value)
        else:
            quota, _, period = value.partition(" ")
            if self._read("cpu.cfs_period_us") != period:
                # The old quota need not be a legal one of the new period.
                self._write("cpu.cfs_quota_us", "-1")
                self._write("cpu.cfs_period_us", period)
            self._write("cpu.cfs_quota_us", "-1" if quota == "max" else quota)

    def used(self) -> int:
        """Bytes of memory that it holds."""
        name = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        return int(self._read(name))

    def met(self) -> int:
        """How often its processes have come up against the limit, for as long as it exists."""
        if self.controller == "cpu":
            return _number(self._read("cpu.stat"), "nr_throttled")
        if self.version == 2:
            events = self._read("memory.events")
            return _number(events, "max") + _number(events, "oom_kill")
        kills = _number(self._read("memory.oom_control"), "oom_kill")
        return int(self._read("memory.failcnt")) + kills

    def adopt(self, pid: int) -> bool:
        """Move a process here, with all its threads. False: it is gone."""
        try:
            self._write("cgroup.procs", str(pid))
        except ProcessLookupError:
            return False
        return True

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="ascii").strip()

    def _write_when_it_fits(self, name: str, value: str) -> None:
        """Version 1 refuses less than is held just now; who holds it may give it back soon."""

        def look() -> bool:
            try:
                (self.folder / name).write_text(value, encoding="ascii")
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return False
                self._refused(name, value, error)
            return True

        if not wait_until(look, within_s=_FITS_S, every_s=0.001):
            raise LabError(
                f"the group {self.path} holds {self.used()} bytes that the kernel cannot take "
                f"back, more than a limit of {value}; leave it more"
            )

    def _write(self, name: str, value: str) -> None:
        try:
            (self.folder / name).write_text(value, encoding="ascii")
        except ProcessLookupError:
            raise
        except OSError as error:
            self._refused(name, value, error)

    def _refused(self, name: str, value: str, error: OSError) -> NoReturn:
        said = f"the kernel refuses {value!r} for {name} of {self.path}: {error.strerror}"
        raise LabError(said) from error


def group_of(pid: int | str, controller: str, proc: Path = Path("/proc")) -> Group:
    """The group that a process is in. Raises ``LabError`` where this machine has none of the kind.

    ``pid`` may be "self". Raises ``ProcessLookupError`` if the process is gone.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"process {pid} is gone") from None
    paths = {
        name: path
        for _, names, path in (ln.split(":", 2) for ln in lines)
        for name in names.split(",")
    }
    for version, mount, root in _mounts(controller, proc):
        path = paths.get(controller if version == 1 else "")
        if path is None:
            continue
        inner = "/" + path.removeprefix(root).lstrip("/") if root != "/" else path
        return Group(controller, version, mount, inner)
    raise LabError(
        f"no control group hierarchy of this machine has the controller '{controller}'; mount one "
        "(cgroup2 on /sys/fs/cgroup), or boot a kernel that has it"
    )


def make_group(group: Group) -> None:
    """Make it, empty. Raises ``LabError``, also where the controller is not switched on in it."""
    try:
        group.folder.mkdir()
    except FileExistsError:
        raise LabError(f"there is a control group {group.path} already") from None
    except OSError as error:
        raise LabError(
            f"the control group {group.path} cannot be made ({error.strerror}); it needs root, or "
            "a group that was delegated to this user"
        ) from error
    try:
        group.limit()
    except OSError:
        with suppress(OSError):
            group.folder.rmdir()
        parent = group.folder.parent
        raise LabError(
            f"the controller '{group.controller}' is not switched on in groups below {parent}; "
            + _ENABLE.format(group.controller, parent)
        ) from None


def move(group: Group, pids: Iterator[int] | list[int]) -> None:
    """Move these processes into the group, those that are gone left out."""
    for pid in pids:
        group.adopt(pid)


def remove_group(group: Group, home: Group) -> bool:
    """Move whoever is in it home and remove it; False if it was not there. ``LabError``."""

    def look() -> bool:
        try:
            move(home, group.pids())
            group.folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False  # somebody has just come in, or is just going
        return True

    if not group.folder.is_dir():
        return False
    if not wait_until(look, within_s=_WITHIN_S, every_s=0.005):
        raise LabError(f"the control group {group.folder} is not empty and stays")
    return True


def oom_kills(proc: Path = Path("/proc")) -> int:
    """How many processes of this machine the kernel has ended for want of memory."""
    with suppress(OSError):
        return _number((proc / "vmstat").read_text(encoding="ascii"), "oom_kill")
    return 0


def unusable(controller: str) -> str | None:
    """One sentence why no limit of this kind can be set here; None if one can. Leaves nothing."""
    try:
        own = group_of("self", controller)
        tried = own.beside(f"chaoskit_try_{os.getpid()}")
        make_group(tried)
        tried.folder.rmdir()
    except (LabError, OSError) as error:
        return f"no {controller} limit can be set on this machine: {error}"
    return None


def _mounts(controller: str, proc: Path) -> Iterator[tuple[int, Path, str]]:
    """Version, mount point and mounted root of hierarchies that have it; version 1 first."""
    lines = (proc / "self" / "mountinfo").read_text(encoding="utf-8").splitlines()
    unified = []
    for line in lines:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, mount = before.split(" ")[3:5]
        if kind == "cgroup" and controller in options.split(","):
            yield 1, Path(mount), root
        elif kind == "cgroup2":
            unified.append((2, Path(mount), root))
    for version, where, root in unified:
        with suppress(OSError):
            if controller in (where / "cgroup.controllers").read_text(encoding="ascii").split():
                yield version, where, root


def _number(table: str, name: str) -> int:
    """The number behind a word in a table of the kernel's; 0 where it has none."""
    for line in table.splitlines():
        word, _, value = line.partition(" ")
        if word == name:
            return int(value)
    return 0
