"""The far end of a disk: a device whose every request this process answers, as late as it is told.

One file, offered to the kernel over FUSE, lies behind a loop device (``disk_hand.py``) that carries
the file system of a node. Blocks are kept in memory. Requests are answered in the order in which
they came: at once, after a latency and at a rate, or not at all until further notice. What was
written since the last flush is known, and can be forgotten as by a loss of power. Nothing
outlives this process: when it ends, however that comes about, the kernel fails whatever waits, and
nobody is left hanging. It ends by itself when its standard input closes.

A process of its own, standard library only. It must hold nothing that lies on its own disk, or the
kernel would wait for it to end while it waits for the kernel. Orders are JSON lines, one answer
each; SIGUSR1 means: answer everything at once from now on. Whether it holds anything up stands in
the name of the process, where everybody can read it (``disk_state.py``).
"""

# os.path is quicker to import than pathlib.
# ruff: noqa: PTH118

from __future__ import annotations

import errno
import json
import os
import select
import signal
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaoskit.lab import sandbox_kernel as kernel
from chaoskit.lab.disk_state import show_busy

__all__ = ["FOLDER", "main"]

FOLDER = "/run"
"""Covered by a tmpfs, in this process's own view: the device's file lies here."""

_LARGEST = 1 << 20  # bytes of one request
_BLOCK = 4096
_IN = struct.Struct("<IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, extensions
_OUT = struct.Struct("<IiQ")
_READ_IN = struct.Struct("<QQIIQII")  # handle, offset, size, flags, owner, flags, padding
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS = 3, 4, 14, 15, 16, 17
_RELEASE, _FSYNC, _FLUSH, _INIT = 18, 20, 25, 26
_FORGET, _INTERRUPT, _DESTROY, _BATCH_FORGET = 2, 36, 38, 42
_NO_ANSWER = (_FORGET, _INTERRUPT, _BATCH_FORGET)
_HELD = (_READ, _WRITE, _FSYNC)  # the rest is not the device's business
_FLAGS = 1 | 1 << 5 | 1 << 22  # reads side by side, writes above a page, more pages than 32
_DIRECT = 1  # past the kernel's page cache: what the file system asks for is what comes here
_FOREVER_S = 3600


@dataclass(frozen=True)
class Pace:
    """How requests are answered. ``rate`` is bytes a second, 0 for no limit."""

    stalled: bool = False
    latency_s: float = 0.0
    rate: float = 0.0

    def sound(self) -> bool:
        """Whether nothing is held up."""
        return not (self.stalled or self.latency_s or self.rate)


@dataclass(frozen=True)
class _Request:
    opcode: int
    unique: int
    payload: bytes
    came: float


class Device:
    """The file of ``size`` bytes behind ``fuse``, an open ``/dev/fuse``."""

    def __init__(self, fuse: int, size: int) -> None:
        self._fuse, self._size = fuse, size
        self._blocks = os.memfd_create("chaoskit-disk", os.MFD_CLOEXEC)
        os.ftruncate(self._blocks, size)
        self._pace = Pace()
        self._waiting: deque[_Request] = deque()
        self._free = 0.0  # when the device has finished what it was given so far
        self._before: dict[int, bytes] = {}  # what the blocks held at the last flush
        self._powered = True  # else nothing that is written or flushed will last
        self.answered = 0

    def set_pace(self, pace: Pace) -> None:
        """From now on; also for whatever waits."""
        self._pace, self._free = pace, time.monotonic()
        show_busy("disk", busy=not pace.sound())

    def waiting(self) -> int:
        """Requests that came and were not answered."""
        return len(self._waiting)

    def cut_power(self) -> None:
        """From now on nothing lasts, and nothing is answered until ``set_pace``."""
        self._powered = False
        self.set_pace(Pace(stalled=True))

    def restore_power(self) -> int:
        """Be as at the last flush before the cut; bytes that are forgotten. Idempotent."""
        if self._powered:
            return 0
        changed, before, self._before = 0, self._before, {}
        for number, block in before.items():
            changed += os.pread(self._blocks, _BLOCK, number * _BLOCK) != block
            os.pwrite(self._blocks, block, number * _BLOCK)
        self.let_go()
        return changed * _BLOCK

    def let_go(self) -> None:
        """Hold up nothing any more, and have power; who has it mounted goes on as if it had."""
        self._powered = True
        self.set_pace(Pace())

    def due_in(self) -> float | None:
        """Seconds until something is to be answered; None: nothing is."""
        if not self._waiting or self._pace.stalled:
            return None
        return max(0.0, self._due(self._waiting[0]) - time.monotonic())

    def take(self) -> bool:
        """Take in one request of the kernel's; False when the kernel has let go of the device."""
        try:
            data = os.read(self._fuse, _LARGEST + 8192)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT)
        length, opcode, unique, *_ = _IN.unpack_from(data)
        request = _Request(opcode, unique, data[_IN.size : length], time.monotonic())
        if opcode in _NO_ANSWER:
            return True
        if opcode in _HELD:
            self._waiting.append(request)
        else:
            self._answer(request)
        return bool(opcode != _DESTROY)

    def answer_due(self) -> None:
        """Answer, in their order, those whose time has come."""
        while self.due_in() == 0.0:
            request = self._waiting.popleft()
            self._free = self._due(request) - self._pace.latency_s
            self._answer(request)
            self.answered += 1

    def _due(self, request: _Request) -> float:
        """The device handles one after the other, and each answer is on its way for a while."""
        begun = max(self._free, request.came)
        spent = _bytes_of(request) / self._pace.rate if self._pace.rate else 0.0
        return begun + spent + self._pace.latency_s

    def _answer(self, request: _Request) -> None:
        act = self._acts.get(request.opcode)
        try:
            body = act(self, request.payload) if act else None
            failed = errno.ENOSYS if act is None else 0
        except OSError as error:
            body, failed = None, error.errno or errno.EIO
        body = body or b""
        head = _OUT.pack(_OUT.size + len(body), -failed, request.unique)
        try:
            os.writev(self._fuse, (head, body))
        except OSError as error:
            if error.errno != errno.ENOENT:  # nobody waits for it any more
                raise

    # ------------------------------------------------------------ what the kernel may ask

    def _init(self, payload: bytes) -> bytes:
        major, _, readahead, offered = struct.unpack_from("<IIII", payload)
        del major
        return _INIT_OUT.pack(
            *(7, 31, readahead, _FLAGS & offered, 64, 48, _LARGEST, 1, _LARGEST // 4096, 0, 0)
        )

    def _attributes(self, _: bytes) -> bytes:
        mode = 0o100600
        attributes = _ATTR.pack(
            *(1, self._size, self._size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
        )
        return struct.pack("<QII", _FOREVER_S, 0, 0) + attributes

    def _open(self, _: bytes) -> bytes:
        return struct.pack("<QII", 0, _DIRECT, 0)

    def _read(self, payload: bytes) -> bytes:
        _, offset, size, *_ = _READ_IN.unpack_from(payload)
        return os.pread(self._blocks, size, offset)

    def _write(self, payload: bytes) -> bytes:
        _, offset, size, *_ = _READ_IN.unpack_from(payload)
        for number in range(offset // _BLOCK, -(-(offset + size) // _BLOCK)):
            if number not in self._before:
                self._before[number] = os.pread(self._blocks, _BLOCK, number * _BLOCK)
        written = os.pwrite(self._blocks, payload[_READ_IN.size : _READ_IN.size + size], offset)
        return struct.pack("<II", written, 0)

    def _flushed(self, _: bytes) -> bytes:
        if self._powered:
            self._before.clear()
        return b""

    def _statfs(self, _: bytes) -> bytes:
        return struct.pack("<QQQQQIIII24x", self._size // 4096, 0, 0, 1, 0, 4096, 255, 4096, 0)

    def _nothing(self, _: bytes) -> bytes:
        return b""

    _acts: Mapping[int, Callable[[Device, bytes], bytes]] = {
        _INIT: _init,
        _GETATTR: _attributes,
        _SETATTR: _attributes,
        _OPEN: _open,
        _READ: _read,
        _WRITE: _write,
        _STATFS: _statfs,
        _FSYNC: _flushed,
        _FLUSH: _nothing,
        _RELEASE: _nothing,
        _DESTROY: _nothing,
    }


def _bytes_of(request: _Request) -> int:
    return 0 if request.opcode == _FSYNC else int(_READ_IN.unpack_from(request.payload)[2])


def _mounted(name: str) -> int:
    """``/dev/fuse``, with the file ``FOLDER/name`` behind it in a mount namespace of our own."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.forget_disks()
    kernel.mount("tmpfs", FOLDER, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=700")
    path = os.path.join(FOLDER, name)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    options = f"fd={fuse},rootmode=100600,user_id={os.geteuid()},group_id={os.getegid()}"
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("chaoskit", path, "fuse", flags, options)
    return fuse


def main(name: str, size: int) -> int:
    """Be the device until the orders end. ``name`` is that of its file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness decides what ends when
    show_busy("disk", busy=False)
    fuse = _mounted(name)
    device = Device(fuse, size)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGUSR1, lambda *_: device.let_go())
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    for fd in (fuse, 0, woken):
        poll.register(fd, select.POLLIN)
    _say({"ready": True})
    orders = b""
    while True:
        due = device.due_in()
        ready = dict(poll.poll(None if due is None else due * 1000))
        if woken in ready:
            os.read(woken, 4096)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return 0
            *lines, orders = (orders + data).split(b"\n")
            for line in lines:
                _obey(device, json.loads(line))
        if fuse in ready and not device.take():
            return 0
        device.answer_due()


def _obey(device: Device, order: Mapping[str, object]) -> None:
    forgotten = 0
    match order.get("do"):
        case "pace":
            stalled, latency, rate = (order.get(key) for key in ("stalled", "latency_s", "rate"))
            device.set_pace(Pace(bool(stalled), float(str(latency or 0)), float(str(rate or 0))))
        case "cut":
            device.cut_power()
        case "restore":
            forgotten = device.restore_power()
    _say({"waiting": device.waiting(), "answered": device.answered, "forgotten": forgotten})


def _say(message: Mapping[str, object]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
