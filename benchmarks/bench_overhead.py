"""What a trial takes around steady state, fault and recovery, by step.

    python benchmarks/bench_overhead.py [run directory ...]

Reads what the engine noted in runs that are stored already; without one named, the stored
example. Seconds: median and worst over the trials.
"""

from __future__ import annotations

import sys
from typing import Any

from stored import runs, spread, trials

MOST_S = {"sandbox": 2.0, "docker": 6.0}  # promised for the reference pair


def steps(result: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of every trial by step, and of all steps together."""
    found: dict[str, list[float]] = {}
    for trial in trials(result):
        spent = trial.get("overhead_s") or {}
        if not spent:
            continue
        for step, seconds in spent.items():
            found.setdefault(step, []).append(seconds)
        found.setdefault("together", []).append(sum(spent.values()))
    return found


def table(result: dict[str, Any]) -> str:
    """One run, as a table."""
    found = steps(result)
    if not found:
        return "no trial of this run noted what it spent"
    together = found.pop("together")
    lines = [f"{step:24} {spread(spent)}" for step, spent in found.items()]
    lines.append(f"{'together':24} {spread(together)}")
    most = MOST_S.get(result["lab"])
    if most is not None:
        kept = "kept" if max(together) <= most else "MISSED"
        lines.append(f"at most {most:g} s in the {result['lab']} lab: {kept}")
    return "\n".join(lines)


def main() -> None:
    """Print a table for each run."""
    for _, result in runs(sys.argv[1:]):
        print(f"{result['experiment']}, {result['lab']} lab, {len(result['trials'])} trials")
        print(f"{'step':24} {'median s':>10} {'worst s':>10}")
        print(table(result))


if __name__ == "__main__":
    main()
