"""The faults of disks, and a web server that does to its disk what it is asked for.

``GET /N`` writes N KiB to a new file in ``/data``, syncs, and then says so; if that fails it hangs up.
"""

from chaoskit.clock import now_ns
from chaoskit.contracts import OBSERVER
from chaoskit.faults.disk_full import DiskFull
from chaoskit.faults.disk_slow import DiskSlow
from chaoskit.faults.disk_stall import DiskStall
from chaoskit.faults.power_loss import PowerLoss

PORT = 8080
LABEL = {"chaoskit.disk": "/data 32m"}
WRITER = f"""
import http.server, os, tempfile
class Writer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with tempfile.TemporaryFile(dir="/data", buffering=0) as file:
            for _ in range(int(self.path[1:])):
                file.write(b"x" * 1024)
            os.fsync(file.fileno())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"written")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", {PORT}), Writer).serve_forever()
"""
# Asks for one write for each line that it gets, and tells how that went.
ASKER = f"""
import json, socket, sys, time
for line in sys.stdin:
    began, heard = time.monotonic(), b""
    try:
        with socket.create_connection((json.loads(line)["address"], {PORT}), 0.5) as sock:
            sock.settimeout(0.5)
            sock.sendall(b"GET /256 HTTP/1.0\\r\\n\\r\\n")
            while more := sock.recv(4096):
                heard += more
    except OSError:
        pass
    took = time.monotonic() - began
    print(json.dumps({{"written": heard.endswith(b"written"), "took": took}}), flush=True)
"""
SLOW_S = 0.15
CASES = [
    (DiskFull(), False),
    (DiskFull.model_validate({"leave": "128k", "path": "/data"}), False),
    (DiskStall(), False),
    (PowerLoss(), False),
    (DiskSlow.model_validate({"latency": "100ms"}), True),
    (DiskSlow.model_validate({"latency": 0, "rate": "1MB/s"}), True),
]
"""Fault, and whether it slows writes down rather than stop them."""


def name_of(case):
    said = case[0].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return "-".join([case[0].kind, *(f"{key}={value}" for key, value in said.items())])


class Felt:
    """An observer in the lab that asks a node for writes."""

    def __init__(self, lab, node, *, slow):
        self.child = lab.spawn(lab.node(OBSERVER), ["python", "-c", ASKER])
        self.address, self.slow = lab.node(node).address, slow

    def __call__(self):
        asked = now_ns()
        self.child.send({"address": self.address})
        told = self.child.receive(10.0)
        assert told is not None, f"the observer said nothing for {(now_ns() - asked) / 1e9:.1f} s"
        return told["took"] > SLOW_S if self.slow and told["written"] else not told["written"]

    def close(self):
        self.child.close()
