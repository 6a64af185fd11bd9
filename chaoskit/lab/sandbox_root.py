"""The private root of a service: the host's own files, none of which it can change.

An overlay over ``/`` whose upper layer lives on a tmpfs of the lab, one more for each further
file system of the host, and a ``/dev``, ``/proc``, ``/sys`` and ``/run`` of its own. The overlay
belongs to the node, so what a service wrote is there again when it is started again, and gone
with the lab. Runs inside the lab: standard library only.
"""

# os.path is quicker to import than pathlib, and knows descriptors.
# ruff: noqa: PTH101, PTH102, PTH103, PTH110, PTH112, PTH113, PTH116, PTH120, PTH123, PTH211

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chaoskit.lab import sandbox_kernel as kernel

__all__ = ["Mounts", "enter_root", "make_root", "make_tmpfs", "submounts"]

Mounts = Sequence[Mapping[str, object]]

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
# An unprivileged lab cannot change the host's folders even in the overlay: these are made its own.
_WRITABLE = ("/etc", "/home", "/mnt", "/opt", "/srv", "/var", "/var/cache", "/var/lib", "/var/log")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus")


def make_tmpfs(target: str, mode: int = 0o755) -> None:
    """A tmpfs that lives as long as the lab does."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", target, "tmpfs", flags, f"mode={mode:o}")


def submounts(mountinfo: str, hide: Iterable[str]) -> list[str]:
    """Mount points of real file systems other than ``/``, from ``/proc/self/mountinfo``.

    Those at or below a path of ``hide`` are left out, as are pseudo file systems.
    """
    found: list[str] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), before.split()[4])
        covered = any(point == h or point.startswith(h + "/") for h in hide)
        if point != "/" and not covered and after.split()[0] not in _PSEUDO and point not in found:
            found.append(point)
    return sorted(found)


def make_root(
    base: str, node: str, targets: Sequence[Mapping[str, object]], *, writable: bool
) -> None:
    """Mount ``<node>/root``. ``targets`` are mount points that must exist in it.

    ``base`` is the lab's tmpfs, which no service sees. With ``writable`` the usual folders of a
    system belong to the lab's user.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = submounts(file.read(), (*_OWN, *_USELESS, base))
    wanted = [(os.path.realpath(str(t["path"])), t["kind"] == "file") for t in targets]
    if writable:
        wanted += [(folder, False) for folder in _WRITABLE if os.path.isdir(folder)]
    root = f"{node}/root"
    _overlay("/", node, "0", root, [w for w in wanted if _home(w[0], points) == "/"])
    for number, point in enumerate(points, 1):
        here = [w for w in wanted if _home(w[0], points) == point]
        # A file system that this user cannot look into is one that the service does not need.
        with contextlib.suppress(OSError):
            if os.path.isdir(point):
                _overlay(point, node, str(number), root + point, here)
            elif point not in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
                kernel.bind(point, root + point, read_only_=True)


def _home(path: str, points: Sequence[str]) -> str:
    """The mount point that ``path`` lies in."""
    inside = [p for p in points if path == p or path.startswith(p + "/")]
    return max(inside, key=len, default="/")


def _overlay(
    lower: str, node: str, name: str, target: str, wanted: Sequence[tuple[str, bool]]
) -> None:
    upper, work = f"{node}/upper/{name}", f"{node}/work/{name}"
    os.makedirs(upper)
    os.makedirs(work)
    os.makedirs(target, exist_ok=True)
    _like(lower, upper)
    for path, is_file in wanted:
        _add(lower, upper, path, is_file)
    options = f"lowerdir={_escape(lower)},upperdir={upper},workdir={work}"
    flags = kernel.MS_NODEV
    # In a user namespace the overlay must keep its marks in user.* attributes; older kernels do
    # not know the word, and without any marks it works as well, except for replacing folders.
    for more in ("", ",userxattr") if os.geteuid() == 0 and _really_root() else (",userxattr", ""):
        try:
            kernel.mount("overlay", target, "overlay", flags, options + more)
        except OSError as error:
            problem = error
        else:
            return
    if lower == "/":
        raise problem
    kernel.bind(lower, target, read_only_=True)


def _really_root() -> bool:
    """Whether root here is root of the machine: all user ids are mapped to themselves."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() == ["0", "0", "4294967295"]


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


def _add(lower: str, upper: str, path: str, is_file: bool) -> None:
    """Let ``path`` exist in an upper layer, its parents looking like those below."""
    inside = os.path.relpath(path, lower)
    if inside == ".":
        return
    *parents, last = inside.split("/")
    low, up = lower.rstrip("/"), upper
    for part in parents if is_file else [*parents, last]:
        low, up = f"{low}/{part}", f"{up}/{part}"
        if not os.path.isdir(up):
            os.mkdir(up, 0o755)
            if os.path.isdir(low):
                _like(low, up)
    if is_file and not os.path.lexists(f"{low}/{last}"):
        os.close(os.open(f"{up}/{last}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


# ---------------------------------------------------------------- in the service's own namespaces


def enter_root(node: str, mounts: Mounts, volumes: str) -> None:
    """Become a process whose root is the node's, with everything mounted that it asked for.

    Called in new mount and PID namespaces, as PID 1, before the service's program is executed.
    """
    sources = dict(_open_sources(node, mounts, volumes))
    devices = {name: os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC) for name in _DEVICES}
    old = kernel.pivot(f"{node}/root")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", flags)
    _mount_sys(old, flags)
    _mount_dev(devices)
    make_tmpfs("/run")
    for fd, target in ((sources.pop("hosts"), "/etc/hosts"), (sources.pop("dns"), _RESOLV)):
        if os.path.isfile(target):
            kernel.bind(f"/proc/self/fd/{fd}", target)
    for mount in sorted(mounts, key=lambda m: str(m["target"])):
        _mount_one(mount, sources.get(str(mount["target"])))
    for name in _PROC_READ_ONLY:
        with contextlib.suppress(FileNotFoundError):
            kernel.bind(f"/proc/{name}", f"/proc/{name}", recursive=True, read_only_=True)
    kernel.forget(old)


_RESOLV = "/etc/resolv.conf"


def _open_sources(node: str, mounts: Mounts, volumes: str) -> Iterator[tuple[str, int]]:
    flags = os.O_PATH | os.O_CLOEXEC
    yield "hosts", os.open(f"{node}/hosts", flags)
    yield "dns", os.open(f"{node}/resolv.conf", flags)
    for mount in mounts:
        if mount["kind"] == "volume":
            path = f"{volumes}/{mount['source']}"
            if not os.path.isdir(path):
                os.makedirs(path)
                os.chown(path, int(str(mount["uid"])), int(str(mount["gid"])))
            yield str(mount["target"]), os.open(path, flags)
        elif mount["kind"] == "bind":
            yield str(mount["target"]), os.open(str(mount["source"]), flags)


def _mount_one(mount: Mapping[str, object], source: int | None) -> None:
    target = str(mount["target"])
    if source is None:
        os.makedirs(target, exist_ok=True)
        make_tmpfs(target, 0o1777)
    else:
        path = f"/proc/self/fd/{source}"
        if os.path.isdir(path):
            os.makedirs(target, exist_ok=True)
        elif not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        kernel.bind(path, target, recursive=True)
    if mount["read_only"]:
        kernel.read_only(target, recursive=True)


def _mount_sys(old: int, flags: int) -> None:
    """The node's own view of ``/sys`` (its network devices), or the host's; never writable."""
    try:
        kernel.mount("sysfs", "/sys", "sysfs", flags | kernel.MS_RDONLY)
    except OSError:
        source = f"/proc/self/fd/{os.open('sys', os.O_PATH | os.O_CLOEXEC, dir_fd=old)}"
        kernel.bind(source, "/sys", recursive=True, read_only_=True)


def _mount_dev(devices: Mapping[str, int]) -> None:
    make_nodes = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("tmpfs", "/dev", "tmpfs", make_nodes, "mode=755")
    for name, fd in devices.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        kernel.bind(f"/proc/self/fd/{fd}", f"/dev/{name}")
        os.close(fd)
    for name, to in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{to}", f"/dev/{name}")
    for name, kind, options in (("shm", "tmpfs", "mode=1777"), ("pts", "devpts", _PTS)):
        os.mkdir(f"/dev/{name}", 0o755)
        # Few programs want a terminal, and some kernels refuse one in a user namespace.
        with contextlib.suppress(OSError):
            kernel.mount(kind, f"/dev/{name}", kind, kernel.MS_NOSUID | kernel.MS_NODEV, options)
    os.symlink("pts/ptmx", "/dev/ptmx")


_PTS = "newinstance,ptmxmode=0666,mode=0620"
