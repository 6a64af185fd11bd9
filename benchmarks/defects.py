"""Does the harness see? Runs every planted defect in the sandbox lab: makes docs/defects.md.

    python benchmarks/defects.py [NAME ...] [--cap 3] [--clean 1] [--each-shape 0] [--also 0]

Each defect of the reference system runs in its experiment, one trial at a time, until a threshold
on the metric that must find it fails, at most ``--cap`` valid trials. The sound system runs the
same experiments, ``--clean`` valid trials each, more where a shape would have fewer than
``--each-shape`` of them together, and ``--also`` so many trials each of those in ``ALSO``. It must
pass: what is missed, or could not be told, is counted like a defect that was missed. Rows of what
is not run again stay as they are on the page; ``--print`` does not write it. Exit status: 0 all
that ran was caught and clean, 1 not.
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

from chaoskit.measure.statistics import exceedance_upper
from chaoskit.reference.defects import DEFECTS, Defect

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "defects.md"
COMMAND = (sys.executable, "-c", "from chaoskit.cli import main; main()")
MOST_INVALID = 3  # runs in a row that say nothing, because the machine was too slow
ALSO = {
    "active-passive-failback": "active-passive",
    "active-passive-failback-manual": "active-passive",
    "active-passive-approval-reject": "active-passive-approval",
    "active-passive-approval-switchover": "active-passive-approval",
    "cluster-5-kill": "cluster",
    "cluster-5-ring": "cluster",
    "cluster-5-bridge": "cluster",
}
"""Experiment that no defect is looked for with → shape: what else the sound system must pass."""
SHAPE_OF = ALSO | {d.experiment: d.shape for d in reversed(DEFECTS.values())}
"""Experiment → the shape that its sound trials count for: that of the first defect it finds."""


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


def run(experiment: str, defect: str | None, seed: int, trials: int = 1) -> dict[str, Any]:
    """So many trials in the sandbox lab; result.json. Repeated where it was INVALID."""
    result: dict[str, Any] = {}
    for again in range(MOST_INVALID):
        with tempfile.TemporaryDirectory() as out:
            env = {**os.environ, "CHAOSKIT_DEFECT": defect or ""}
            file = ROOT / "experiments" / f"{experiment}.yaml"
            words = ["run", str(file), "--lab", "sandbox", "--trials", str(trials), "--json", "-q"]
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


def valid_trials(result: dict[str, Any]) -> int:
    """How many trials of a run say something about the system."""
    return sum(not trial["invalid_because"] for trial in result["trials"])


def failing(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The thresholds of a result that were missed."""
    return [e for e in result["expectations"] if e["verdict"] == "FAIL"]


def hits(defect: Defect, result: dict[str, Any]) -> list[dict[str, Any]]:
    """What was missed that names what is wrong: a threshold on the right metric, or a finding."""
    return [e for e in failing(result) if metric_of(e["expression"]) in defect.metrics]


def told(missed: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The thresholds as one text, and what each saw as another."""
    return (
        "; ".join(e["expression"] for e in missed),
        "; ".join(e["observed"] for e in missed),
    )


def metric_of(expression: str) -> str:
    """The metric that a threshold names."""
    for cut in ("<", ">", "=", "!"):
        expression = expression.split(cut, maxsplit=1)[0]
    inner = expression.strip().removeprefix("P(")
    return inner.split("@")[0].split(".")[0].strip()


def catch(defect: Defect, cap: int, seed: int = 1) -> Row:
    """Run a defect until it is found by the metric that must find it, or ``cap`` trials."""
    caught: list[dict[str, Any]] = []
    missed: list[dict[str, Any]] = []
    trials = 0
    for n in range(cap):
        result = run(defect.experiment, defect.name, seed + 100 * n)
        trials += result["verdict"] != "INVALID"
        missed, caught = failing(result), hits(defect, result)
        if caught:
            break
    found, seen = told(caught or missed)
    return Row(
        defect.name,
        defect.shape,
        defect.experiment,
        defect.metrics,
        found,
        seen,
        trials,
        bool(caught),
    )


def clean(experiment: str, shape: str, trials: int, seed: int = 1) -> Row:
    """The sound system in the same experiment: only PASS is clean.

    A threshold that was missed is a false alarm; one that could not be told, or a run that says
    nothing, is no proof that there is none. Seeds are not those of the defects' runs.
    """
    result = run(experiment, None, seed + 10_000, trials)
    verdict, valid = result["verdict"], valid_trials(result)
    found, seen = told(failing(result))
    if verdict != "PASS" and not found:
        undecided = [e for e in result["expectations"] if e["verdict"] not in ("PASS", "INVALID")]
        found, seen = told(undecided) if valid else ("", "")
        found = found or verdict
    return Row("(sound)", shape, experiment, (), found, seen, valid, verdict == "PASS")


def clean_trials(chosen: Sequence[Defect], each: int, shape: int) -> dict[tuple[str, str], int]:
    """(experiment, shape) → trials of the sound system: ``each``, and ``shape`` in every shape.

    An experiment that defects of two shapes are found by counts for the first of them.
    """
    found = {d.experiment: SHAPE_OF[d.experiment] for d in chosen}
    trials = {}
    for experiment, of in found.items():
        mates = sum(other == of for other in found.values())
        trials[experiment, of] = max(each, -(-shape // mates))
    return trials


def rows(names: Sequence[str], cap: int, each: int, shape: int, also: int) -> Iterator[Row]:
    """Every chosen defect, then the sound system in each of their experiments and beside them."""
    chosen = [d for d in DEFECTS.values() if not names or d.name in names]
    if absent := sorted({d.needs for d in chosen if d.needs and not shutil.which(d.needs)}):
        raise SystemExit(f"{absent[0]} is not installed; scripts/install-{absent[0]} does it")
    for defect in chosen:
        yield catch(defect, cap)
    beside = dict.fromkeys(ALSO.items(), also)
    for (experiment, of), trials in {**clean_trials(chosen, each, shape), **beside}.items():
        if trials:
            yield clean(experiment, of, trials)


HEAD = """# Planted defects

Made by `make defects`, and with more trials by `make nightly`. Each row is a run on real processes
in the sandbox lab: the reference system with one flaw (`CHAOSKIT_DEFECT`), the experiment that must
find it, the threshold that did and what it saw. The sound system runs the same experiments, and
only PASS is clean: a threshold that it misses is a false alarm, and one that could not be told is
no proof that there is none. What was not reached is marked **open**.
"""
TABLE = """
| defect | what is wrong | experiment | found by | evidence | trials needed |
|---|---|---|---|---|---|
"""


def page(done: Sequence[Row]) -> str:
    """docs/defects.md."""
    shapes = dict.fromkeys(r.shape for r in done if r.wanted)
    lines = []
    for shape in shapes:
        lines += [f"\n## {shape}", TABLE.rstrip("\n")]
        lines += [_defect(r) for r in done if r.wanted and r.shape == shape]
    lines += ["\n## The sound system\n", "| experiment | valid trials | false alarms |"]
    lines += ["|---|---|---|", *(_sound(r) for r in done if not r.wanted), ""]
    lines += [_claim(shape, [r for r in done if not r.wanted]) for shape in shapes]
    return HEAD + "\n".join(lines) + "\n\n" + tally(done) + "\n"


def stored(page: str) -> list[Row]:
    """The rows of a page, those of defects first; one of a defect that is no more is left out."""
    found = []
    for text in page.splitlines():
        cells = [cell.strip() for cell in text.strip("|").split(" | ")]
        name = cells[0].strip("`")
        if len(cells) == 6 and name in DEFECTS:
            defect, good = DEFECTS[name], not cells[3].startswith("**open**")
            trials = int(cells[5].removeprefix("more than "))
            seen = (cells[3].strip("`"), cells[4], trials, good) if good else ("", "", trials, good)
            found.append(Row(name, defect.shape, defect.experiment, defect.metrics, *seen))
        elif len(cells) == 3 and name in SHAPE_OF:
            alarms = "" if cells[2] == "none" else cells[2].removeprefix("**open**: ")
            row = Row("(sound)", SHAPE_OF[name], name, (), alarms, "", int(cells[1]), not alarms)
            found.append(row)
    return found


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Every row once, the newer one where there are two; defects in the order of their table."""
    rows = {(row.name, row.experiment * (not row.wanted)): row for row in (*old, *new)}
    order = {name: n for n, name in enumerate(DEFECTS)}
    return sorted(rows.values(), key=lambda row: order.get(row.name, len(order)))


def _defect(row: Row) -> str:
    found = f"`{row.found}`" if row.good else f"**open**: not by {', '.join(row.wanted)}"
    evidence = row.evidence if row.good else "none"
    trials = str(row.trials) if row.good else f"more than {row.trials}"
    does = DEFECTS[row.name].does
    return f"| `{row.name}` | {does} | `{row.experiment}` | {found} | {evidence} | {trials} |"


def _sound(row: Row) -> str:
    alarms = "none"
    if not row.trials:
        alarms = "**open**: no trial was valid"
    elif not row.good:
        alarms = f"**open**: {row.found}" + f" ({row.evidence})" * bool(row.evidence)
    return f"| `{row.experiment}` | {row.trials} | {alarms} |"


def _claim(shape: str, sound: Sequence[Row]) -> str:
    """What so many clean trials of a shape allow to be said: of all, and of one experiment."""
    of = [r for r in sound if r.shape == shape]
    trials, alarms = sum(r.trials for r in of), sum(not r.good for r in of)
    if alarms or not trials:
        return f"- {shape}: **open**, {alarms} of {len(of)} experiments are not clean"
    least, most = min(r.trials for r in of), max(r.trials for r in of)
    each = f"{least}" if least == most else f"{least} to {most}"
    pooled, alone = (f"{exceedance_upper(0, n) * 100:.2g} %" for n in (trials, least))
    said = f"- {shape}: {trials} valid trials, no false alarm; at most {pooled} of trials raise one"
    if len(of) == 1:
        return f"{said} (95 %)"
    return (
        f"{said} (95 %), pooled over {len(of)} experiments of {each} trials each; "
        f"an experiment by itself, with {least}, shows no more than: at most {alone}"
    )


def line(row: Row) -> str:
    """A row as it is printed: defect, experiment, trials, finding and evidence."""
    word = "ok  " if row.good else "OPEN"
    trials = f"{row.trials} trial{'s' * (row.trials != 1)}"
    return f"{word} {row.name:<26} {row.experiment:<36} {trials:<9} {row.found} {row.evidence}"


def tally(done: Sequence[Row]) -> str:
    """How many were caught, and how many experiments are not clean."""
    caught, wanted = sum(r.good for r in done if r.wanted), sum(bool(r.wanted) for r in done)
    alarms = sum(not r.good for r in done if not r.wanted)
    return (
        f"{caught} of {wanted} defects caught; "
        f"experiments in which the sound system was not clean: {alarms}."
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="defects; all if none is named")
    parser.add_argument("--cap", type=int, default=3, help="valid trials for each defect at most")
    parser.add_argument("--clean", type=int, default=1, help="sound trials in each experiment")
    parser.add_argument("--each-shape", type=int, default=0, help="sound trials in each shape")
    parser.add_argument("--also", type=int, default=0, help="sound trials of each in ALSO")
    parser.add_argument("--print", action="store_true", help="do not write docs/defects.md")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(DEFECTS)):
        parser.error(f"no planted defect {unknown[0]!r}; there are: {', '.join(DEFECTS)}")
    done = []
    for row in rows(given.names, given.cap, given.clean, given.each_shape, given.also):
        done.append(row)
        print(line(row), flush=True)
    print(tally(done))
    if not given.print:
        old = stored(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
        PAGE.write_text(page(merged(old, done)), encoding="utf-8")
    return 0 if all(row.good for row in done) else 1


if __name__ == "__main__":
    sys.exit(main())
