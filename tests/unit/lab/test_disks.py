"""A disk of a node's own: what may be filled up, how the device answers, who lets go of it."""

import socket
import struct
import subprocess
import sys
import time

import pytest

from chaoskit.errors import LabError
from chaoskit.lab import disk_server
from chaoskit.lab.disk_server import Device, Pace
from chaoskit.lab.disk_state import is_busy, release
from chaoskit.lab.disks import bounded, mounted
from chaoskit.lab.ops import ReleaseDisk
from chaoskit.lab.process import identity_of
from chaoskit.lab.sandbox_orders import disk_order, root_order, service_order
from chaoskit.lab.undo import undo_entry
from chaoskit.stack.model import Mount, Service

HOST = "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n30 20 0:30 / /tmp rw - tmpfs tmpfs rw,size=9k"


def inside(line):
    return f"50 1 0:77 / / rw - overlay none rw,lowerdir=/\n{line}"


def test_a_tmpfs_of_the_nodes_own_with_a_size_may_be_filled_up():
    line = "51 50 0:40 / /data rw,nosuid master:1 - tmpfs tmpfs rw,size=65536k,mode=1777"
    (_, found) = mounted(inside(line))
    assert (found.number, found.target, found.kind) == ("0:40", "/data", "tmpfs")
    assert bounded("0:40", inside(line), HOST) is None


@pytest.mark.parametrize(
    ("number", "line", "said"),
    [
        ("0:30", "51 50 0:30 / /data rw - tmpfs tmpfs rw,size=9k", "of this machine"),
        ("8:1", "51 50 8:1 /home /data rw - ext4 /dev/sda1 rw", "of this machine"),
        ("0:40", "51 50 0:40 / /data rw - tmpfs tmpfs rw,mode=755", "no bound"),
        ("0:40", "51 50 0:40 /volumes/x /data rw - tmpfs tmpfs rw,size=9k", "node's own"),
        ("8:9", "51 50 8:9 / /data rw - ext4 /dev/sdb1 rw", "node's own"),
        ("0:41", "51 50 0:40 / /data rw - tmpfs tmpfs rw,size=9k", "node's own"),
    ],
)
def test_everything_else_is_left_alone_and_said_why(number, line, said):
    assert said in bounded(number, inside(line), HOST)


# ---------------------------------------------------------------- the device


@pytest.fixture
def kernel():
    """A device, and the kernel's end of it: a socket that keeps requests apart as FUSE does."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setblocking(False)
    there.setblocking(False)
    with here, there:
        yield here, Device(there.fileno(), 1 << 20)


@pytest.fixture(autouse=True)
def nameless(monkeypatch):
    monkeypatch.setattr(disk_server, "show_busy", lambda *_, **__: None)


_unique = iter(range(1, 1000))


def request(opcode, offset=0, size=0, data=b""):
    body = struct.pack("<QQIIQII", 0, offset, size, 0, 0, 0, 0) + data
    unique = next(_unique)
    head = struct.pack("<IIQQIIIHH", 40 + len(body), opcode, unique, 1, 0, 0, 0, 0, 0)
    return unique, head + body


def send(kernel, *words):
    here, device = kernel
    unique, data = request(*words)
    here.send(data)
    assert device.take()
    return unique


def answers(kernel):
    here, device = kernel
    device.answer_due()
    found = {}
    while True:
        try:
            data = here.recv(1 << 21)
        except BlockingIOError:
            return found
        _, error, unique = struct.unpack_from("<IiQ", data)
        found[unique] = (error, data[16:])


WRITE, READ, FSYNC, GETXATTR = 16, 15, 20, 22


def test_what_was_written_is_read_at_once_by_a_device_that_nobody_holds_up(kernel):
    wrote = send(kernel, WRITE, 4096, 5, b"hello")
    read = send(kernel, READ, 4098, 3)
    synced = send(kernel, FSYNC)
    found = answers(kernel)
    assert found[wrote] == (0, struct.pack("<II", 5, 0))
    assert found[read] == (0, b"llo")
    assert found[synced] == (0, b"")


def test_what_the_device_does_not_know_is_refused_and_not_ignored(kernel):
    asked = send(kernel, GETXATTR)
    assert answers(kernel)[asked][0] == -38  # ENOSYS


def test_a_stalled_device_answers_nothing_until_it_is_let_go_and_then_in_order(kernel):
    _, device = kernel
    device.set_pace(Pace(stalled=True))
    asked = [send(kernel, FSYNC), send(kernel, READ, 0, 8), send(kernel, FSYNC)]
    assert answers(kernel) == {}
    assert (device.waiting(), device.due_in()) == (3, None)
    device.set_pace(Pace())
    assert list(answers(kernel)) == asked
    assert device.waiting() == 0


def test_each_request_of_a_slow_device_waits_for_latency_and_rate(kernel, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(disk_server.time, "monotonic", lambda: now[0])
    _, device = kernel
    device.set_pace(Pace(latency_s=0.5, rate=4096))
    first, second = send(kernel, READ, 0, 4096), send(kernel, READ, 0, 4096)
    assert device.due_in() == pytest.approx(1.5)  # a second for the block, and on its way
    now[0] += 1.49
    assert answers(kernel) == {}
    now[0] += 0.02
    assert list(answers(kernel)) == [first]
    assert device.due_in() == pytest.approx(0.99)  # the next block was begun after the first
    now[0] += 1.0
    assert list(answers(kernel)) == [second]


def kept(kernel):
    read = send(kernel, READ, 0, 8192)
    return answers(kernel)[read][1].replace(b"\0", b"")


def test_without_power_a_device_answers_nothing_and_then_is_as_at_its_last_flush(kernel):
    _, device = kernel
    send(kernel, WRITE, 0, 4, b"kept")
    send(kernel, FSYNC)
    send(kernel, WRITE, 4095, 2, b"xx")  # both blocks
    answers(kernel)
    device.cut_power()
    late = [send(kernel, WRITE, 0, 4, b"late"), send(kernel, FSYNC)]
    assert answers(kernel) == {}
    device.set_pace(Pace())
    assert [found[0] for found in answers(kernel).values()] == [0] * len(late)
    assert kept(kernel) == b"latexx"
    assert device.restore_power() == 2 * 4096
    assert kept(kernel) == b"kept"
    assert device.restore_power() == 0
    send(kernel, WRITE, 0, 4, b"next")
    send(kernel, FSYNC)
    assert kept(kernel) == b"next"


def test_what_was_flushed_before_is_not_forgotten_and_what_was_put_back_is_not_counted(kernel):
    _, device = kernel
    send(kernel, WRITE, 0, 4, b"kept")
    send(kernel, FSYNC)
    send(kernel, WRITE, 0, 4, b"gone")
    send(kernel, WRITE, 0, 4, b"kept")
    answers(kernel)
    device.cut_power()
    assert device.restore_power() == 0
    assert kept(kernel) == b"kept"


def test_a_device_that_is_only_let_go_forgets_nothing_under_those_who_have_it_mounted(kernel):
    _, device = kernel
    send(kernel, WRITE, 0, 4, b"live")
    answers(kernel)
    device.cut_power()
    device.let_go()
    assert kept(kernel) == b"live"
    assert device.restore_power() == 0


def test_a_device_that_the_kernel_has_let_go_of_ends(kernel):
    here, device = kernel
    unique, data = request(38)  # DESTROY
    here.send(data)
    assert not device.take()
    assert list(answers(kernel)) == [unique]


# ---------------------------------------------------------------- letting go

HOLDER = """
import signal, sys
from chaoskit.lab.disk_state import show_busy
if sys.argv[1] == "good":
    signal.signal(signal.SIGUSR1, lambda *_: show_busy("disk", busy=False))
elif sys.argv[1] == "deaf":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
if sys.argv[1] != "other":
    show_busy("disk", busy=True)
print("up", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def holder(request):
    argv = [sys.executable, "-c", HOLDER, request.param]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        process.stdout.read(3)
        yield process
        process.kill()


@pytest.mark.parametrize("holder", ["good"], indirect=True)
def test_who_holds_a_disk_up_lets_go_by_its_undo_and_twice_is_silent(holder, tmp_path):
    from chaoskit.lab.journal import Entry

    who = identity_of(holder.pid)
    assert is_busy(who)
    entry = Entry(1, ReleaseDisk(who.pid, who.starttime, who.boot_id), "fault")
    assert undo_entry(entry, tmp_path).state == "undone"
    assert not is_busy(who)
    assert undo_entry(entry, tmp_path).state == "undone"
    holder.kill()
    holder.wait()
    assert undo_entry(entry, tmp_path).state == "gone"


@pytest.mark.parametrize("holder", ["deaf"], indirect=True)
def test_one_that_does_not_obey_is_said(holder, monkeypatch):
    monkeypatch.setattr("chaoskit.lab.disk_state._WITHIN_S", 0.05)
    with pytest.raises(LabError, match="still holds up"):
        release(identity_of(holder.pid))


@pytest.mark.parametrize("holder", ["other"], indirect=True)
def test_a_process_of_somebody_else_is_not_signalled(holder):
    with pytest.raises(LabError, match="not one that holds up"):
        release(identity_of(holder.pid))
    time.sleep(0.05)
    assert holder.poll() is None  # SIGUSR1 would have ended it


# ---------------------------------------------------------------- in the sandbox's orders


def test_the_disk_takes_the_place_of_what_was_mounted_there():
    labels = {"chaoskit.disk": "/data 64m"}
    mounts = (Mount("/data/", "kept", "volume"), Mount("/etc/x", "/etc/hostname", "bind"))
    service = Service("a", labels, command=("x",), mounts=mounts)
    found = service_order(service, "r1", None)["mounts"]
    assert [(m["target"], m["source"]) for m in found] == [
        ("/etc/x", "/etc/hostname"),
        ("/data", ".disk.a"),
    ]
    targets = root_order(service, locked=False)["targets"]
    assert [one["path"] for one in targets] == ["/etc/x", "/data"]
    assert disk_order(service) == {"volume": ".disk.a", "size": 64 << 20}


def test_a_device_is_mounted_by_the_service_itself():
    service = Service("a", {"chaoskit.disk": "/data 64m"}, command=("x",))
    (found,) = service_order(service, "r1", "/dev/loop7")["mounts"]
    assert (found["kind"], found["source"], found["target"]) == ("device", "/dev/loop7", "/data")
