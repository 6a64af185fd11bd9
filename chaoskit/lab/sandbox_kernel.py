"""System calls that Python 3.11 has no function for. Runs inside the lab: standard library only.

Failures are ``OSError`` with a message that says what was attempted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform

__all__ = [
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUTS",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "bind",
    "detach",
    "drop_capabilities",
    "forget",
    "mount",
    "pivot",
    "read_only",
    "setns",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 32, 4096, 16384
MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_PR_CAPBSET_DROP = 24
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
# pivot_root has no libc wrapper.
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_ST_FLAGS = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC}

# What reaches beyond the lab: the host's modules, disks, clock, log, power and mounts. Services
# keep everything else, NET_ADMIN of their own network namespace included.
_CAPABILITIES_TO_DROP = {
    "SYS_MODULE": 16,
    "SYS_RAWIO": 17,
    "SYS_ADMIN": 21,
    "SYS_BOOT": 22,
    "SYS_TIME": 25,
    "MKNOD": 27,
    "MAC_OVERRIDE": 32,
    "MAC_ADMIN": 33,
    "SYSLOG": 34,
}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of ``flags`` for new ones (PID: for children to come)."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(fd: int, kind: int = 0) -> None:
    """Enter the namespace that ``fd`` is open on (PID: for children to come)."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """``mount(2)``; an empty ``fstype`` or ``options`` is passed as NULL."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        fstype.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount {fstype or 'bind'} {source} on {target}")


def forget_disks() -> None:
    """In a mount namespace of our own: do not keep disks mounted that are those of other labs."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        points = [line.split()[4] for line in file]
    for point in points:
        if "chaoskit-disk-" in point:  # volumes of the Docker lab
            with contextlib.suppress(OSError):
                detach(point)


def bind(source: str, target: str, *, recursive: bool = False, read_only_: bool = False) -> None:
    """Let ``target`` be ``source``; with ``recursive`` also what is mounted below it."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))
    if read_only_:
        read_only(target, recursive=recursive)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def read_only(target: str, *, recursive: bool = False) -> None:
    """Make a mount of ours read-only, as seen through this mount and not through others."""
    attributes = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(-1),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    if result == 0:
        return
    # Before Linux 5.12: the flags that are locked must be given again, or the kernel says EPERM.
    have = os.statvfs(target).f_flag
    kept = sum(flag for st, flag in _ST_FLAGS.items() if have & st)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def pivot(new_root: str) -> int:
    """Make ``new_root`` the root; the old one stays mounted, unseen, under the returned file.

    Until ``forget`` is called on it, files of the old root that are held open can be bound.
    """
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root: its number on {platform.machine()} is not known")
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir(new_root)
    # The old root is put over the new one: that needs no folder, and one umount uncovers it.
    result = _libc.syscall(ctypes.c_long(number), b".", b".")
    _check(result, f"pivot_root to {new_root}")
    os.chdir("/")
    return old


def forget(old_root: int) -> None:
    """Detach what ``pivot`` has left: from here on nothing of the host can be reached."""
    os.fchdir(old_root)
    os.close(old_root)
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def detach(target: str) -> None:
    """Unmount ``target`` and whatever is mounted below it."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount of {target}")


def drop_capabilities() -> None:
    """Give up, for this process and all it starts, what could change the host itself."""
    for name, number in _CAPABILITIES_TO_DROP.items():
        _check(_libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0), f"dropping {name}")
