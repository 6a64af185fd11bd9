"""What one recorded request costs: our comb, Locust's stock FastHttpUser, and the recording itself.

    python benchmarks/bench_client.py [seconds]

The two clients take turns in one run against the same tiny server, so that the ratio means
something on a machine that does other work. Both are asked for 5,000 requests a second;
FastHttpUser by 50 users with its stock pacing and statistics, which comes to as many as it can.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_comb import SERVER, measure

from chaoskit.history.history import Stream
from chaoskit.load.recorder import Recorder

STOCK = """
from gevent import monkey; monkey.patch_all()
import sys, time
import gevent
from locust import FastHttpUser, constant_throughput, task
from locust.env import Environment
class Stock(FastHttpUser):
    host = sys.argv[1]
    wait_time = constant_throughput(100)
    @task
    def ask(self):
        self.client.get("/")
environment = Environment(user_classes=[Stock])
runner = environment.create_local_runner()
runner.start(50, spawn_rate=50)
gevent.sleep(1.5)
total = environment.stats.total
count, began = total.num_requests, time.process_time()
gevent.sleep(float(sys.argv[2]))
spent, count = time.process_time() - began, total.num_requests - count
assert total.num_failures == 0, total.num_failures
runner.quit()
print(1e6 * spent / count)
"""
ROUNDS = 3


def stock_us(port: int, seconds: float) -> float:
    """Processor time of a request of FastHttpUser, microseconds."""
    ran = subprocess.run(
        [sys.executable, "-c", STOCK, f"http://127.0.0.1:{port}", str(seconds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(ran.stdout.splitlines()[-1])


def recording_us(folder: Path, count: int = 100_000) -> float:
    """Processor time of recording a request, flushes included, microseconds."""
    stream = Stream("write", "write", 5000.0, "kept", 10**8, 2 * 10**8)
    recorder = Recorder(folder / "r", folder / "s", ["client"], [stream])
    began = time.process_time()
    for n in range(count):
        recorder.add(
            due_ns=n,
            sent_ns=n,
            done_ns=n,
            op=1,
            outcome=1,
            stream=0,
            token=n,
            server="a",
            attempt=1,
        )
        if n % 500 == 0:
            recorder.flush()
    return 1e6 * (time.process_time() - began) / count


def main() -> None:
    """Print the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    ours: list[float] = []
    stock: list[float] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for _ in range(ROUNDS):
                line = measure(port, 5000.0, seconds, folder, {})
                ours.append(float(line.split()[5]))
                print(f"comb: {line}")
                stock.append(stock_us(port, seconds))
            recording = recording_us(folder)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    mine, theirs = statistics.median(ours), statistics.median(stock)
    print(f"CPU per request: comb {mine:.0f} us, FastHttpUser {theirs:.0f} us: {mine / theirs:.2f}")
    print(f"recording: {recording:.2f} us, {recording / mine:.1%} of a request of the comb")


if __name__ == "__main__":
    main()
