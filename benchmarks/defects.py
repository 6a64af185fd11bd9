"""Does the harness see? Runs every planted defect in the sandbox lab: makes docs/defects.md.

    python benchmarks/defects.py [NAME ...] [--cap 3] [--clean 1] [--print]

Each defect of the reference system runs in its experiment, one trial at a time, until a threshold
on the metric that must find it fails, at most ``--cap`` valid trials. The sound system runs the
same experiments, ``--clean`` valid trials each, and must pass: a false alarm is counted like a
defect that was missed. Exit status: 0 all caught and no false alarm, 1 not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.reference.defects import DEFECTS, Defect

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "defects.md"
COMMAND = (sys.executable, "-c", "from chaoskit.cli import main; main()")
MOST_INVALID = 3  # runs in a row that say nothing, because the machine was too slow


@dataclass(frozen=True)
class Row:
    """What one defect, or the sound system in one experiment, came to."""

    name: str
    shape: str
    experiment: str
    wanted: tuple[str, ...]  # metrics, any of which must find it; empty for the sound system
    found: str  # the failing thresholds, as the result says them
    evidence: str
    trials: int  # valid ones
    good: bool


def run_once(experiment: str, defect: str | None, seed: int) -> dict[str, Any]:
    """One trial in the sandbox lab; result.json. Repeated where it was INVALID."""
    result: dict[str, Any] = {}
    for again in range(MOST_INVALID):
        with tempfile.TemporaryDirectory() as out:
            env = {**os.environ, "CHAOSKIT_DEFECT": defect or ""}
            file = ROOT / "experiments" / f"{experiment}.yaml"
            words = ["run", str(file), "--lab", "sandbox", "--trials", "1", "--json", "-q"]
            words += ["--out", out, "--seed", str(seed + again)]
            done = subprocess.run(
                [*COMMAND, *words], env=env, capture_output=True, text=True, check=False
            )
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f"{experiment}: no result; it said: {done.stderr.strip()}") from None
        if result["verdict"] != "INVALID":
            break
    return result


def failing(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The thresholds of a result that were missed."""
    return [e for e in result["expectations"] if e["verdict"] == "FAIL"]


def metric_of(expression: str) -> str:
    """The metric that a threshold names."""
    for cut in ("<", ">", "=", "!"):
        expression = expression.split(cut, maxsplit=1)[0]
    inner = expression.strip().removeprefix("P(")
    return inner.split("@")[0].split(".")[0].strip()


def catch(defect: Defect, cap: int, seed: int = 1) -> Row:
    """Run a defect until it is found by the metric that must find it, or ``cap`` trials."""
    missed: list[dict[str, Any]] = []
    trials = 0
    for n in range(cap):
        result = run_once(defect.experiment, defect.name, seed + 100 * n)
        trials += result["verdict"] != "INVALID"
        missed = failing(result)
        if any(metric_of(e["expression"]) in defect.metrics for e in missed):
            break
    hits = [e for e in missed if metric_of(e["expression"]) in defect.metrics]
    return Row(
        defect.name,
        defect.shape,
        defect.experiment,
        defect.metrics,
        "; ".join(e["expression"] for e in hits or missed),
        "; ".join(e["observed"] for e in hits or missed),
        trials,
        bool(hits),
    )


def clean(experiment: str, shape: str, trials: int, seed: int = 1) -> Row:
    """The sound system in the same experiment: any threshold missed is a false alarm."""
    alarms: list[dict[str, Any]] = []
    valid = 0
    for n in range(trials):
        result = run_once(experiment, None, seed + 100 * n)
        valid += result["verdict"] not in ("INVALID", "INCONCLUSIVE")
        alarms += failing(result)
    found = "; ".join(e["expression"] for e in alarms)
    seen = "; ".join(e["observed"] for e in alarms)
    return Row("(sound)", shape, experiment, (), found, seen, valid, not alarms and valid > 0)


def rows(names: Sequence[str], cap: int, sound: int) -> Iterator[Row]:
    """Every chosen defect, then the sound system in each of their experiments."""
    chosen = [d for d in DEFECTS.values() if not names or d.name in names]
    if absent := sorted({d.needs for d in chosen if d.needs and not shutil.which(d.needs)}):
        raise SystemExit(f"{absent[0]} is not installed; scripts/install-{absent[0]} does it")
    for defect in chosen:
        yield catch(defect, cap)
    for experiment, shape in dict.fromkeys((d.experiment, d.shape) for d in chosen):
        if sound:
            yield clean(experiment, shape, sound)


HEAD = """# Planted defects

Made by `make defects`. Each row is a run on real processes in the sandbox lab: the reference system
with one flaw (`CHAOSKIT_DEFECT`), the experiment that must find it, the threshold that did. The
sound system runs the same experiments; a threshold that it misses would be a false alarm.

| defect | what is wrong | experiment | found by | evidence | trials needed |
|---|---|---|---|---|---|
"""


def page(done: Sequence[Row]) -> str:
    """docs/defects.md."""
    lines = []
    for row in (r for r in done if r.wanted):
        found = f"`{row.found}`" if row.good else f"**open**: not by {', '.join(row.wanted)}"
        does = DEFECTS[row.name].does
        evidence = row.evidence if row.good else "none"
        trials = str(row.trials) if row.good else f"more than {row.trials}"
        lines.append(
            f"| `{row.name}` | {does} | `{row.experiment}` | {found} | {evidence} | {trials} |"
        )
    sound = ["", "## The sound system", "", "| experiment | valid trials | false alarms |"]
    sound += ["|---|---|---|"]
    for row in (r for r in done if not r.wanted):
        alarms = f"{row.found} ({row.evidence})" if row.found else "none"
        sound.append(f"| `{row.experiment}` | {row.trials} | {alarms} |")
    return HEAD + "\n".join(lines + sound) + "\n"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="defects; all if none is named")
    parser.add_argument("--cap", type=int, default=3, help="valid trials for each defect at most")
    parser.add_argument("--clean", type=int, default=1, help="valid trials of the sound system")
    parser.add_argument("--print", action="store_true", help="do not write docs/defects.md")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(DEFECTS)):
        parser.error(f"no planted defect {unknown[0]!r}; there are: {', '.join(DEFECTS)}")
    done = []
    for row in rows(given.names, given.cap, given.clean):
        done.append(row)
        word = "ok  " if row.good else "OPEN"
        print(f"{word} {row.name:<26} {row.experiment:<30} {row.found} {row.evidence}", flush=True)
    caught = sum(r.good for r in done if r.wanted)
    wanted = sum(bool(r.wanted) for r in done)
    alarms = sum(not r.good for r in done if not r.wanted)
    print(f"{caught} of {wanted} defects caught, {alarms} experiments with a false alarm")
    if not (given.print or given.names):
        PAGE.write_text(page(done), encoding="utf-8")
    return 0 if caught == wanted and not alarms else 1


if __name__ == "__main__":
    sys.exit(main())
