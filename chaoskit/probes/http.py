"""Scheme ``http``: a small GET, on a new connection each time.

A kept connection would go on being stuck after a partition is healed, until TCP retransmits; a
new one asks the node as it is now.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

__all__ = ["HttpProbe", "get"]

_SIZE_MAX = 64 << 10
_ROLE_MAX = 64


class HttpProbe:
    """``role``: a JSON object with ``role`` and perhaps ``epoch``, or the role as plain text.

    ``health``: a status of 2xx is ``healthy``, any other answer ``unhealthy``.
    """

    schemes: ClassVar[tuple[str, ...]] = ("http",)

    async def ask(
        self, url: str, question: Literal["role", "health"], timeout_s: float
    ) -> Mapping[str, object]:
        """``{"value": ..., "epoch": ...}``; ``OSError`` without an answer that says so."""
        async with asyncio.timeout(timeout_s):
            status, body = await get(url)
        if question == "health":
            return {"value": "healthy" if _good(status) else "unhealthy"}
        answer = _role(body, plain=_good(status))
        if answer is None:
            raise OSError(f"http status {status} without a role")
        return answer


def _good(status: int) -> bool:
    return 200 <= status < 300


def _role(body: bytes, *, plain: bool) -> dict[str, object] | None:
    """What the body says; ``plain`` text counts where the status is 2xx.

    A status that is not may come with an object that names the role (health pages of replicas
    do that), but text is an error message then.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        data = json.loads(text)
    except ValueError:
        data = text
    if isinstance(data, dict):
        role, epoch = data.get("role"), data.get("epoch")
        if not isinstance(role, str):
            return None
        whole = isinstance(epoch, int) and not isinstance(epoch, bool)
        return {"value": role, "epoch": epoch} if whole else {"value": role}
    if plain and isinstance(data, str) and 0 < len(data) <= _ROLE_MAX and data.isprintable():
        return {"value": data}
    return None


async def get(url: str, most: int = _SIZE_MAX) -> tuple[int, bytes]:
    """Status and body of one GET, up to so many bytes of it.

    Raises ``OSError`` for an answer that is not HTTP.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    reader, writer = await asyncio.open_connection(host, port, limit=_SIZE_MAX)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        await writer.drain()
        return await _answer(reader, most)
    finally:
        writer.transport.abort()  # also when the time is up: no connection is left to linger


async def _answer(reader: asyncio.StreamReader, most: int) -> tuple[int, bytes]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise OSError("the answer is not HTTP") from None
        raise ConnectionResetError("closed without an answer") from None
    except asyncio.LimitOverrunError:
        raise OSError("the answer is not HTTP") from None
    first, *fields = head.decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise OSError("the answer is not HTTP")
    named = {
        name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
    }
    length = named.get("content-length", "")
    if length.isdecimal():
        size = min(int(length), most)
        try:
            body = await reader.readexactly(size)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("closed in the middle of the answer") from None
    else:
        body = await _rest(reader, most)
    if named.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    return int(words[1]), body


async def _rest(reader: asyncio.StreamReader, most: int) -> bytes:
    body = b""
    while len(body) < most and (piece := await reader.read(_SIZE_MAX)):
        body += piece
    return body


def _unchunked(raw: bytes) -> bytes:
    body = b""
    while True:
        size, _, raw = raw.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            raise OSError("the answer is not HTTP") from None
        if length <= 0:
            return body
        body, raw = body + raw[:length], raw[length + 2 :]
