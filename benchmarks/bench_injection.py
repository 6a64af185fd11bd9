"""How long a fault takes from command to proof, by fault, lab and stage.

    python benchmarks/bench_injection.py [run directory ...]

Reads the marks of runs that are stored already; without one named, the stored example.
Milliseconds since the command: acknowledged (the order was carried out), verified (read back from
the kernel or engine), bitten (an independent connection felt it); and of the heal, since it was
commanded: healed (read back), felt (connections work again). Median and worst over the trials.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stored import runs, spread

from chaoskit.history.history import FaultRecord
from chaoskit.history.reader import read_trial

STAGES = ("acknowledged", "verified", "bitten", "healed", "felt")
MOST_MS = 20.0  # promised for the sandbox lab: commanded to verified
PROMISED = ("kill", "partition")


def stages(fault: FaultRecord) -> dict[str, float]:
    """Seconds of the stages that this fault reached."""
    back = fault.heal_commanded_ns
    ends = {
        "acknowledged": (fault.commanded_ns, fault.acknowledged_ns),
        "verified": (fault.commanded_ns, fault.verified_ns),
        "bitten": (fault.commanded_ns, fault.bitten_ns),
        "healed": (back, fault.healed_ns),
        "felt": (back, fault.felt_healed_ns),
    }
    return {
        stage: (end - start) / 1e9
        for stage, (start, end) in ends.items()
        if start is not None and end is not None
    }


def collected(folder: Path) -> dict[tuple[str, str], list[float]]:
    """Seconds by fault and stage, over the trials of a run."""
    found: dict[tuple[str, str], list[float]] = {}
    for trial in sorted(p for p in (folder / "trials").iterdir() if (p / "marks.jsonl").exists()):
        for fault in read_trial(trial).faults:
            for stage, seconds in stages(fault).items():
                found.setdefault((fault.fault, stage), []).append(seconds)
    return found


def main() -> None:
    """Print a table, and whether what is promised was kept."""
    together: dict[tuple[str, str, str], list[float]] = {}
    for folder, result in runs(sys.argv[1:]):
        for (fault, stage), seconds in collected(folder).items():
            together.setdefault((result["lab"], fault, stage), []).extend(seconds)
    print(f"{'lab':10} {'fault':12} {'stage':14} {'trials':>6} {'median ms':>10} {'worst ms':>10}")
    for (lab, fault, stage), seconds in together.items():
        line = f"{lab:10} {fault:12} {stage:14} {len(seconds):6d} {spread(seconds, 1e-3)}"
        if lab == "sandbox" and fault in PROMISED and stage == "verified":
            kept = "kept" if max(seconds) * 1000 <= MOST_MS else "MISSED"
            line += f"  at most {MOST_MS:g} ms: {kept}"
        print(line)


if __name__ == "__main__":
    main()
