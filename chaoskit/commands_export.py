"""``chaoskit export``: a stored run for the checkers and tools of others."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["export"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "edn", "jsonl"]),
    default="csv",
    show_default=True,
    help="edn: histories for Jepsen's checkers; else the requests as a table.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder; RUN/export if none.")
def export(run: Path, form: str, output: Path | None) -> None:
    """Write every request of a stored run for other tools. RUN: a run, or an experiment's folder.

    An experiment's folder stands for its newest run. Prints the files that were written.
    """
    from chaoskit.exporting import export as export_run

    for path in export_run(run, form, output):
        click.echo(path)
