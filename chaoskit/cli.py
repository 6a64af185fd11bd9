"""The command line: arguments, printing, exit codes. With ``commands_*`` the only place that exits.

Exit codes: 0 PASS; 1 FAIL; 2 usage or a bad file, nothing was started; 3 INVALID or INCONCLUSIVE;
4 the environment or chaoskit itself failed, everything is healed; 5 something may still be broken;
128 + n ended by signal n, healed. Over several experiments: the worst of 5, 4, 2, 1, 3, 0.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from chaoskit import __version__
from chaoskit.commands_ask import doctor, explain, plan
from chaoskit.commands_export import export
from chaoskit.commands_judge import compare, judge, shown
from chaoskit.commands_lab import halt, inject, lab
from chaoskit.errors import BadInput, ChaoskitError, HealFailed, Interrupted, Problem, worst_code

if TYPE_CHECKING:
    from chaoskit.campaign import RunRequest
    from chaoskit.experiment.model import Experiment
    from chaoskit.progress import Progress
    from chaoskit.signals import Signals

__all__ = ["main"]

_FEW = """Measure what clients feel when a failover system fails over.

\b
  chaoskit run FILE...        break it, measure it, judge it, report it
  chaoskit plan FILE          what a run would do and undo; validate FILE...: only check
  chaoskit judge DIR          judge a stored run again; compare, export: other uses of one
  chaoskit list KIND          faults, probes, loads or labs; explain NAME: what one of them is
  chaoskit lab up FILE        a stack that stays up; inject FAULT TARGET: break it by hand
  chaoskit doctor             what this machine can do, and what would help
  chaoskit heal               undo whatever an earlier run left behind
  chaoskit halt               stop every run, heal, and block new ones
"""


class _Trials(click.ParamType[int | str]):
    """A number of trials, or the word auto."""

    name = "integer|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto":
            return "auto"
        try:
            return click.IntRange(1, 1000).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is neither a number from 1 to 1000 nor 'auto'", param, ctx)


TRIALS = _Trials()


class _Given(click.Path):
    """A path, and not the empty word that an unset variable leaves: that would be this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of the file is empty", param, ctx)
        return super().convert(value, param, ctx)


class _Group(click.Group):
    """Did-you-mean for commands is click's own; errors of ours become one sentence."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Interrupted as error:
            _say(str(error))
            ctx.exit(error.exit_code)
        except ChaoskitError as error:
            _say(str(error))
            ctx.exit(error.exit_code)


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.group(
    cls=_Group,
    help=_FEW,
    epilog=(__doc__ or "").split("\n\n", 1)[1],
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "CHAOSKIT", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="chaoskit")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Root of all commands."""
    if ctx.invoked_subcommand is None:
        click.echo(_FEW.replace("\b\n", ""))


# ---------------------------------------------------------------- files


def _files(paths: Sequence[Path]) -> list[Path]:
    """Folders stand for the experiment files in them."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
            if not inside:
                raise BadInput(f"{path}: no experiment file (*.yaml) in this folder")
            found += inside
        else:
            found.append(path)
    return found


@cli.command()
@click.argument("files", nargs=-1, required=True, type=_Given(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text")
def validate(files: tuple[Path, ...], form: str) -> None:
    """Check experiment files: schema, names, targets. Starts nothing; says every problem."""
    from chaoskit.experiment.loader import load_cells

    problems: list[Problem] = []
    sentences: list[str] = []
    checked = _files(files)
    for path in checked:
        try:
            cells = load_cells(path)
        except BadInput as error:
            problems += error.problems
            sentences += [] if error.problems else [str(error)]
            continue
        if form == "text":
            steps = len(cells[0].steps)
            crossed = f", {len(cells)} cells" if cells[0].cell else ""
            click.echo(
                f"ok {path}: {steps} step{'s' * (steps != 1)}{crossed}, stack {cells[0].stack}"
            )
    _print_problems(problems, sentences, form)
    if problems or sentences:
        sys.exit(BadInput.exit_code)


def _print_problems(problems: list[Problem], sentences: list[str], form: str) -> None:
    if form == "json":
        rows = [
            {"file": p.file, "line": p.line, "column": p.column, "sentence": p.sentence}
            for p in problems
        ]
        rows += [{"file": "", "line": 0, "column": 0, "sentence": s} for s in sentences]
        click.echo(json.dumps(rows, indent=1))
        return
    for p in problems:
        if form == "github":
            click.echo(f"::error file={p.file},line={p.line},col={p.column}::{p.sentence}")
        else:
            _say(str(p))
    for sentence in sentences:
        _say(sentence)


@cli.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file instead.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema of experiment files, with the faults that are installed."""
    from chaoskit.experiment.schema import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")


@cli.command("list")
@click.argument("kind", type=click.Choice(["faults", "probes", "loads", "labs"]))
def list_(kind: str) -> None:
    """Print what is installed, by name, and of what chaoskit brings itself what it is.

    Nothing is imported: that only happens when an experiment names it. More: chaoskit explain NAME.
    """
    from chaoskit import registry
    from chaoskit.explaining import in_short

    for name, origin in sorted(registry.names(f"chaoskit.{kind}").items()):
        click.echo(f"{name:<18} {origin:<10} {in_short(kind, name)}".rstrip())


# ---------------------------------------------------------------- running and judging


@cli.command()
@click.argument("files", nargs=-1, required=True, type=_Given(path_type=Path))
@click.option("--lab", type=click.Choice(["auto", "docker", "sandbox"]), default="auto")
@click.option("--trials", type=TRIALS, help="Instead of the experiment's number; or 'auto'.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="To repeat a run; printed by each.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option(
    "--operator",
    type=click.Choice(["file", "ask"]),
    default="file",
    help="Who decides on a failover that needs approval: as the file says, or you.",
)
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="load.rate=50/s")
@click.option("--cell", "cells", multiple=True, metavar="CELL", help="Of a matrix: 3, or for=2s.")
@click.option("--plan-hash", metavar="HASH", help="Refuse to run anything but this plan.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json instead of a line.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def run(
    files: tuple[Path, ...],
    lab: str,
    trials: int | Literal["auto"] | None,
    seed: int | None,
    out: Path,
    operator: str,
    overrides: tuple[str, ...],
    cells: tuple[str, ...],
    plan_hash: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run experiments: start the stack, break it under load, measure, judge, report."""
    from chaoskit.experiment.loader import load_cells
    from chaoskit.experiment.overrides import read_changes
    from chaoskit.operator import ask_a_person, asks, check_terminal
    from chaoskit.progress import progress
    from chaoskit.signals import Signals

    changes = read_changes(overrides)
    loaded = [load_cells(path, overrides=changes) for path in _files(files)]
    if operator == "ask":
        loaded = [tuple(map(ask_a_person, all_cells)) for all_cells in loaded]
    if any(asks(cell) for all_cells in loaded for cell in all_cells):
        check_terminal(sys.stdin, sys.stderr, quiet=quiet)
    from chaoskit.campaign import RunRequest
    from chaoskit.crossing import chosen_cells
    from chaoskit.plan import check_hash

    chosen = [chosen_cells(all_cells, cells) for all_cells in loaded]
    auto = trials == "auto"
    fixed = trials if isinstance(trials, int) else None
    codes: list[int] = []
    signals = Signals()
    with signals.installed(), progress(quiet=quiet) as say:
        for all_cells, some in zip(loaded, chosen, strict=True):
            argv = ("chaoskit", *sys.argv[1:])
            request = RunRequest(some[0][1], lab, fixed, seed, out, argv, say, auto=auto)
            check_hash(plan_hash, [cell for _, cell in some], request)
            codes.append(_run_one(request, some, len(all_cells), signals, say, as_json))
            if codes[-1] >= 128:
                break
    sys.exit(worst_code(codes))


def _run_one(
    request: RunRequest,
    cells: Sequence[tuple[int, Experiment]],
    all_of_them: int,
    signals: Signals,
    say: Progress,
    as_json: bool,
) -> int:
    from chaoskit.campaign import run_experiment
    from chaoskit.crossing import run_matrix

    try:
        if request.experiment.cell:
            crossed = run_matrix(request, cells, all_of_them, signals)
            say.result(crossed.result.model_dump_json(indent=1) if as_json else crossed.line())
            return crossed.result.exit_code
        outcome = run_experiment(request, signals)
    except ChaoskitError as error:
        say.line(f"{request.experiment.name}: {error}")
        say.result(f"ERROR {request.experiment.name} {str(error).splitlines()[0]}")
        return error.exit_code
    say.result(shown(outcome, as_json))
    return outcome.result.exit_code


cli.add_command(judge)
cli.add_command(compare)
cli.add_command(plan)
cli.add_command(lab)
cli.add_command(inject)
cli.add_command(halt)
cli.add_command(explain)
cli.add_command(doctor)
cli.add_command(export)


@cli.command()
@click.option("--dry-run", is_flag=True, help="Say what would be undone; change nothing.")
def heal(dry_run: bool) -> None:
    """Undo whatever an earlier run left behind: by its journal, and by label. Idempotent."""
    from chaoskit.lab.heal import heal as heal_all

    healed = heal_all(dry_run=dry_run)
    if not healed:
        click.echo("nothing to heal")
    failed = False
    for one in healed:
        click.echo(str(one))
        failed = failed or one.failed
    if failed:
        raise HealFailed("not everything could be undone; see above for the commands that would")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. An unforeseen error exits 4 with one line; CHAOSKIT_DEBUG=1 shows where."""
    try:
        cli.main(args=list(argv) if argv is not None else None, prog_name="chaoskit")
    except Exception as error:  # noqa: BLE001 - the edge of the program: see the exit codes
        if os.environ.get("CHAOSKIT_DEBUG"):
            traceback.print_exc()
        _say(
            f"chaoskit itself failed: {type(error).__name__}: {error}. Set CHAOSKIT_DEBUG=1 to "
            "see where; then run: chaoskit heal"
        )
        sys.exit(4)
