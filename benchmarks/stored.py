"""What the benchmarks of stored runs share: finding the trials of a run directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parent.parent / "reports" / "example"


def runs(arguments: list[str]) -> list[tuple[Path, dict[str, Any]]]:
    """Folder and result of each run directory; the stored example where none is named.

    One that is named twice, as with ``latest`` beside the rest, is taken once.
    """
    folders = {Path(a).resolve(): Path(a) for a in arguments} or {EXAMPLE: EXAMPLE}
    found = []
    for folder in folders.values():
        path = folder / "result.json"
        if not path.exists():
            raise SystemExit(f"{folder}: no result.json; name a directory that a run has written")
        found.append((folder, json.loads(path.read_text(encoding="utf-8"))))
    return found


def trials(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Trials that were measured."""
    return (trial for trial in result["trials"] if trial.get("metrics"))


def spread(values: list[float], unit: float = 1.0) -> str:
    """Median and worst of some seconds, in units of ``unit`` seconds."""
    ordered = sorted(values)
    middle = (
        ordered[len(ordered) // 2]
        if len(ordered) % 2
        else sum(ordered[len(ordered) // 2 - 1 : len(ordered) // 2 + 1]) / 2
    )
    return f"{middle / unit:10.2f} {ordered[-1] / unit:10.2f}"
