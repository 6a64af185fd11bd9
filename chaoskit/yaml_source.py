"""YAML as a tree that knows where everything stands. The only module that uses ruamel.yaml.

The text is data: no tag is executed, nothing is included, and size, depth and what aliases expand
to are limited before memory is. Plain words follow YAML 1.2: ``on`` and ``no`` are words, ``010``
is ten. Every problem is a sentence with line and column; a file that cannot be read at all has
one, any other file has them all.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chaoskit.errors import BadInput, Problem
from chaoskit.wording import plain, quoted

__all__ = [
    "Entry",
    "Mapping",
    "Mark",
    "Node",
    "Scalar",
    "Sequence",
    "Text",
    "parse_yaml",
    "read_text",
    "read_yaml",
    "to_plain",
    "word",
]

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 50
_MAX_NODES = 10_000
"""Values in the file, and values that its aliases stand for."""


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def problem(self, sentence: str, *, shift: int = 0) -> Problem:
        """Something wrong here, or ``shift`` characters to the right."""
        return Problem(self.file, self.line, self.column + shift, sentence)


class Text(str):
    """A string of a file that knows where it stood, so that it can be checked later."""

    __slots__ = ("mark",)
    mark: Mark

    def __new__(cls, text: str, mark: Mark) -> Self:
        """The text as it is, with its place beside it."""
        made = super().__new__(cls, text)
        made.mark = mark
        return made

    def __getnewargs__(self) -> tuple[str, Mark]:  # type: ignore[override]  # str's own has one
        return str(self), self.mark  # so that it can be copied


@dataclass(frozen=True)
class Scalar:
    """``value`` by the YAML 1.2 core rules; ``text`` as written, without quotes."""

    mark: Mark
    value: str | int | float | bool | None
    text: str
    indent: int = 0  # columns from the mark to the first character of ``text``
    size: int = 1


@dataclass(frozen=True)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]
    size: int = 1


@dataclass(frozen=True)
class Entry:
    """A key with its value."""

    key: str
    mark: Mark  # of the key
    value: Node


@dataclass(frozen=True)
class Mapping:
    """Keys with values, in the file's order, each key once; merge keys are merged."""

    mark: Mark
    entries: tuple[Entry, ...]
    size: int = 1

    def get(self, key: str) -> Node | None:
        """The value of ``key``; None where there is no such key."""
        return next((e.value for e in self.entries if e.key == key), None)

    def entry(self, key: str) -> Entry | None:
        """Key and value with both marks."""
        return next((e for e in self.entries if e.key == key), None)

    def keys(self) -> tuple[str, ...]:
        """All keys, in the file's order."""
        return tuple(e.key for e in self.entries)


Node = Scalar | Sequence | Mapping


def to_plain(node: Node) -> object:
    """The same as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    return {entry.key: to_plain(entry.value) for entry in node.entries}


def word(text: str, mark: Mark) -> Scalar:
    """A plain word that stands in no file, typed by the same rules."""
    value = _core_value(text)
    odd = isinstance(value, float) and not math.isfinite(value)
    return Scalar(mark, text if odd else value, text)


# ---------------------------------------------------------------- reading


def read_text(path: Path, shown: str | None = None) -> str:
    """The file's text. Raises ``BadInput`` where it is missing, huge or not UTF-8."""
    file = shown or str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadInput([Problem(file, 1, 1, "this is a folder, not a file")])
        if not stat.S_ISREG(status.st_mode):
            raise BadInput([Problem(file, 1, 1, "this is not an ordinary file")])
        if status.st_size > _MAX_BYTES:
            size = f"{status.st_size / _MAX_BYTES:.1f} MiB"
            raise BadInput([Problem(file, 1, 1, f"the file has {size}; 1 MiB is the limit")])
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput([Problem(file, 1, 1, f"cannot be read: {reason}")]) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        sentence = f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise BadInput([Problem(file, line, column, sentence)]) from error
    return text


_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def read_yaml(path: Path, problems: list[Problem], shown: str | None = None) -> Node:
    """The file's one document. Appends what is wrong but readable; raises ``BadInput`` else."""
    return parse_yaml(read_text(path, shown), shown or str(path), problems)


def parse_yaml(text: str, file: str, problems: list[Problem]) -> Node:
    """The same from text. ``file`` is what problems are said to stand in."""
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - (text.rfind("\n", 0, bad.start()) + 1) + 1
        sentence = f"the character U+{ord(bad[0]):04X} cannot stand in YAML; remove it"
        raise BadInput([Problem(file, line, column, sentence)])
    try:
        root = _Builder(file, problems).build(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        raise BadInput([_syntax(file, error)]) from None
    except (YAMLError, ValueError, AttributeError, IndexError, AssertionError) as error:
        # ruamel.yaml has internal checks that end in these for some broken directives and tags.
        sentence = f"not valid YAML: {plain(' '.join(str(error).split()))[:200]}"
        raise BadInput([Problem(file, 1, 1, sentence)]) from error
    if root is None:
        raise BadInput([Problem(file, 1, 1, "the file is empty")])
    return root


def _syntax(file: str, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = " ".join(str(error.problem or error.context or "it cannot be parsed").split())
    context = " ".join(str(error.context or "").split())
    sentence = f"not valid YAML: {plain(said)[:200]}"
    if context and context != said:
        sentence += f", {plain(context)[:100]}"
    if "\\t" in said or "tab" in said:
        sentence += "; indent with blanks"
    elif "mapping values are not allowed" in said:
        sentence += "; put quotes around a text that holds ': ', or check the indentation"
    return Problem(file, line, column, sentence)


# ---------------------------------------------------------------- building the tree


@dataclass
class _Open:
    """A list or mapping that has begun."""

    mark: Mark
    is_mapping: bool
    anchor: str | None
    children: list[Node] = field(default_factory=list)


class _Builder:
    """Makes nodes from parser events, without recursion, within the limits."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}  # None: begun, not finished
        self._count = 0
        self._documents = 0
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node | None:
        for event in events:
            kind = type(event).__name__
            handler = _HANDLERS.get(kind)
            if handler is not None:
                handler(self, event)
        return self._root

    def _mark(self, event: Any) -> Mark:
        return Mark(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, mark: Mark, sentence: str) -> None:
        raise BadInput([*self._problems, mark.problem(sentence)])

    def document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(self._mark(event), "a second document begins here; one file holds one")

    def begin(self, event: Any) -> None:
        mark = self._mark(event)
        self._check_tag(event, mark)
        if len(self._open) >= _MAX_DEPTH:
            self._stop(mark, f"nested more than {_MAX_DEPTH} levels deep")
        self._one_more(mark, 1)
        is_mapping = type(event).__name__ == "MappingStartEvent"
        self._open.append(_Open(mark, is_mapping, event.anchor))
        if event.anchor:
            self._anchors[event.anchor] = None

    def end(self, _event: Any) -> None:
        done = self._open.pop()
        size = 1 + sum(child.size for child in done.children)
        node: Node
        if done.is_mapping:
            node = Mapping(done.mark, self._entries(done), size)
        else:
            node = Sequence(done.mark, tuple(done.children), size)
        self._add(node, done.anchor)

    def scalar(self, event: Any) -> None:
        mark = self._mark(event)
        self._one_more(mark, 1)
        self._check_tag(event, mark)
        text: str = event.value
        bare = event.style is None and not (event.tag or "").endswith(":str")
        value = _core_value(text) if bare else text
        if "\0" in text or (isinstance(value, float) and not math.isfinite(value)):
            what = "text" if "\0" in text else "number"
            self._problems.append(mark.problem(f"{quoted(text)} is not a {what} that can be used"))
            value, text = 0, text.replace("\0", "")
        self._add(Scalar(mark, value, text, int(event.style is not None)), event.anchor)

    def alias(self, event: Any) -> None:
        mark = self._mark(event)
        name = event.anchor
        if name not in self._anchors:
            self._stop(mark, f"the alias {quoted('*' + name)} refers to no anchor before it")
        node = self._anchors[name]
        if node is None:
            self._stop(mark, f"the alias {quoted('*' + name)} stands inside what it refers to")
            return
        self._one_more(mark, node.size)
        self._add(node, None)

    def _check_tag(self, event: Any, mark: Mark) -> None:
        tag = str(event.tag or "")
        if tag and not re.fullmatch(
            r"(tag:yaml\.org,2002:|!!)(str|int|float|bool|null|map|seq)|!", tag
        ):
            self._problems.append(
                mark.problem(f"the tag {quoted(tag)} has no meaning here; remove it")
            )

    def _one_more(self, mark: Mark, size: int) -> None:
        self._count += size
        if self._count > _MAX_NODES:
            self._stop(mark, f"more than {_MAX_NODES:,} values, counting what aliases stand for")

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].children.append(node)
        elif self._root is None:
            self._root = node

    def _entries(self, done: _Open) -> tuple[Entry, ...]:
        """Keys with values; duplicates are reported with both places, the first one is kept."""
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(done.children[::2], done.children[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._problems.append(
                    key.mark.problem("a key must be a word, not a list or mapping")
                )
            elif key.text == "<<":
                self._merge(value, key.mark, merged)
            elif key.text in entries:
                first = entries[key.text].mark
                self._problems.append(
                    key.mark.problem(
                        f"the key {quoted(key.text)} is here a second time; the first is in line "
                        f"{first.line}, column {first.column}"
                    )
                )
            else:
                entries[key.text] = Entry(key.text, key.mark, value)
        for name, entry in merged.items():
            entries.setdefault(name, entry)
        return tuple(entries.values())

    def _merge(self, value: Node, mark: Mark, merged: dict[str, Entry]) -> None:
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                self._problems.append(mark.problem("'<<' merges mappings only, e.g. <<: *defaults"))
                continue
            for entry in source.entries:
                merged.setdefault(entry.key, entry)


_HANDLERS: dict[str, Any] = {
    "DocumentStartEvent": _Builder.document,
    "MappingStartEvent": _Builder.begin,
    "SequenceStartEvent": _Builder.begin,
    "MappingEndEvent": _Builder.end,
    "SequenceEndEvent": _Builder.end,
    "ScalarEvent": _Builder.scalar,
    "AliasEvent": _Builder.alias,
}

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def _core_value(text: str) -> str | int | float | bool | None:
    """A plain word by the core rules of YAML 1.2; a number too long to be meant stays text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 40:
        return text
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "", 1)) if _SPECIAL.fullmatch(text) else text
