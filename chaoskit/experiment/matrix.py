"""``matrix:`` of an experiment: places of the file and the values that they take in turn.

::

    matrix:
      steps.0.fault: [kill, pause]              # an axis that is a place, as --set names it
      pause:                                    # an axis of rows: several places move together
        - {label: 0.5x, set: {steps.0.for: 150ms, thresholds: ["flapping == 0"]}}
        - {label: 2x, set: {steps.0.for: 600ms}}

Every combination is a *cell*: an experiment of its own, checked as such before anything starts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, JsonValue, WithJsonSchema

from chaoskit import yaml_source as ys
from chaoskit.errors import BadInput, Problem
from chaoskit.experiment.overrides import put
from chaoskit.units import UnitError, parse_duration
from chaoskit.wording import quoted

__all__ = ["MOST_CELLS", "Axes", "Change", "cells_of", "changed"]

MOST_CELLS = 200
_ROW_KEYS = ("label", "set")

Axes = Annotated[
    Mapping[str, tuple[JsonValue, ...]],
    Field(max_length=6),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "array", "minItems": 1, "maxItems": MOST_CELLS},
        }
    ),
]
"""Axis → its values, unchecked; ``cells_of`` reads them from the file with their places."""


@dataclass(frozen=True)
class Change:
    """One value of one axis: what it is called, and what it puts where."""

    axis: str
    label: str
    puts: tuple[tuple[str, ys.Node, ys.Mark], ...]  # place, value, where the place is named

    @property
    def number(self) -> float | None:
        """What it puts first, where that is a number or a time (in seconds)."""
        first = self.puts[0][1] if self.puts else None
        if not isinstance(first, ys.Scalar) or isinstance(first.value, bool):
            return None
        if isinstance(first.value, int | float):
            return float(first.value)
        try:
            return parse_duration(first.value)
        except UnitError:
            return None


def cells_of(root: ys.Mapping, problems: list[Problem]) -> Iterator[tuple[Change, ...]]:
    """Every combination, in the order of the file, the last axis turning fastest.

    One empty combination where there is no matrix; none where it is wrong, with its problems noted.
    """
    entry = root.entry("matrix")
    if entry is None:
        yield ()
        return
    before = len(problems)
    axes = _axes(entry.value, problems)
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MOST_CELLS:
        problems.append(
            entry.mark.problem(f"matrix: {count} combinations are more than {MOST_CELLS}")
        )
    if len(problems) == before:
        yield from itertools.product(*axes)


def _axes(node: ys.Node, problems: list[Problem]) -> list[list[Change]]:
    if not isinstance(node, ys.Mapping) or not node.entries:
        problems.append(node.mark.problem("matrix: must be a mapping of places to lists of values"))
        return []
    axes = []
    for entry in node.entries:
        if not isinstance(entry.value, ys.Sequence) or not entry.value.items:
            sentence = f"matrix.{entry.key}: must be a list of values"
            problems.append(entry.value.mark.problem(sentence))
            continue
        rows = any(isinstance(item, ys.Mapping) and item.get("set") for item in entry.value.items)
        if not rows and entry.key.split(".")[0] == "matrix":
            problems.append(entry.mark.problem("matrix: it cannot change itself"))
            continue
        make = _row if rows else _value
        changes = [make(entry, item, problems) for item in entry.value.items]
        axes.append([change for change in changes if change is not None])
        _same_twice(entry, axes[-1], problems)
    return axes


def _value(entry: ys.Entry, item: ys.Node, _problems: list[Problem]) -> Change:
    return Change(entry.key, _words(item), ((entry.key, item, entry.mark),))


def _row(entry: ys.Entry, item: ys.Node, problems: list[Problem]) -> Change | None:
    changes = item.get("set") if isinstance(item, ys.Mapping) else None
    if not isinstance(item, ys.Mapping) or not isinstance(changes, ys.Mapping):
        sentence = f"matrix.{entry.key}: each row is a mapping like {{label: 2x, set: {{...}}}}"
        problems.append(item.mark.problem(sentence))
        return None
    for other in item.entries:
        if other.key not in _ROW_KEYS:
            sentence = f"matrix.{entry.key}: a row has the keys label and set, not"
            problems.append(other.mark.problem(f"{sentence} {quoted(other.key)}"))
    label = item.get("label")
    words = (
        _words(label) if label is not None else ", ".join(_words(e.value) for e in changes.entries)
    )
    return Change(entry.key, words, tuple((e.key, e.value, e.mark) for e in changes.entries))


def _words(node: ys.Node) -> str:
    """A value in a word or two, for a table and for ``--cell``."""
    if isinstance(node, ys.Scalar):
        return node.text
    if isinstance(node, ys.Sequence):
        return "+".join(_words(item) for item in node.items) or "nothing"
    return " ".join(
        _words(e.value) if e.key == "fault" else f"{e.key}:{_words(e.value)}"
        for e in node.entries
        if e.key not in ("at", "when")
    )


def _same_twice(entry: ys.Entry, changes: list[Change], problems: list[Problem]) -> None:
    seen: set[str] = set()
    for change in changes:
        if change.label in seen:
            sentence = f"matrix.{entry.key}: {quoted(change.label)} is there twice"
            problems.append(entry.value.mark.problem(sentence))
        seen.add(change.label)


def changed(root: ys.Mapping, changes: tuple[Change, ...], problems: list[Problem]) -> ys.Mapping:
    """The file's tree with the values of one cell in their places, and without its matrix."""
    tree: ys.Node = ys.Mapping(root.mark, tuple(e for e in root.entries if e.key != "matrix"))
    for change in changes:
        for path, value, mark in change.puts:
            try:
                tree = put(tree, path, value, mark)
            except BadInput as error:
                problems += error.problems
    assert isinstance(tree, ys.Mapping)  # noqa: S101 - put keeps the shape of the root
    return tree
