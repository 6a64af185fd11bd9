"""Scheme ``redis``: ROLE and PING, spoken directly, on a new connection each time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

__all__ = ["RedisProbe"]

_PORT = 6379
_ROLE = b"*1\r\n$4\r\nROLE\r\n"
_PING = b"*1\r\n$4\r\nPING\r\n"
_WORD_MAX = 64


class RedisProbe:
    """``role``: the first word of ROLE (``master``, ``slave``, ``sentinel``).

    ``health``: ``healthy`` if PING is answered with PONG, ``unhealthy`` for any other answer.
    """

    schemes: ClassVar[tuple[str, ...]] = ("redis",)

    async def ask(
        self, url: str, question: Literal["role", "health"], timeout_s: float
    ) -> Mapping[str, object]:
        """``{"value": ...}``; ``OSError`` without an answer that says so."""
        parts = urlsplit(url)
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORT)
            try:
                writer.write(_PING if question == "health" else _ROLE)
                if question == "health":
                    pong = (await _line(reader)) == b"+PONG"
                    return {"value": "healthy" if pong else "unhealthy"}
                return {"value": await _first_word(reader)}
            finally:
                writer.transport.abort()


async def _first_word(reader: asyncio.StreamReader) -> str:
    """The first element of an array of bulk strings."""
    head = await _line(reader)
    if head.startswith(b"-"):
        raise OSError(head[1:100].decode("ascii", "replace"))
    size = await _line(reader) if head.startswith(b"*") else b""
    if not (size[:1] == b"$" and size[1:].isdigit() and 0 < int(size[1:]) <= _WORD_MAX):
        raise OSError("the answer is not one to ROLE")
    try:
        return (await reader.readexactly(int(size[1:]))).decode("ascii", "replace")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("closed in the middle of the answer") from None


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError:
        raise OSError("the answer is not Redis") from None
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("closed without an answer") from None
