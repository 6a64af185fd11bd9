"""The commands that need nothing but stored runs: ``judge`` and ``compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaoskit.errors import BadInput

if TYPE_CHECKING:
    from chaoskit.experiment.threshold import Threshold
    from chaoskit.judging import Outcome

__all__ = ["compare", "judge", "shown"]


def shown(outcome: Outcome, as_json: bool) -> str:
    """The last line of a run, or its ``result.json``."""
    return outcome.result.model_dump_json(indent=1) if as_json else outcome.line()


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print result.json instead of a line.")
@click.option(
    "--threshold",
    "expressions",
    multiple=True,
    metavar="EXPR",
    help="Add a threshold, or replace the stored one on the same metric and direction.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the reports there instead.")
def judge(folder: Path, as_json: bool, expressions: tuple[str, ...], out: Path | None) -> None:
    """Judge a stored run again from its records alone, and write its reports anew.

    With --threshold the run's own reports stay as they are: nothing is written without --out.
    """
    thresholds = _thresholds(expressions)
    from chaoskit.crossing import is_matrix, judge_crossed
    from chaoskit.judging import judge_dir

    if is_matrix(folder):
        if thresholds or out is not None:
            raise BadInput(f"{folder} is a matrix: name one of its cells, e.g. {folder}/cells/01")
        crossed = judge_crossed(folder.resolve())
        click.echo(crossed.result.model_dump_json(indent=1) if as_json else crossed.line())
        sys.exit(crossed.result.exit_code)
    outcome = judge_dir(
        folder.resolve(), thresholds=thresholds, out=None if out is None else out.resolve()
    )
    click.echo(shown(outcome, as_json))
    sys.exit(outcome.result.exit_code)


def _thresholds(expressions: tuple[str, ...]) -> list[Threshold]:
    from chaoskit.experiment.grammar import ThresholdError, parse_threshold

    found: list[Threshold] = []
    sentences: list[str] = []
    for text in expressions:
        try:
            found.append(parse_threshold(text))
        except ThresholdError as error:
            sentences.append(f"--threshold '{text}', column {error.column + 1}: {error}")
    if sentences:
        raise BadInput("\n".join(sentences))
    return found


@click.command()
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, help="Compare this; 10 % worse is allowed.")
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="MARGIN",
    help="Compare this, with a margin: 'failover_time +10%', 'client_outage +50ms'.",
)
@click.option("--anyway", is_flag=True, help="Even if experiment, stack, load or lab differ.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(
    base: Path,
    new: Path,
    metrics: tuple[str, ...],
    fail_if: tuple[str, ...],
    anyway: bool,
    as_json: bool,
) -> None:
    """Is the stored run NEW no worse than BASE? Says so only if enough trials show it.

    Exits 0 for PASS (surely less worse than the margin), 1 for FAIL (surely worse, likely beyond
    the margin), 3 for INCONCLUSIVE, with the number of trials that would tell.
    """
    from chaoskit.comparing import compare_dirs, margins_of

    margins = margins_of(metrics, fail_if)
    from chaoskit.judge.compare_table import table

    found = compare_dirs(base, new, margins, anyway=anyway)
    click.echo(found.model_dump_json(indent=1) if as_json else table(found))
    sys.exit(found.exit_code)
