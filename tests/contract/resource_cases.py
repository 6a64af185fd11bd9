"""What is limited, and a service that feels it: it says so itself, into a file that it holds open.

The service spins, opens files, holds memory, more or less of it, and tells the time, over and over.
"""

import json
import time
from pathlib import Path

from chaoskit.faults.clock import Clock
from chaoskit.faults.cpu import Cpu
from chaoskit.faults.fd_exhaustion import FdExhaustion
from chaoskit.faults.memory import Memory

WORKER = """
import http.server, json, mmap, os, random, threading, time

def serve():
    handler = http.server.SimpleHTTPRequestHandler
    http.server.ThreadingHTTPServer(("", 8080), handler).serve_forever()

def look(turn):
    wall, cpu = time.monotonic(), time.thread_time()
    while time.thread_time() - cpu < 0.01:
        pass
    slow = (time.monotonic() - wall) / (time.thread_time() - cpu)
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
        closed = False
    except OSError as error:
        closed = error.errno == 24
    with mmap.mmap(-1, random.randint(1, 16) << 20) as memory:
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1
    ahead = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    return {"turn": turn, "slow": slow, "closed": closed, "wall": ahead}

threading.Thread(target=serve, daemon=True).start()
out = os.open("/tmp/felt", os.O_WRONLY | os.O_CREAT, 0o644)
turn, pause = 0, threading.Event()  # time.sleep fails with libfaketime before 0.9.11
while True:
    turn += 1
    os.pwrite(out, json.dumps(look(turn)).ljust(300).encode(), 0)
    pause.wait(0.015)
"""
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime"
CLOCK_ENVIRONMENT = {
    "LD_PRELOAD": f"{FAKETIME}/libfaketime.so.1",
    "FAKETIME_TIMESTAMP_FILE": "/tmp/faketime",
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
BOOT_OFFSET = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)


class Observer:
    """What node a feels, read from outside by its first process."""

    def __init__(self, lab):
        self.lab = lab

    def said(self):
        pid = self.lab.first_pid(self.lab.node("a"))
        try:
            return json.loads(Path(f"/proc/{pid}/root/tmp/felt").read_text())
        except (OSError, ValueError):
            return {}

    def slow(self):
        """A spin takes four times as long as the processor time that it needs: it waits."""
        return self.said().get("slow", 0.0) > 4

    def closed(self):
        return self.said().get("closed", False)

    def ahead(self):
        return self.said().get("wall", 0.0) - BOOT_OFFSET > 1800

    def behind(self):
        return self.said().get("wall", BOOT_OFFSET) - BOOT_OFFSET < -150

    def drifts(self):
        return self.said().get("wall", 0.0) - BOOT_OFFSET > 0.5

    def killed(self):
        """The kernel has ended it for want of memory."""
        return self.lab.identity(self.lab.node("a")) is None

    def tight(self):
        """Its group has less than a megabyte left, by the kernel's count, or that has ended it."""
        pid = self.lab.first_pid(self.lab.node("a"))
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return True
        mine = next((g.split(":")[2] for g in groups if ":memory:" in g), None)
        if mine is not None:
            here = Path(f"/sys/fs/cgroup/memory{mine}")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            here = Path("/sys/fs/cgroup" + next(g[3:] for g in groups if g.startswith("0::")))
            names = ("memory.max", "memory.current")
        limit, used = ((here / name).read_text().strip() for name in names)
        return limit != "max" and int(limit) - int(used) < 1 << 20


CASES = [
    (Cpu(cpus=0.1), "slow"),
    (Cpu.model_validate({"cpus": 0.05, "period": "200ms"}), "slow"),
    (FdExhaustion(), "closed"),
    (Memory.model_validate({"spare": "32m", "fill": True}), "tight"),
    (Memory.model_validate({"spare": "2m"}), "killed"),
    (Clock.model_validate({"jump": "1h"}), "ahead"),
    (Clock.model_validate({"jump": "5m", "way": "behind"}), "behind"),
    (Clock.model_validate({"drift": "80%"}), "drifts"),
]
"""Each with the observation that shows it, and that does not hold without it."""
