"""A matrix: every cell a run of its own, one table of them all.

::

    reports/<experiment>/<UTC>-<seed>/      latest -> the newest
      matrix.json  matrix.md  matrix.html  matrix-junit.xml
      cells/01/                             a run's directory like any other
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaoskit.campaign import RunRequest, faults_of, run_experiment
from chaoskit.choosing import choose_lab, refuse_unmet
from chaoskit.clock import utc_label
from chaoskit.errors import BadInput, ChaoskitError
from chaoskit.experiment.load_options import refuse_unknown_options
from chaoskit.experiment.model import Experiment
from chaoskit.judge.matrix import CellResult, MatrixResult, judge_cell, judge_matrix
from chaoskit.judging import Outcome, judge_dir
from chaoskit.report.matrix import write_matrix
from chaoskit.rundir import create_run_dir, read_json
from chaoskit.signals import Signals
from chaoskit.stack.compose import load_stack

__all__ = ["Crossed", "chosen_cells", "is_matrix", "judge_crossed", "run_matrix"]


@dataclass(frozen=True)
class Crossed:
    """A finished matrix: its result, and where its table stands."""

    result: MatrixResult
    folder: Path

    def line(self) -> str:
        """The last line of its run: verdict, name, what was seen, and the table's path."""
        path = self.folder / "matrix.html"
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{self.result.verdict} {self.result.experiment}: {self.result.sentence} -> {shown}"


@dataclass
class _Table:
    folder: Path
    cells: Sequence[Experiment]
    left_out: int
    seed: int
    done: list[CellResult] = field(default_factory=list)
    lab: str = ""

    def take(self, n: int, cell: Experiment, outcome: Outcome) -> None:
        name = f"cells/{n:02d}"
        self.lab = outcome.result.lab
        self.done.append(judge_cell(n, cell.cell, cell.cell_scale, name, outcome.result))

    def write(self) -> MatrixResult:
        first = self.cells[0]
        result = judge_matrix(
            first.name,
            first.question,
            _axes([cell.cell for cell in self.cells]),
            self.done,
            lab=self.lab,
            seed=self.seed,
            left_out=self.left_out + len(self.cells) - len(self.done),
        )
        write_matrix(self.folder, result)
        return result


def _axes(places: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for place in places:
        for axis, value in place.items():
            found.setdefault(axis, {})[value] = None
    return {axis: tuple(values) for axis, values in found.items()}


def chosen_cells(
    cells: Sequence[Experiment], asked: Sequence[str]
) -> tuple[tuple[int, Experiment], ...]:
    """Number and experiment of the cells that ``--cell`` names: ``3``, or ``axis=value,...``.

    All of them where nothing is asked. Raises ``BadInput`` for one that names none.
    """
    numbered = tuple(enumerate(cells, start=1))
    if not asked:
        return numbered
    found: dict[int, Experiment] = {}
    for text in asked:
        wanted = [pair for pair in numbered if _is(text, *pair)]
        if not wanted and not any(cell.cell for cell in cells):
            raise BadInput(f"--cell {text}: the experiment has no matrix")
        if not wanted:
            known = "; ".join(
                f"{n} is {', '.join(f'{a}={v}' for a, v in c.cell.items())}" for n, c in numbered
            )
            raise BadInput(f"--cell {text}: there is no such cell ({known[:600]})")
        found.update(wanted)
    return tuple(sorted(found.items()))


def _is(text: str, n: int, cell: Experiment) -> bool:
    if text.strip().isdecimal():
        return int(text) == n
    pairs = [part.partition("=") for part in text.split(",")]
    return all(
        equals and cell.cell.get(axis.strip()) == value.strip() for axis, equals, value in pairs
    )


def run_matrix(
    request: RunRequest,
    cells: Sequence[tuple[int, Experiment]],
    all_of_them: int,
    signals: Signals,
) -> Crossed:
    """Run the cells one after another; the table is written anew after each.

    A cell that could not be run at all (code 4, 5 or a signal) ends the matrix; what was run
    until then is reported.
    """
    for _, cell in cells:  # all of them, before anything of any starts
        refuse_unmet(choose_lab(request.lab, load_stack(cell.stack)), faults_of(cell))
        refuse_unknown_options(cell)
    first = cells[0][1]
    seed = request.seed if request.seed is not None else first.seed
    seed = seed if seed is not None else secrets.randbelow(1_000_000)
    folder = create_run_dir(request.out, first.name, f"{utc_label()}-{seed}", inside="cells")
    table = _Table(folder, [cell for _, cell in cells], all_of_them - len(cells), seed)
    for n, cell in cells:
        request.say("cell", {"n": n, "of": all_of_them, "cell": dict(cell.cell)})
        one = replace(request, experiment=cell, seed=seed, folder=folder / "cells" / f"{n:02d}")
        try:
            outcome = run_experiment(one, signals)
        except ChaoskitError:
            if table.done:
                table.write()
            raise
        table.take(n, cell, outcome)
        result = table.write()
        if outcome.result.exit_code >= 4:
            break
    return Crossed(result, folder)


def is_matrix(folder: Path) -> bool:
    """Whether a stored folder is a matrix and not a run."""
    return (folder / "matrix.json").is_file()


def judge_crossed(folder: Path) -> Crossed:
    """Judge every cell of a stored matrix again and write the table anew. Raises ``BadInput``."""
    try:
        stored = MatrixResult.model_validate(dict(read_json(folder / "matrix.json")))
    except ValueError as error:
        raise BadInput(f"{folder / 'matrix.json'} is no matrix of chaoskit: {error}") from error
    done = [
        judge_cell(c.n, c.at, c.scale, c.folder, judge_dir(folder / f"cells/{c.n:02d}").result)
        for c in stored.cells
    ]
    result = judge_matrix(
        stored.experiment,
        stored.question,
        stored.axes,
        done,
        lab=stored.lab,
        seed=stored.seed,
        left_out=stored.left_out,
    )
    write_matrix(folder, result)
    return Crossed(result, folder)
