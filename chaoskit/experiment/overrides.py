"""``--set path=value``: changes to an experiment's tree before it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chaoskit import yaml_source as ys
from chaoskit.errors import BadInput, Problem
from chaoskit.wording import did_you_mean, quoted

__all__ = ["apply_overrides", "put", "read_changes"]


def apply_overrides(
    root: ys.Mapping, overrides: Mapping[str, str], problems: list[Problem]
) -> ys.Mapping:
    """The tree with every value put at its path; the schema decides later what it means.

    A path names keys and list positions from 0: ``load.rate``, ``steps.0.at``. What is wrong is
    said with the flag itself as the place.
    """
    for path, text in overrides.items():
        mark = ys.Mark(f"--set {path}", 1, len(path) + 2)
        try:
            value = _value(text, mark)
            changed = _put(root, path.split("."), value, replace(mark, column=1), path)
        except BadInput as error:
            problems += error.problems
            continue
        assert isinstance(changed, ys.Mapping)  # noqa: S101 - _put keeps the shape of the root
        root = changed
    return root


def read_changes(flags: Sequence[str]) -> dict[str, str]:
    """What the flags ``--set PATH=VALUE`` say. Raises ``BadInput``."""
    changes: dict[str, str] = {}
    for text in flags:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise BadInput(f"--set {text}: write it as path=value, e.g. --set load.rate=50/s")
        changes[path] = value
    return changes


def put(node: ys.Node, path: str, value: ys.Node, mark: ys.Mark) -> ys.Node:
    """``node`` with ``value`` at ``path``. Raises ``BadInput``; ``mark`` is where to say it."""
    return _put(node, path.split("."), value, mark, path)


def _value(text: str, mark: ys.Mark) -> ys.Node:
    """Lists, mappings and quoted texts are YAML; everything else is a word."""
    if not text.lstrip().startswith(("[", "{", "'", '"')):
        return ys.word(text.strip(), mark)
    problems: list[Problem] = []
    node = ys.parse_yaml(text, mark.file, problems)
    if problems:
        raise BadInput(problems)
    return node


def _put(node: ys.Node, parts: list[str], value: ys.Node, mark: ys.Mark, path: str) -> ys.Node:
    if not parts:
        return value
    head, rest = parts[0], parts[1:]
    if not head:
        raise BadInput([mark.problem("a part of the path is empty; write e.g. load.rate")])
    if isinstance(node, ys.Sequence):
        if not head.isdecimal() or not head.isascii() or int(head[:9]) >= len(node.items):
            raise BadInput(
                [
                    mark.problem(
                        f"no entry {quoted(head)}: the list has {len(node.items)}, from 0 on"
                    )
                ]
            )
        at = int(head[:9])
        items = list(node.items)
        items[at] = _put(items[at], rest, value, mark, path)
        return replace(node, items=tuple(items))
    if isinstance(node, ys.Scalar) and node.value is not None:
        raise BadInput([mark.problem(f"{quoted(head)} has nothing to stand in: not a mapping")])
    entries = list(node.entries) if isinstance(node, ys.Mapping) else []
    at = next((i for i, e in enumerate(entries) if e.key == head), -1)
    if at < 0:
        if len(entries) > 200:
            hint = did_you_mean(head, [e.key for e in entries])
            raise BadInput([mark.problem(f"unknown key {quoted(head)}{hint}")])
        entries.append(ys.Entry(head, mark, _put(ys.Mapping(mark, ()), rest, value, mark, path)))
    else:
        entries[at] = replace(entries[at], value=_put(entries[at].value, rest, value, mark, path))
    return ys.Mapping(node.mark, tuple(entries))
