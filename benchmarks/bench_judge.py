"""What judging a stored run costs as it grows: time, peak memory, size of the report.

    python benchmarks/bench_judge.py [--full] [--shuffled] [--apart]

Runs of 1e5 and 1e6 requests, with ``--full`` of 1e7 too (1.2 GB of disk for as long as it takes),
are simulated, stored as a run leaves them, and judged by ``chaoskit judge`` in a process of its
own: what the HTTP load asks with eight clients and eight registers (half of all are reads of a
register, a fifth of the writes puts one, the rest is appended), 10,000 requests a second together,
writers and readers pinned to each node beside them, one outage of a second, three final reads.
``--shuffled`` stores the records in no order at all instead of the order in which
the answers came, which is the worst that can happen to a cache; ``--apart`` takes every thousandth
write from one node, so that what nodes hold has to be compared one by one. Growth is linear where
each further request costs as much in a long run as in a short one; a short one's difference is
mostly noise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from chaoskit.history.simulated import Scenario, simulate, store

ROOT = Path(__file__).resolve().parent.parent
RATE = 2500.0  # of each comb
PINNED = 50.0  # of each writer and reader that asks one node, of which there are two
REGISTERS = CLIENTS = 8
STREAMS = (
    ("write", "write", "kept"),
    ("read", "read", "kept"),
    ("write/new", "write", "new"),
    ("read/new", "read", "new"),
)
SIZES = (100_000, 1_000_000)
LARGEST = 10_000_000
TRIES = 3  # the machine does other things too: the cheapest counts
MOST_S, MOST_BYTES, MOST_REPORT = 10.0, 2 << 30, 1_000_000  # promised for LARGEST


@dataclass(frozen=True)
class Cost:
    """What one judging took."""

    requests: int
    seconds: float
    cpu_s: float
    peak_bytes: int
    report_bytes: int
    exit_code: int

    def line(self) -> str:
        """A row of the table."""
        return (
            f"{self.requests:10,d} {self.seconds:8.2f} {self.cpu_s:8.2f} "
            f"{self.peak_bytes / 2**20:9.0f} {self.report_bytes / 1000:10.0f} {self.exit_code:5d}"
        )


def make(folder: Path, requests: int, *, shuffled: bool = False, apart: bool = False) -> None:
    """A run directory with one trial of so many requests."""
    length = requests / (len(STREAMS) * RATE + 4 * PINNED)
    around = Scenario(
        rate=RATE,
        baseline_s=length / 2 - 1.0,
        after_s=length / 2 - 0.5,
        streams=STREAMS,
        pinned=PINNED,
        registers=REGISTERS,
        clients=CLIENTS,
    )
    history, _ = simulate(around)
    if not shuffled:
        order = np.argsort(history.requests["done_ns"], kind="stable")
        history = replace(history, requests=history.requests[order])
    if apart:
        held = history.finals["node-b"]
        kept = np.arange(held.tokens.size) % 1000 != 0
        lacking = replace(held, tokens=held.tokens[kept], counts=held.counts[kept])
        history = replace(history, finals={**history.finals, "node-b": lacking})
    store(folder / "trials" / "01", history)
    facts = json.loads((ROOT / "reports" / "example" / "run.json").read_text("utf-8"))
    facts |= {"experiment": "stored", "streams": [asdict(s) for s in history.streams]}
    facts |= {"trials": 1, "band": None}
    kept = [t for t in facts["thresholds"] if not t["text"].startswith("dropped")]  # rate's matter
    facts["thresholds"] = kept
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")


def judge(folder: Path, requests: int) -> Cost:
    """Judge a stored run in a process of its own."""
    code = "import sys; from chaoskit.cli import main; main(['judge', sys.argv[1]])"
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        requests=requests,
        seconds=took,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_bytes=used.ru_maxrss * 1024,
        report_bytes=(folder / "report.html").stat().st_size,
        exit_code=child.returncode,
    )


def stored(folder: Path, requests: int, *, shuffled: bool, apart: bool) -> None:
    """``make`` in a process of its own, so that what it holds is gone before judging begins."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bench_judge; from pathlib import Path;"
        "bench_judge.make(Path(sys.argv[2]), int(sys.argv[3]),"
        "shuffled='shuffled' in sys.argv, apart='apart' in sys.argv)"
    )
    here = str(Path(__file__).resolve().parent)
    asked = [here, str(folder), str(requests)]
    asked += [word for word, so in (("shuffled", shuffled), ("apart", apart)) if so]
    subprocess.run([sys.executable, "-c", code, *asked], check=True)


def main() -> None:
    """Print the table, and whether what is promised was kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="ten million requests too")
    parser.add_argument("--shuffled", action="store_true", help="records in no order at all")
    parser.add_argument("--apart", action="store_true", help="a node lacks every thousandth write")
    asked = parser.parse_args()
    print("  requests  wall s    CPU s  peak MiB  report kB  exit", flush=True)
    costs: list[Cost] = []
    for size in (*SIZES, *((LARGEST,) if asked.full else ())):
        with tempfile.TemporaryDirectory() as name:
            stored(Path(name), size, shuffled=asked.shuffled, apart=asked.apart)
            tried = [judge(Path(name), size) for _ in range(TRIES)]
        costs.append(min(tried, key=lambda cost: cost.cpu_s))
        print(costs[-1].line(), flush=True)
    steps = [
        1e6 * (more.cpu_s - less.cpu_s) / (more.requests - less.requests)
        for less, more in pairwise(costs)
    ]
    print("CPU us for each further request: " + ", ".join(f"{us:.2f}" for us in steps))
    large = costs[-1]
    if asked.full:
        kept = (
            large.seconds <= MOST_S
            and large.peak_bytes <= MOST_BYTES
            and large.report_bytes < MOST_REPORT
        )
        print(
            f"at most {MOST_S:g} s, 2 GiB and 1 MB for ten million: {'kept' if kept else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
