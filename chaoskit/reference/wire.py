"""Messages as JSON, for the shapes in which every node talks to every other.

A message is a frozen dataclass of JSON's own types; it travels as ``[kind, field, field, …]``.
Several may travel together in the body of one request, and so may their answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

__all__ = ["Codec"]

M = TypeVar("M")


class Codec(Generic[M]):
    """Encodes and decodes the messages of one protocol."""

    def __init__(self, *kinds: type[M]) -> None:
        self._kinds: dict[str, type[Any]] = {kind.__name__: kind for kind in kinds}
        self._fields = {
            name: tuple(field.name for field in fields(kind)) for name, kind in self._kinds.items()
        }

    def encode(self, messages: Sequence[M]) -> bytes:
        """One body for all of them."""
        made = []
        for message in messages:
            name = type(message).__name__
            made.append([name, *(getattr(message, field) for field in self._fields[name])])
        return json.dumps(made, separators=(",", ":")).encode()

    def decode(self, body: bytes) -> list[M]:
        """What ``encode`` wrote. Raises ``ValueError`` for anything else.

        JSON knows no tuples: what was one comes back as a list.
        """
        try:
            found: list[M] = []
            for name, *values in json.loads(body):
                named = dict(zip(self._fields[name], values, strict=True))
                found.append(self._kinds[name](**named))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("not a message of this protocol") from error
        return found
