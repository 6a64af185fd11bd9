"""Do the sandbox and the Docker lab measure the same? Makes docs/labs-agree.md.

    python benchmarks/labs_agree.py [EXPERIMENT ...] [--trials 10] [--seed 1] [--print] [--keep DIR]

Runs each experiment in both labs, with the same seed and so the same phases. They agree where both
come to the same verdict and the Hodges-Lehmann shift of ``failover_time``, with its exact 95 %
interval, lies inside one period of the stack's failure detector on either side: what a run of
either lab cannot tell from another phase. Where a fault is gray, trials of one lab differ among
themselves by more than that; such labs are *not told apart* if the interval holds 0.

Only trials in which another node took over are compared so. Where service came back on the node
that had it, its time is that of the heal: the experiment's ``for`` and what the lab needs to start
a service again, which is nothing that the system did. There the verdict is compared, and the share
of trials that failed over (Fisher's exact test). Rows of experiments that are not run again stay as
they are on the page. Exit status: 0 no two labs differ, 1 some do.
"""

from __future__ import annotations

import argparse
import json
import math
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
IN_PLACE = ("in-place restart", "rejected", "unknown")
"""Kinds of recovery without another node that is known to have taken over."""
CHANCE = 0.05
HEAD = """# The two labs agree

Made by `python benchmarks/labs_agree.py`: each experiment with ten trials, with more where ten
could not tell, with fewer where hardly anything fails over (n), in the sandbox and in the Docker
lab, same seed, so the same moments in the failure detector's period. *Shift* is the Hodges-Lehmann
estimate of Docker less sandbox with its exact 95 % interval. They agree where the verdict is the
same and that interval lies inside one period of the detector on either side. They are *not told
apart* where trials of one lab differ among themselves by more than that, and the interval holds 0.

Compared are trials in which another node took over. Service that came back *in place*, on the node
that had it, came with the heal: that time is the experiment's `for` and what the lab needs to start
a service again, so it is shown and not compared. Where too few trials failed over to be compared,
or several nodes serve and nothing fails over, the labs agree on *the verdict*; it must be the same,
and the shares of trials that failed over must not be told apart (Fisher's exact test, 5 %).

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
    values: tuple[list[float], list[float]]  # of trials in which another node took over
    shift: Shift | None  # docker less sandbox; None where that cannot be compared
    allowed_s: float
    in_place: tuple[list[float], list[float]] = ([], [])  # of trials in which none did

    @property
    def good(self) -> bool:
        """Same verdict, one that was reached, and the interval of the shift inside the bound."""
        inside = self.shift is None or (
            -self.allowed_s < self.shift.low and self.shift.high < self.allowed_s
        )
        return self._same and inside and not self._one_sided

    @property
    def differs(self) -> bool:
        """Another verdict, none that was reached, or times that are shifted for sure."""
        held = self.shift is None or self.shift.low <= 0 <= self.shift.high
        return not self.good and (self._few or self._one_sided or not (self._same and held))

    @property
    def _same(self) -> bool:
        return self.verdicts[0] in TOLD and self.verdicts[0] == self.verdicts[1]

    @property
    def _few(self) -> bool:
        """Too few to compare, of those that are compared."""
        return self.shift is not None and min(map(len, self.values)) < LEAST_TRIALS

    @property
    def _one_sided(self) -> bool:
        """More trials of one lab failed over than chance explains."""
        return fisher(*(len(v) for v in (*self.values, *self.in_place))) < CHANCE

    def row(self) -> str:
        """A line of the table."""
        said = " and ".join(dict.fromkeys(self.verdicts))
        times, allowed = self._times(), "-"
        if self.shift is not None:
            allowed = f"{self.allowed_s:.2f} s"
        good = "**no**" if self.differs else "not told apart"
        if self.good:
            good = "yes" if self.shift is not None else "the verdict"
        return f"| `{self.experiment}` | {said} | {times} | {allowed} | {good} |"

    def _times(self) -> str:
        if not any(self.values) and not any(self.in_place):
            told = set(self.verdicts) <= set(TOLD)
            return f"{'not applicable' if told else 'could not be told'} | | "
        middle = " | ".join(map(_middle, self.values, self.in_place))
        if self.shift is None:
            return f"{middle} | not compared"
        found = self.shift
        return f"{middle} | {found.point:+.3f} s ({found.low:+.3f} to {found.high:+.3f})"


def _middle(moved: list[float], in_place: list[float]) -> str:
    """The medians of one lab, those that came back in place apart."""
    parts = [f"{median(v):.3f} s (n = {len(v)})" for v in (moved,) if v]
    parts += [f"{median(v):.3f} s in place (n = {len(v)})" for v in (in_place,) if v]
    return ", ".join(parts) or "none"


def fisher(moved: int, others_moved: int, stayed: int, others_stayed: int) -> float:
    """Two-sided p of Fisher's exact test: as far apart as these two shares, or farther."""
    mine, all_moved = moved + stayed, moved + others_moved
    total = all_moved + stayed + others_stayed
    ways = [
        math.comb(mine, k) * math.comb(total - mine, all_moved - k)
        for k in range(min(mine, all_moved) + 1)
        if all_moved - k <= total - mine
    ]
    seen = math.comb(mine, moved) * math.comb(total - mine, others_moved)
    return sum(w for w in ways if w <= seen) / math.comb(total, all_moved)


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


def observed(result: dict[str, Any]) -> tuple[list[Observed], list[float]]:
    """``failover_time`` of every valid trial that has one; those that came back in place apart."""
    moved, in_place = [], []
    for trial in result["trials"]:
        time = trial["metrics"]["failover_time"] if not trial["invalid_because"] else {}
        if not time.get("applicable", True) or time.get("value_s") is None:
            continue
        if trial["metrics"]["recovery"] in IN_PLACE and not time.get("censored"):
            in_place.append(time["value_s"])
        else:
            moved.append(Observed(time["value_s"], ended=not time.get("censored")))
    return moved, in_place


def agree(file: Path, trials: int, seed: int, keep: Path | None = None) -> Agreement:
    """Run an experiment in both labs and compare."""
    from chaoskit.experiment.loader import load_experiment

    period_s = longest_period_s(load_stack(load_experiment(file).stack))
    results = [run(file, lab, trials, seed, keep) for lab in ("sandbox", "docker")]
    return compared(file.stem, results[0], results[1], period_s)


def compared(
    name: str, sandbox: dict[str, Any], docker: dict[str, Any], allowed_s: float
) -> Agreement:
    """Two runs of one experiment; ``allowed_s`` is what they may differ by."""
    (base, base_in_place), (new, new_in_place) = observed(sandbox), observed(docker)
    in_place = (base_in_place, new_in_place)
    few = min(len(base), len(new)) < LEAST_TRIALS and any(in_place)
    return Agreement(
        name,
        (sandbox["verdict"], docker["verdict"]),
        ([o.rank for o in base], [o.rank for o in new]),
        shift(base, new) if base and new and not few else None,
        allowed_s,
        in_place,
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
