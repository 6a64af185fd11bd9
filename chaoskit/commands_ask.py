"""Commands that only look: ``plan``, ``explain`` and ``doctor``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from chaoskit.errors import BadInput, Refused

__all__ = ["doctor", "explain", "plan"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--lab", type=click.Choice(["auto", "docker", "sandbox"]), default="auto")
@click.option("--trials", type=click.IntRange(1, 1000), help="Instead of the experiment's number.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="load.rate=50/s")
@click.option("--cell", "cells", multiple=True, metavar="CELL", help="Of a matrix: 3, or for=2s.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    file: Path,
    lab: str,
    trials: int | None,
    overrides: tuple[str, ...],
    cells: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what a run of FILE would do, when, to whom, and how it is undone. Changes nothing.

    The hash at the end binds a run to it: chaoskit run FILE --plan-hash HASH. Exits 2 where this
    machine cannot do what the experiment needs.
    """
    from chaoskit.crossing import chosen_cells
    from chaoskit.experiment.loader import load_cells
    from chaoskit.experiment.overrides import read_changes
    from chaoskit.plan import plan_of, together

    found = load_cells(file, overrides=read_changes(overrides))
    plans = [plan_of(cell, lab, trials) for _, cell in chosen_cells(found, cells)]
    if as_json:
        told = {"hash": together(plans), "plans": [one.as_json() for one in plans]}
        click.echo(json.dumps(told, indent=1, default=str))
    else:
        click.echo("\n\n".join(map(str, plans)))
        if len(plans) > 1:
            click.echo(f"\nplan of all {len(plans)} cells {together(plans)}")
    lacking = dict.fromkeys(sentence for one in plans for sentence in one.lacking())
    if lacking:
        raise Refused("\n".join(lacking))


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def explain(name: str, as_json: bool) -> None:
    """Say what a fault, load, probe, lab or metric is: fields, defaults, needs, undo, example."""
    from chaoskit.explaining import explained

    found = explained(name)
    click.echo(json.dumps(found.as_json(), indent=1, default=str) if as_json else str(found))


@click.command()
@click.option("--lab", type=click.Choice(["all", "docker", "sandbox"]), default="all")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(lab: str, as_json: bool) -> None:
    """Say what this machine can do, and for each thing that is missing what would help.

    Exits 0 if some lab (or the one named) can run, 4 if not. Changes nothing.
    """
    from chaoskit.doctor import examine

    if lab not in ("all", "docker", "sandbox"):
        raise BadInput(f"no lab is called {lab}")
    found = examine(lab)
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else str(found))
    sys.exit(0 if found.able else 4)
