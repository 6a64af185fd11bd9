"""What every part of the Compose parser shares: where it is, what it found wrong, small readers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaoskit import yaml_source as ys
from chaoskit.errors import Problem
from chaoskit.stack.interpolate import InterpolationError, expand
from chaoskit.units import UnitError, parse_duration
from chaoskit.wording import did_you_mean, quoted

__all__ = ["Reading"]


@dataclass
class Reading:
    """One Compose file while it is read. ``file`` is the path as people should see it."""

    file: str
    folder: Path
    env: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    refusals: list[Problem] = field(default_factory=list)  # of the sandbox lab only
    _judged: set[ys.Mark] = field(default_factory=set)  # keys: an anchor's are met more than once
    without_effect: dict[str, list[str]] = field(default_factory=dict)  # key → services
    unset: set[str] = field(default_factory=set)
    files: dict[tuple[str, str], str | None] = field(default_factory=dict)  # see files.py
    left_out: dict[str, str] = field(default_factory=dict)  # service → the profile it belongs to

    def wrong(self, mark: ys.Mark, sentence: str) -> None:
        """No lab could run it."""
        self.problems.append(mark.problem(sentence))

    def refuse(self, mark: ys.Mark, sentence: str) -> None:
        """The sandbox lab cannot run it; Docker may."""
        self.refusals.append(mark.problem(sentence + "; remove it or use --lab docker"))

    def no_effect(self, key: str, service: str) -> None:
        """Accepted; the sandbox lab does nothing with it, and says so once."""
        self.without_effect.setdefault(key, []).append(service)

    # ------------------------------------------------------------ variables

    def expand(self, node: ys.Node) -> ys.Node:
        """The tree with every ``${NAME}`` in its values replaced."""
        if isinstance(node, ys.Scalar):
            return self._expand_scalar(node)
        if isinstance(node, ys.Sequence):
            return replace(node, items=tuple(self.expand(item) for item in node.items))
        entries = tuple(replace(e, value=self.expand(e.value)) for e in node.entries)
        return replace(node, entries=entries)

    def _expand_scalar(self, node: ys.Scalar) -> ys.Scalar:
        if not isinstance(node.value, str) or "$" not in node.value:
            return node
        try:
            text = expand(node.value, self.env, self.unset)
        except InterpolationError as error:
            shift = node.indent + error.column if "\n" not in node.value else 0
            self.problems.append(node.mark.problem(str(error), shift=shift))
            text = ""
        return replace(node, value=text, text=text)

    # ------------------------------------------------------------ small readers
    # Each returns None, with the problem noted, where the value is not what it should be.

    def mapping(self, node: ys.Node | None, what: str) -> ys.Mapping | None:
        """None, too, for an empty value, which is fine."""
        if node is None or (isinstance(node, ys.Scalar) and node.value is None):
            return None
        if not isinstance(node, ys.Mapping):
            self.wrong(node.mark, f"{what} must be a mapping of keys to values")
            return None
        return node

    def text(self, node: ys.Node | None, what: str) -> str | None:
        """A word or number; None, too, for an empty value."""
        if node is None or (isinstance(node, ys.Scalar) and node.value is None):
            return None
        if not isinstance(node, ys.Scalar):
            self.wrong(node.mark, f"{what} must be one word or text, not a list or mapping")
            return None
        if "\x00" in node.text:
            self.wrong(node.mark, f"{what} holds a NUL character")
            return None
        return node.text

    def texts(self, node: ys.Node | None, what: str) -> list[ys.Text]:
        """A list of texts; one text alone is a list of one."""
        if isinstance(node, ys.Sequence):
            found = [(item, self.text(item, f"each entry of {what}")) for item in node.items]
        else:
            found = [] if node is None else [(node, self.text(node, what))]
        return [ys.Text(text, item.mark) for item, text in found if text is not None]

    def words(self, node: ys.Node | None, what: str) -> tuple[str, ...] | None:
        """A command: a list as it is, a text split as a shell would; None where not given."""
        if isinstance(node, ys.Sequence):
            return tuple(str(text) for text in self.texts(node, what))
        text = self.text(node, what)
        if text is None or node is None:
            return None
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            self.wrong(node.mark, f"{what} cannot be split into words: {str(error).lower()}")
            return None

    def duration(self, node: ys.Node | None, what: str, default: float) -> float:
        """Seconds of a text with a unit."""
        text = self.text(node, what)
        if text is None or node is None:
            return default
        try:
            return parse_duration(text)
        except UnitError as error:
            self.wrong(node.mark, f"{what}: {error}")
            return default

    def whole(self, node: ys.Node | None, what: str, default: int) -> int:
        """A number without sign or point."""
        text = self.text(node, what)
        if text is None or node is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            self.wrong(node.mark, f"{what} must be a whole number, not {quoted(text)}")
            return default
        return int(text)

    def yes(self, node: ys.Node | None, what: str) -> bool:
        """False, too, for an empty value."""
        text = self.text(node, what)
        if text is None or node is None:
            return False
        if text.lower() not in ("true", "false"):
            self.wrong(node.mark, f"{what} must be true or false, not {quoted(text)}")
        return text.lower() == "true"

    def pairs(self, node: ys.Node | None, what: str) -> Iterator[tuple[str, ys.Text | None]]:
        """Of ``{A: b}`` or ``[A=b]``: names with values; a value that is not given is None."""
        if isinstance(node, ys.Sequence):
            for item in self.texts(node, what):
                name, equals, value = item.partition("=")
                mark = replace(item.mark, column=item.mark.column + len(name) + 1)
                yield name, ys.Text(value, mark) if equals else None
            return
        table = self.mapping(node, what)
        for entry in table.entries if table else ():
            if isinstance(entry.value, ys.Scalar) and isinstance(entry.value.value, bool):
                self.wrong(
                    entry.value.mark,
                    f"{what}: put quotes around {quoted(entry.value.text)}; Compose takes no "
                    "booleans here",
                )
            text = self.text(entry.value, f"{what}: {quoted(entry.key)}")
            yield entry.key, None if text is None else ys.Text(text, entry.value.mark)

    def only(self, table: ys.Mapping, known: Mapping[str, bool], what: str) -> None:
        """Refuse keys that Compose does not know, and for the sandbox those mapped to False."""
        for entry in table.entries:
            if entry.key.startswith("x-") or entry.mark in self._judged:
                continue
            if entry.key not in known:
                self._judged.add(entry.mark)
                hint = did_you_mean(entry.key, known)
                self.wrong(entry.mark, f"unknown key {quoted(entry.key)} in {what}{hint}")
            elif not known[entry.key]:
                self._judged.add(entry.mark)
                self.refuse(entry.mark, f"the sandbox lab cannot do '{entry.key}' of {what}")
