"""The files that a service sees: the host's own, none of which it can change.

Overlays whose upper layers live on a tmpfs of the lab: what a service writes is there again when
it is started again, and gone with the lab. Runs inside the lab: standard library only.
"""

# os.path is quicker to import than pathlib.
# ruff: noqa: PTH101, PTH102, PTH103, PTH106, PTH112, PTH114, PTH115, PTH116, PTH118, PTH123, PTH208, PTH211

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from chaoskit.lab import sandbox_kernel as kernel
from chaoskit.lab.sandbox_root import make_tmpfs

__all__ = ["Mountpoint", "drop_tree", "make_tree", "mountpoints"]

# Made anew for every service, or of no use to it.
_OWN = ("/proc", "/sys", "/dev", "/run")
_USELESS = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet")
_PSEUDO = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "efivarfs"),
        *("fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs"),
        *("sysfs", "tracefs"),
    )
)
_OF_THE_LAB = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
# An unprivileged lab cannot change the host's folders even in an overlay: these are made its own.
_WRITABLE = ("/etc", "/home", "/mnt", "/opt", "/srv", "/var", "/var/cache", "/var/lib", "/var/log")

Wanted = Sequence[tuple[str, bool]]


class Mountpoint:
    """Where something is mounted, and whether a service has a use for it."""

    def __init__(self, path: str, useful: bool) -> None:
        self.path, self.useful = path, useful


def mountpoints(mountinfo: str, hide: Iterable[str]) -> list[Mountpoint]:
    """Everything mounted anywhere but on ``/``, from ``/proc/self/mountinfo``, sorted.

    Not useful are pseudo file systems and what lies at or below a path of ``hide``.
    """
    found: dict[str, Mountpoint] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        path = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), before.split()[4])
        hidden = any(path == h or path.startswith(h + "/") for h in hide)
        if path != "/":
            # Of several on one place the last one is seen.
            found[path] = Mountpoint(path, not hidden and after.split()[0] not in _PSEUDO)
    return [found[path] for path in sorted(found)]


def make_tree(
    base: str, node: str, targets: Sequence[Mapping[str, object]], *, locked: bool
) -> None:
    """Mount ``<node>/root``. ``targets`` are mount points that must exist in it.

    ``base`` is the lab's tmpfs, which no service sees. ``locked`` says that the lab is in a user
    namespace: then the mounts of the host may not be taken apart, and its folders are not ours.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mounts = mountpoints(file.read(), (*_OWN, *_USELESS, base))
    wanted = [(os.path.realpath(str(t["path"])), t["kind"] == "file") for t in targets]
    if locked:
        wanted += [(folder, False) for folder in _WRITABLE if os.path.isdir(folder)]
    _Tree(node, mounts, wanted, locked).show("/")
    for path, is_file in wanted:
        _add(f"{node}/root", path, is_file)


def drop_tree(node: str) -> None:
    """Take down what ``make_tree`` has mounted for a node that does not run, and what it wrote."""
    import shutil

    if os.path.isdir(f"{node}/root"):
        kernel.detach(f"{node}/root")
        os.rmdir(f"{node}/root")
    for folder in ("upper", "work"):
        shutil.rmtree(f"{node}/{folder}", ignore_errors=True)


class _Tree:
    def __init__(
        self, node: str, mounts: Sequence[Mountpoint], wanted: Wanted, locked: bool
    ) -> None:
        self._node, self._mounts, self._wanted, self._locked = node, mounts, wanted, locked
        self._count = 0

    def show(self, path: str) -> None:
        """Let the node's root show ``path`` of the host, and what is mounted below it."""
        below = [m for m in self._mounts if _is_below(m.path, path)]
        if below and self._locked:
            self._show_entries(path, below)
            return
        inside = [w for w in self._wanted if _is_below(w[0], path)]
        self._overlay(path, [w for w in inside if not self._is_in(w[0], below)])
        for mount in below:
            if mount.useful:
                self._show_one(mount.path)

    def _show_entries(self, path: str, below: Sequence[Mountpoint]) -> None:
        """The kernel refuses an overlay of what has the host's mounts below it: go deeper."""
        target = self._target(path)
        if path == "/":
            os.mkdir(target)
            make_tmpfs(target)
        useless = {m.path for m in below if not m.useful}
        for name in os.listdir(path):
            entry = os.path.join(path, name)
            if os.path.islink(entry):
                os.symlink(os.readlink(entry), self._target(entry))
            elif entry in useless or entry in _OWN:
                os.mkdir(self._target(entry))
            else:
                self._show_one(entry)

    def _show_one(self, path: str) -> None:
        # What this user cannot look into is nothing that the service needs.
        with contextlib.suppress(OSError):
            target = self._target(path)
            if os.path.isdir(path):
                os.makedirs(target, exist_ok=True)
                if os.access(path, os.R_OK | os.X_OK):
                    self.show(path)
            elif path not in _OF_THE_LAB:
                if not os.path.lexists(target):
                    _touch(target)
                kernel.bind(path, target, read_only_=True)

    def _overlay(self, lower: str, wanted: Wanted) -> None:
        self._count += 1
        upper, work = f"{self._node}/upper/{self._count}", f"{self._node}/work/{self._count}"
        os.makedirs(upper)
        os.makedirs(work)
        target = self._target(lower)
        os.makedirs(target, exist_ok=True)
        _like(lower, upper)
        for path, is_file in wanted:
            _add(upper, os.path.relpath(path, lower), is_file, model=lower)
        options = f"lowerdir={_escape(lower)},upperdir={upper},workdir={work}"
        # In a user namespace the overlay must keep its marks in user.* attributes. Older kernels
        # do not know the word; without any marks all works but replacing a folder by another.
        problem = OSError()
        for more in (",userxattr", "") if self._locked else ("",):
            try:
                kernel.mount("overlay", target, "overlay", kernel.MS_NODEV, options + more)
            except OSError as error:
                problem = error
            else:
                return
        if lower == "/":
            raise problem
        kernel.bind(lower, target, read_only_=True)

    def _target(self, path: str) -> str:
        return f"{self._node}/root{path}".rstrip("/")

    @staticmethod
    def _is_in(path: str, mounts: Sequence[Mountpoint]) -> bool:
        return any(m.useful and (path == m.path or _is_below(path, m.path)) for m in mounts)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/") and path != folder


def _escape(path: str) -> str:
    if "," in path:
        raise OSError(f"a comma in the mount point {path}")
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _like(model: str, path: str) -> None:
    """Mode and, where we may, owner of ``model``."""
    seen = os.stat(model)
    with contextlib.suppress(OSError):
        os.chown(path, seen.st_uid, seen.st_gid)
    os.chmod(path, stat.S_IMODE(seen.st_mode) | stat.S_IRWXU)


def _add(top: str, inside: str, is_file: bool, *, model: str = "") -> None:
    """Let ``inside`` exist below ``top``; with ``model`` the folders made look like its own."""
    *parents, last = [part for part in inside.split("/") if part not in ("", ".")] or [""]
    up, low = top, model.rstrip("/")
    for part in parents if is_file else [*parents, last]:
        up, low = f"{up}/{part}", f"{low}/{part}"
        if not os.path.isdir(up):
            os.mkdir(up, 0o755)
            if model and os.path.isdir(low):
                _like(low, up)
    if is_file and not os.path.lexists(f"{up}/{last}") and not os.path.lexists(f"{low}/{last}"):
        _touch(f"{up}/{last}")


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
