"""Do both labs come to the same verdict, experiment by experiment? Makes docs/labs-verdicts.md.

    python benchmarks/labs_verdicts.py [EXPERIMENT ...] [--trials N] [--seed 1] [--keep FOLDER]
                                       [--print]

Runs each experiment, all of ``experiments/`` but the longest if none is named, in both labs with
the same seed. Rows of experiments that are not run again stay as they are on the page. How exactly
the times agree is the matter of ``labs_agree.py``, which takes ten trials. Exit status: 0 all
agree, 1 not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from labs_agree import COMMAND, ROOT, TOLD, observed, rows_of

from chaoskit.measure.statistics import median

PAGE = ROOT / "docs" / "labs-verdicts.md"
LABS = ("sandbox", "docker")
LONG = ("active-passive-soak", "active-passive-pause-ladder")  # many runs or one of ten minutes
HEAD = """# Verdicts in both labs

Made by `python benchmarks/labs_verdicts.py`: each experiment in the sandbox and in the Docker lab,
with the same seed. *Good write* is when the first one came after the outage, median of the trials
that had one: after a failover, or because the same node was back. One trial of a gray fault (loss,
a slow link, little memory) says little of that time: it scatters from trial to trial in either lab.
How exactly the times agree is on [its own page](labs-agree.md), with ten trials. Two experiments
are too long to be run twice here: the pause ladder and the soak.

| experiment | trials | sandbox | Docker | good write, sandbox | good write, Docker | same verdict |
|---|---|---|---|---|---|---|
"""


def run(file: Path, lab: str, trials: int | None, seed: int, out: Path) -> dict[str, Any]:
    """One run; result.json. Where nothing could be run, its verdict is what was said."""
    words = ["run", str(file), "--lab", lab, "--seed", str(seed), "--json", "-q", "--out", str(out)]
    words += [] if trials is None else ["--trials", str(trials)]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        print(f"{file.stem} in the {lab} lab: {done.stderr.strip()}", file=sys.stderr)
        return {"verdict": "not run", "trials": []}
    return found


def row(name: str, results: list[dict[str, Any]]) -> tuple[str, bool]:
    """A line of the table, and whether the labs agree."""
    verdicts = [str(result["verdict"]) for result in results]
    times = []
    for result in results:
        moved, in_place = observed(result)
        found = [one.rank for one in moved] + in_place
        times.append(f"{median(found):.3f} s" if found else "-")
    valid = [sum(not t["invalid_because"] for t in result["trials"]) for result in results]
    count = str(valid[0]) if valid[0] == valid[1] else f"{valid[0]}, {valid[1]}"
    good = verdicts[0] in TOLD and verdicts[0] == verdicts[1]
    cells = [f"`{name}`", count, *verdicts, *times, "yes" if good else "**no**"]
    return f"| {' | '.join(cells)} |", good


def main() -> int:
    """Run, print, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))
    parser.add_argument("names", nargs="*", default=[name for name in every if name not in LONG])
    parser.add_argument("--trials", type=int, help="default: as each experiment says")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the runs are kept")
    parser.add_argument("--print", action="store_true", dest="only_print")
    asked = parser.parse_args()
    all_good, rows = True, rows_of(PAGE)
    with tempfile.TemporaryDirectory() as temporary:
        kept = asked.keep or Path(temporary)
        for name in asked.names:
            file = ROOT / "experiments" / f"{name}.yaml"
            results = [run(file, lab, asked.trials, asked.seed, kept / lab) for lab in LABS]
            rows[name], good = row(name, results)
            all_good = all_good and good
            print(rows[name], flush=True)
            if not asked.only_print:  # each row is whole, and whoever stops it now keeps it
                PAGE.write_text(HEAD + "\n".join(rows[key] for key in sorted(rows)) + "\n")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
