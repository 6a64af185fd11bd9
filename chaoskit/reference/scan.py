"""Counting a log, a slice at a time so that heartbeats go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

__all__ = ["counted"]

_SLICE = 20_000


async def counted(tokens: Sequence[int]) -> bytes:
    """Lines of ``token multiplicity``, of the tokens that were there at the start."""
    length = len(tokens)
    counts: Counter[int] = Counter()
    for start in range(0, length, _SLICE):
        counts.update(tokens[start : min(start + _SLICE, length)])
        await asyncio.sleep(0)
    rows = list(counts.items())
    parts: list[bytes] = []
    for start in range(0, len(rows), _SLICE):
        piece = rows[start : start + _SLICE]
        parts.append("".join([f"{token} {count}\n" for token, count in piece]).encode())
        await asyncio.sleep(0)
    return b"".join(parts)
