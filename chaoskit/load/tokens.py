"""Tokens as services return them: unsigned 64-bit whole numbers, and how often each is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Table", "count", "save", "table_of", "token_of", "tokens_of"]

Table = np.ndarray[Any, np.dtype[np.uint64]]
"""Rows of token and multiplicity, by token."""


def token_of(value: object) -> int:
    """A token from a number, text or bytes. Raises ``ValueError`` for anything else."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    raise ValueError(f"the log holds something that is no token: {str(value)[:40]!r}")


def count(values: Iterable[object]) -> Mapping[int, int]:
    """How often each token is among the values."""
    return Counter(map(token_of, values))


def tokens_of(body: bytes) -> Mapping[int, int]:
    """Tokens of a log that was read: JSON, or one a line with or without its multiplicity.

    JSON may be the list itself or an object with ``tokens``; the list may hold tokens, or pairs
    of token and multiplicity; an object maps tokens to multiplicities.
    """
    text = body.strip()
    if text[:1] not in (b"{", b"["):
        return _lines(text)
    data = json.loads(text)
    if isinstance(data, dict):
        data = data.get("tokens", data)
    found: Counter[int] = Counter()
    if isinstance(data, dict):
        data = list(data.items())
    if not isinstance(data, list):
        raise ValueError("the log that was read holds no list of tokens")  # noqa: TRY004 - wrong data, not a wrong call
    for item in data:
        if isinstance(item, list | tuple):
            if len(item) != 2:
                raise ValueError("the log that was read holds an entry that is no pair")
            found[token_of(item[0])] += token_of(item[1])
        else:
            found[token_of(item)] += 1
    return found


def _lines(text: bytes) -> Mapping[int, int]:
    found: Counter[int] = Counter()
    for line in text.splitlines():
        token, *rest = line.split() or [b""]
        if len(rest) > 1:
            raise ValueError(f"the log holds a line that is no token: {line[:40]!r}")
        found[token_of(token)] += token_of(rest[0]) if rest else 1
    return found


def table_of(counts: Mapping[int, int]) -> Table:
    """As it is stored: n rows of token and multiplicity, by token."""
    return np.array(sorted(counts.items()), dtype="<u8").reshape(-1, 2)


def save(path: Path, table: Table) -> None:
    """Write ``path`` as numpy does, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        np.save(file, table)
    beside.replace(path)
