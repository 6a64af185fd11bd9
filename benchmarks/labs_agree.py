"""Do the sandbox and the Docker lab measure the same? Makes docs/labs-agree.md.

    python benchmarks/labs_agree.py [EXPERIMENT ...] [--trials 10] [--seed 1] [--print] [--keep DIR]

Runs each experiment in both labs, with the same seed and so the same phases. They agree where both
come to the same verdict and the Hodges-Lehmann shift of ``failover_time``, with its exact 95 %
interval, lies inside one period of the stack's failure detector on either side: what a run of
either lab cannot tell from another phase. Where a fault is gray, trials of one lab differ among
themselves by more than that; such labs are *not told apart* if the interval holds 0. Rows of
experiments that are not run again stay as they are on the page. Exit status: 0 no two labs differ,
1 some do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.measure.shift import LEAST_TRIALS, Observed, Shift, shift
from chaoskit.measure.statistics import median
from chaoskit.phases import longest_period_s
from chaoskit.stack.compose import load_stack

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "labs-agree.md"
TOLD = ("PASS", "FAIL")
"""Verdicts about the system; the others are about the measurement, and two of them no agreement."""
HEAD = """# The two labs agree

Made by `python benchmarks/labs_agree.py`: each experiment with ten trials, or with more where ten
could not tell (n), in the sandbox and in the Docker lab, same seed, so the same moments in the
failure detector's period. *Shift* is the Hodges-Lehmann estimate of Docker less sandbox with its
exact 95 % interval. They agree where the verdict is the same and that interval lies inside one
period of the detector on either side. They are *not told apart* where trials of one lab differ
among themselves by more than that, and the interval holds 0. Where several nodes serve nothing
fails over, and only the verdict is compared.

| experiment | verdict | sandbox, median | Docker, median | shift | allowed | agree |
|---|---|---|---|---|---|---|
"""
COMMAND = (sys.executable, "-c", "from chaoskit.cli import main; main()")
SHAPES = (
    "active-passive-kill",
    "active-passive-partition",
    "active-passive-approval-kill",
    "active-active-kill",
    "cluster-3-kill",
    "cluster-3-partition",
    "cluster-5-kill",
    "active-passive-double-failure",
    "active-passive-failback",
    "active-passive-pause-long",
    "active-passive-stop",
    "active-passive-slow-link",
    "active-passive-lossy",
    "active-passive-random",
)


@dataclass(frozen=True)
class Agreement:
    """What both labs said of one experiment; times in seconds."""

    experiment: str
    verdicts: tuple[str, str]  # sandbox, docker
    values: tuple[list[float], list[float]]
    shift: Shift | None  # docker less sandbox; None where nothing fails over
    allowed_s: float

    @property
    def good(self) -> bool:
        """Same verdict, one that was reached, and the interval of the shift inside the bound."""
        inside = self.shift is None or (
            -self.allowed_s < self.shift.low and self.shift.high < self.allowed_s
        )
        return self._same and inside

    @property
    def differs(self) -> bool:
        """Another verdict, none that was reached, or times that are shifted for sure."""
        held = self.shift is not None and self.shift.low <= 0 <= self.shift.high
        few = self.shift is not None and min(map(len, self.values)) < LEAST_TRIALS
        return not self.good and (few or not (self._same and held))

    @property
    def _same(self) -> bool:
        return self.verdicts[0] in TOLD and self.verdicts[0] == self.verdicts[1]

    def row(self) -> str:
        """A line of the table."""
        said = " and ".join(dict.fromkeys(self.verdicts))
        allowed = "-"
        if self.shift is None and not set(self.verdicts) <= set(TOLD):
            times = "could not be told | | "
        elif self.shift is None:
            times = "not applicable | | "
        else:
            middle = (f"{median(v):.3f} s (n = {len(v)})" for v in self.values)
            found = self.shift
            moved = f"{found.point:+.3f} s ({found.low:+.3f} to {found.high:+.3f})"
            times = f"{' | '.join(middle)} | {moved}"
            allowed = f"{self.allowed_s:.2f} s"
        good = "yes" if self.good else "**no**" if self.differs else "not told apart"
        return f"| `{self.experiment}` | {said} | {times} | {allowed} | {good} |"


def run(file: Path, lab: str, trials: int, seed: int, keep: Path | None) -> dict[str, Any]:
    """One run; result.json. Its files stay under ``keep``, or go."""
    with tempfile.TemporaryDirectory() as scratch:
        out = str(keep / lab) if keep else scratch
        words = ["run", str(file), "--lab", lab, "--trials", str(trials), "--seed", str(seed)]
        words += ["--json", "-q", "--out", out]
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"{file.stem} in the {lab} lab: {done.stderr.strip()}") from None
    return found


def observed(result: dict[str, Any]) -> list[Observed]:
    """``failover_time`` of every valid trial, where something failed over."""
    valid = [t for t in result["trials"] if not t["invalid_because"]]
    times = [t["metrics"]["failover_time"] for t in valid]
    return [
        Observed(time["value_s"], ended=not time.get("censored"))
        for time in times
        if time.get("applicable", True) and time.get("value_s") is not None
    ]


def agree(file: Path, trials: int, seed: int, keep: Path | None = None) -> Agreement:
    """Run an experiment in both labs and compare."""
    from chaoskit.experiment.loader import load_experiment

    period_s = longest_period_s(load_stack(load_experiment(file).stack))
    results = [run(file, lab, trials, seed, keep) for lab in ("sandbox", "docker")]
    base, new = (observed(result) for result in results)
    found = shift(base, new) if base and new else None
    return Agreement(
        file.stem,
        (results[0]["verdict"], results[1]["verdict"]),
        ([o.rank for o in base], [o.rank for o in new]),
        found,
        period_s,
    )


def rows_of(page: Path) -> dict[str, str]:
    """Experiment → its line, as the page has it."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def main() -> int:
    """Compare, print, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=SHAPES)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--print", action="store_true", dest="only_print")
    parser.add_argument("--keep", type=Path, help="directory for the runs; without it they go")
    asked = parser.parse_args()
    rows, differs = rows_of(PAGE), False
    for name in asked.names:
        file = ROOT / "experiments" / f"{name}.yaml"
        found = agree(file, asked.trials, asked.seed, asked.keep)
        rows[name], differs = found.row(), differs or found.differs
        print(rows[name], flush=True)
        if not asked.only_print:  # each row is whole, and whoever stops it now keeps it
            PAGE.write_text(HEAD + "\n".join(rows[key] for key in sorted(rows)) + "\n")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
