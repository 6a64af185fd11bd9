"""How far one load process carries the comb: lateness, processor time, slots not sent.

    python benchmarks/bench_comb.py [seconds] [rate ...]

Each rate is asked of a tiny server on loopback as half writes and half reads on kept connections;
then of the same server while it is stopped and answers nobody, when each request needs a socket of
its own until it times out.
Read ratios, not digits: both processes share the machine with whatever else runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from chaoskit.history.records import REQUEST, Outcome

SERVER = r"""
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\r\nX-Chaoskit-Node: a\r\nX-Chaoskit-Epoch: 1\r\n" \
         b"Content-Length: 25\r\n\r\n" + b'{"value": 7, "version":2}'
class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
SILENT_S = 1.0  # as long as what the server's queue of connections holds at 1,000 requests a second
TICKS = os.sysconf("SC_CLK_TCK")
LISTENER = """
import locust
from chaoskit.load.users.http_kv import HttpKv
locust.events.request.add_listener(lambda **event: None)
class Heard(HttpKv):
    pass
"""


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(
    port: int, rate: float, seconds: float, folder: Path, options: dict[str, str], silence: int = 0
) -> str:
    """One run, as a line of the table. ``silence``: the process to stop meanwhile."""
    child = subprocess.Popen(
        [sys.executable, "-m", "chaoskit.load.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def tell(message: object) -> None:
        child.stdin.write(json.dumps(message).encode() + b"\n")
        child.stdin.flush()

    common = {"connections": "kept", "deadline_ns": 10**8, "timeout_ns": 2 * 10**8}
    streams = [{"name": op, "op": op, "rate": rate / 2, **common} for op in ("write", "read")]
    place = {"node": "a", "url": f"http://127.0.0.1:{port}"}
    raw = folder / "requests.raw"
    files = {"requests": str(raw), "strings": str(folder / "s"), "final": str(folder / "f")}
    asked = {"user": "http-kv", "options": options, "endpoints": [place], "streams": streams}
    tell(asked | files)
    child.stdout.readline()
    tell({"do": "start", "at_ns": time.monotonic_ns() + 10**8})
    time.sleep(0.5)  # it starts in a tenth of that, and then runs smoothly
    if silence:
        os.kill(silence, signal.SIGSTOP)
    before, began_ns = cpu_s(child.pid), time.monotonic_ns()
    time.sleep(seconds)
    ended_ns, spent = time.monotonic_ns(), cpu_s(child.pid) - before
    if silence:
        os.kill(silence, signal.SIGCONT)
    tell({"do": "stop"})
    while b"stopped" not in child.stdout.readline():
        pass
    child.stdin.close()
    child.wait()
    child.stdout.close()
    rows = np.fromfile(raw, dtype=REQUEST)
    rows = rows[(rows["due_ns"] >= began_ns) & (rows["due_ns"] < ended_ns)]
    sent = rows[rows["sent_ns"] > 0]
    late = np.percentile(sent["sent_ns"] - sent["due_ns"], [50, 99, 100]) / 1e6
    good = (rows["outcome"] == Outcome.OK).mean()
    return (
        f"{rate:8.0f} {len(sent) / seconds:9.0f} {late[0]:8.2f} {late[1]:8.2f} {late[2]:8.2f} "
        f"{1e6 * spent / len(sent):9.0f} {spent / seconds:6.2f} "
        f"{(rows['outcome'] == Outcome.NOT_SENT).mean():8.1%} {good:7.1%}"
    )


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    rates = [float(r) for r in sys.argv[2:]] or [200.0, 1000.0, 2000.0, 5000.0, 10000.0]
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    print("    rate    sent/s  late50   late99  lateMax  CPU us/r  cores not sent    good")
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for rate in rates:
                print(measure(port, rate, seconds, folder, {}))
            print("while the server is stopped and answers nobody:")
            for rate in rates:
                print(measure(port, rate, min(seconds, SILENT_S), folder, {}, server.pid))
            file = folder / "heard.py"
            file.write_text(LISTENER)
            print("with somebody listening to Locust's request event:")
            print(measure(port, 1000.0, seconds, folder, {"locustfile": str(file)}))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


if __name__ == "__main__":
    main()
