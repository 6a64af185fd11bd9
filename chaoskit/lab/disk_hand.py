"""A hand of ours in the file system of one node: makes it, tries it, fills it up.

A process of its own, so that whatever hangs on a disk that hangs is neither the harness nor a
process of the system under test. What it fills a disk with is a file without a name: nobody in the
node sees it, and the kernel frees its blocks when this process ends, however that comes about. It
ends by itself when its standard input closes.

Orders are JSON lines, one answer each. SIGUSR1 means: give back all space (``disk_state.py``).
Standard library only.
"""

# os.path is quicker to import than pathlib, and knows descriptors.
# ruff: noqa: PTH106, PTH123

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from chaoskit.clock import wait_until
from chaoskit.lab import sandbox_kernel as kernel
from chaoskit.lab.disk_state import show_busy

__all__ = ["main"]

Order = Mapping[str, object]

_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A
_BLKFLSBUF = 0x1261
_INFO = struct.Struct("<QQQQQIIII64s64s32sQQ")
_AUTOCLEAR = 4  # the kernel takes the device down when its last user is gone
_SYS_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_TRIES = 20
_MKFS_S = 60.0
_CHUNK = 1 << 20


class Hand:
    """Works in one folder; holds its file system, so nothing takes it down meanwhile."""

    def __init__(self) -> None:
        self._loop = self._folder = self._ballast = -1
        self._hanging: list[int] = []
        self._orders: dict[str, Callable[[Order], dict[str, object]]] = {
            "make": self._make,
            "enter": self._enter,
            "leave": self._leave,
            "forget": self._forget,
            "look": lambda _: self._space(),
            "try": self._try,
            "fill": self._fill,
        }

    def obey(self, order: Order) -> dict[str, object]:
        """Carry out one order; what goes wrong is the answer."""
        self._reap()
        try:
            return self._orders[str(order["do"])](order)
        except subprocess.SubprocessError as error:
            return {"failed": str(error)}
        except OSError as error:
            said = error.strerror or str(error)
            return {"failed": f"{said}{f' ({error.filename})' if error.filename else ''}"}

    def drain(self) -> None:
        """Give back all space."""
        if self._ballast >= 0:
            os.close(self._ballast)
            self._ballast = -1
        show_busy("hand", busy=False)

    # ------------------------------------------------------------ a new disk

    def _make(self, order: Order) -> dict[str, object]:
        """An empty ext4 on a loop device over a file that another process serves."""
        backing = os.open(str(order["file"]), os.O_RDWR | os.O_CLOEXEC)
        try:
            device = self._attach(backing)
        finally:
            os.close(backing)
        options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        made = subprocess.run(
            ("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", options, device),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_MKFS_S,
            check=False,
        )
        if made.returncode != 0:
            said = " ".join(made.stdout.decode(errors="replace").split())
            raise OSError(f"mkfs.ext4 {device}: {said}")
        self._empty(device)
        number = os.stat(device).st_rdev  # noqa: PTH116 - no pathlib here
        return {"device": device, "number": f"{os.major(number)}:{os.minor(number)}"}

    def _attach(self, backing: int) -> str:
        info = _INFO.pack(*(0,) * 8, _AUTOCLEAR, *(b"",) * 3, 0, 0)
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_TRIES):
                number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
                device = f"/dev/loop{number}"
                fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(
                        fd, _LOOP_CONFIGURE, struct.pack("<II", backing, 0) + info + b"\0" * 64
                    )
                except OSError as error:
                    os.close(fd)
                    if error.errno != errno.EBUSY:  # else somebody else was quicker
                        raise
                    continue
                self._loop = fd
                return device
        finally:
            os.close(control)
        raise OSError("no loop device is free")

    def _empty(self, device: str) -> None:
        """Everybody may write to it, and it holds nothing: programs want an empty folder."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                kernel.unshare(kernel.CLONE_NEWNS)
                kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
                kernel.mount(device, "/mnt", "ext4")
                os.rmdir("/mnt/lost+found")
                os.chmod("/mnt", 0o1777)  # noqa: PTH101, S103 - as /tmp is
                kernel.detach("/mnt")
                status = 0
            except OSError as error:
                os.write(2, f"{error}\n".encode())
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            raise OSError(f"the new file system of {device} could not be mounted")

    # ------------------------------------------------------------ in the node

    def _enter(self, order: Order) -> dict[str, object]:
        """Open the folder as the processes of the node see it, links in its path included."""
        root = os.open(f"/proc/{order['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = os.open("/proc/self/fd/" + str(root), os.O_RDONLY | os.O_CLOEXEC)
            outer = os.fstat(found).st_dev
            os.close(found)
            folder = _open_in_root(root, str(order["path"]))
        finally:
            os.close(root)
        if self._folder >= 0:
            os.close(self._folder)
        self._folder = folder
        inner = os.fstat(folder).st_dev
        return {**self._space(), "own": inner != outer}

    def _leave(self, _: Order) -> dict[str, object]:
        """Hold nothing of the node's files, so that they can be unmounted."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        return {}

    def _forget(self, order: Order) -> dict[str, object]:
        """When nobody has the disk mounted any more, let this kernel keep no block of it either."""
        device, patience = str(order["device"]), float(str(order["patience_s"]))
        alone = wait_until(lambda: _alone(device), within_s=patience, every_s=0.005)
        if alone is None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), device)
        try:
            fcntl.ioctl(alone, _BLKFLSBUF, 0)
        finally:
            os.close(alone)
        return {}

    def _space(self) -> dict[str, object]:
        now = os.fstatvfs(self._folder)
        number = os.fstat(self._folder).st_dev
        held = os.fstat(self._ballast).st_blocks * 512 if self._ballast >= 0 else 0
        return {
            "number": f"{os.major(number)}:{os.minor(number)}",
            "size": now.f_blocks * now.f_frsize,
            "free": now.f_bavail * now.f_frsize,
            "held": held,
        }

    def _fill(self, order: Order) -> dict[str, object]:
        """Hold so much that ``leave`` bytes are free."""
        leave = int(str(order["leave"]))
        if self._ballast < 0:
            self._ballast = self._nameless()
            show_busy("hand", busy=True)
        at = os.fstat(self._ballast).st_size
        piece = int(str(self._space()["free"]))
        while piece >= 4096:
            piece = min(piece, int(str(self._space()["free"])) - leave) // 4096 * 4096
            if piece <= 0:
                break
            try:
                os.posix_fallocate(self._ballast, at, piece)
                at += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2
        return self._space()

    def _try(self, order: Order) -> dict[str, object]:
        """Write so many bytes and have them on the disk, or see that it cannot be done in time."""
        size, patience = int(str(order["bytes"])), float(str(order["patience_s"]))
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os._exit(self._write(size))
        fd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ended = bool(poll.poll(patience * 1000))
        os.close(fd)
        took = time.monotonic() - began
        if not ended:
            self._hanging.append(pid)
            return {"ended": False, "took_s": took, "error": "", "state": _state(pid)}
        number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        error = errno.errorcode.get(number, str(number)) if number else ""
        return {"ended": True, "took_s": took, "error": error, "state": ""}

    def _write(self, size: int) -> int:
        """In a child: the errno of what did not work, 0 if all did."""
        try:
            for fd in (0, 1, 2):
                os.close(fd)
            file = self._nameless()
            while size > 0:
                size -= os.write(file, b"\xa5" * min(size, _CHUNK))
            os.fsync(file)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _nameless(self) -> int:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=self._folder)

    def _reap(self) -> None:
        for pid in list(self._hanging):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self._hanging.remove(pid)


def _open_in_root(root: int, path: str) -> int:
    """A folder by its path with ``root`` as the root, wherever links in the path lead."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    how = struct.pack("<QQQ", flags, 0, _RESOLVE_NO_MAGICLINKS | _RESOLVE_IN_ROOT)
    fd = libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_char_p(how),
        ctypes.c_size_t(len(how)),
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(fd)


def _alone(device: str) -> int | None:
    """A descriptor that nobody shares; None while a file system is on it, wherever mounted."""
    try:
        return os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    return None


def _state(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
        return chr(stat[stat.rindex(b")") + 2])
    return ""


def main() -> int:
    """Obey until the orders end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness decides what ends when
    hand = Hand()
    signal.signal(signal.SIGUSR1, lambda *_: hand.drain())
    show_busy("hand", busy=False)
    for line in sys.stdin.buffer:
        answer = hand.obey(json.loads(line))
        os.write(1, json.dumps(answer).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
