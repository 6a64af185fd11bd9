"""The private root of a service, from the inside: what is mounted when it is started.

The tree of ``sandbox_tree`` becomes its root, with a ``/dev``, ``/proc``, ``/sys`` and ``/run``
of its own and the volumes that it asked for. Runs inside the lab: standard library only.
"""

# os.path is quicker to import than pathlib, and knows descriptors.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH113, PTH120, PTH211

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from chaoskit.lab import sandbox_kernel as kernel

__all__ = ["Mounts", "enter_root", "make_tmpfs"]

Mounts = Sequence[Mapping[str, object]]

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus")
_RESOLV = "/etc/resolv.conf"
_PTS = "newinstance,ptmxmode=0666,mode=0620"


def make_tmpfs(target: str, mode: int = 0o755, size: int = 0) -> None:
    """A tmpfs that lives as long as the lab does; ``size`` in bytes, 0 for the kernel's own."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    bound = f",size={size}" if size else ""
    kernel.mount("tmpfs", target, "tmpfs", flags, f"mode={mode:o}{bound}")


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
        elif mount["kind"] in ("bind", "device"):
            yield str(mount["target"]), os.open(str(mount["source"]), flags)


def _mount_one(mount: Mapping[str, object], source: int | None) -> None:
    target = str(mount["target"])
    if source is None:
        os.makedirs(target, exist_ok=True)
        make_tmpfs(target, 0o1777, int(str(mount["size"])))
    elif mount["kind"] == "device":
        # Here and nowhere else, so that it is unmounted when the node is gone, as a disk is.
        os.makedirs(target, exist_ok=True)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount(f"/proc/self/fd/{source}", target, "ext4", flags)
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
