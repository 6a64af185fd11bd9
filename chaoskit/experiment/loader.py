"""An experiment file → ``Experiment``, or every problem of the file at once.

Nothing is started, and code of a plug-in is imported only where the file names it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from chaoskit import registry
from chaoskit import yaml_source as ys
from chaoskit.contracts import FaultModel
from chaoskit.errors import BadInput, Problem
from chaoskit.experiment.checks import check_experiment, stack_path
from chaoskit.experiment.matrix import cells_of, changed
from chaoskit.experiment.messages import explain
from chaoskit.experiment.model import Experiment, Step
from chaoskit.experiment.overrides import apply_overrides
from chaoskit.experiment.steps import read_step, read_threshold
from chaoskit.experiment.threshold import Threshold
from chaoskit.wording import quoted

__all__ = ["load_cells", "load_experiment", "source_line"]

_NONE: Mapping[str, str] = MappingProxyType({})
_STAND_IN = {
    # Put where a key is wrong, so that what is right can still be checked together.
    "chaoskit": 1,
    "name": "x",
    "question": "?",
    "stack": ".",
    "load": {"user": "x"},
    "steps": (Step.model_validate({"at": "0", "fault": FaultModel()}),),
    "thresholds": (Threshold("lost_writes == 0", "lost_writes", "==", 0, "count"),),
}


def load_experiment(path: Path, *, overrides: Mapping[str, str] = _NONE) -> Experiment:
    """Read, change by ``overrides`` (path → value, typed by the schema) and check the file.

    Of a file with a matrix this is the experiment as it stands, without any cell's changes.
    Raises ``BadInput`` with every problem of the file and of its stack, in the order of lines.
    """
    problems: list[Problem] = []
    root, source = _read(path, overrides, problems)
    experiment = _build(root, path, problems)
    if problems or experiment is None:
        raise BadInput(problems)
    return experiment.read_from(path, source, overrides)


def load_cells(path: Path, *, overrides: Mapping[str, str] = _NONE) -> tuple[Experiment, ...]:
    """Every cell of the file's matrix, in order; the experiment itself where it has none.

    Raises ``BadInput`` with every problem of every cell.
    """
    problems: list[Problem] = []
    root, source = _read(path, overrides, problems)
    found: list[Experiment] = []
    for changes in cells_of(root, problems):
        for change in changes:
            problems += [
                mark.problem(f"matrix: {place} is changed by --set as well; choose with --cell")
                for place, _, mark in change.puts
                if place in overrides
            ]
        experiment = _build(changed(root, changes, problems), path, problems)
        if experiment is not None:
            experiment = experiment.read_from(path, source, overrides)
            scale = {c.axis: c.number for c in changes if c.number is not None}
            found.append(experiment.as_cell({c.axis: c.label for c in changes}, scale))
    if problems:
        raise BadInput(problems)
    return tuple(found)


def _read(
    path: Path, overrides: Mapping[str, str], problems: list[Problem]
) -> tuple[ys.Mapping, str]:
    source = ys.read_text(path)
    root = ys.parse_yaml(source, str(path), problems)
    if not isinstance(root, ys.Mapping):
        raise BadInput([*problems, root.mark.problem("an experiment is a mapping of keys")])
    return apply_overrides(root, overrides, problems), source


def _build(root: ys.Mapping, path: Path, problems: list[Problem]) -> Experiment | None:
    """The experiment that a tree says, its problems noted; None where it says none at all."""
    bad: set[str] = set()
    steps = _steps(root, problems, bad)
    thresholds = _thresholds(root, problems, bad)
    given: dict[str, object] = {e.key: ys.to_plain(e.value) for e in root.entries}
    if "steps" in given:
        given["steps"] = tuple(step for step, _ in steps)
    if "thresholds" in given:
        given["thresholds"] = thresholds
    _stack_text(given, path, root, problems, bad)
    _locustfile(given, path)
    experiment = _validated(given, root, problems, bad)
    if experiment is not None:
        problems += check_experiment(experiment, path, root, steps, bad)
    return experiment


def _validated(
    given: dict[str, object], root: ys.Mapping, problems: list[Problem], bad: set[str]
) -> Experiment | None:
    """The experiment; with stand-ins for keys that are wrong; None where even that fails."""
    stand_ins = {key: _STAND_IN[key] for key in bad if key in _STAND_IN}
    try:
        return Experiment.model_validate({**given, **stand_ins})
    except ValidationError as error:
        problems += explain(error, Experiment, root)
        bad |= {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
    kept = {key: value for key, value in given.items() if key not in bad}
    try:
        return Experiment.model_validate({**_STAND_IN, **kept})
    except ValidationError:
        return None


def _stack_text(
    given: dict[str, object], path: Path, root: ys.Mapping, problems: list[Problem], bad: set[str]
) -> None:
    text = given.get("stack")
    if isinstance(text, str):
        node = root.get("stack")
        if "\x00" in text or not text.strip() or len(text) > 1000:
            mark = node.mark if node else root.mark
            problems.append(mark.problem(f"stack: {quoted(text)} is not a path"))
            bad.add("stack")
        given["stack"] = stack_path(path, text)


def _locustfile(given: dict[str, object], path: Path) -> None:
    """A locustfile is named from the experiment's folder; the child that runs it is elsewhere."""
    load = given.get("load")
    options = load.get("options") if isinstance(load, dict) else None
    if isinstance(options, dict) and isinstance(options.get("locustfile"), str):
        text = options["locustfile"].replace("\x00", "")
        options["locustfile"] = os.path.abspath(path.parent / text)  # noqa: PTH100 - text in, text out


def _steps(
    root: ys.Mapping, problems: list[Problem], bad: set[str]
) -> list[tuple[Step, ys.Mapping]]:
    node = root.get("steps")
    if node is None:
        return []
    if not isinstance(node, ys.Sequence):
        problems.append(node.mark.problem("steps: must be a list of mappings"))
        bad.add("steps")
        return []
    found = []
    for item in node.items:
        before = len(problems)
        step = read_step(item, problems)
        if len(problems) > before:
            bad.add("steps")
        if step is not None and isinstance(item, ys.Mapping):
            found.append((step, item))
    return found


def _thresholds(root: ys.Mapping, problems: list[Problem], bad: set[str]) -> tuple[Threshold, ...]:
    node = root.get("thresholds")
    if node is None:
        return ()
    if not isinstance(node, ys.Sequence):
        problems.append(
            node.mark.problem("thresholds: must be a list, each like failover_time < 5s")
        )
        bad.add("thresholds")
        return ()
    others = tuple(registry.names("chaoskit.metrics"))
    found = [read_threshold(item, problems, others) for item in node.items]
    if None in found:
        bad.add("thresholds")
    return tuple(threshold for threshold in found if threshold is not None)


def source_line(path: Path, line: int) -> str | None:
    """The text of a line, counted from 1, for showing where a problem stands; None if none."""
    try:
        lines = ys.read_text(path).splitlines()
    except BadInput:
        return None
    return lines[line - 1] if 0 < line <= len(lines) else None
