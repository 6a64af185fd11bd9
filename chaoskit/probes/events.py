"""What nodes tell of themselves: ``chaoskit.probe.events``, asked again and again for what is new.

The answer is JSON: a list of events, or an object with ``events`` and perhaps ``last``, the highest
number so far. An event has ``event`` (a word), ``t_ns`` (``CLOCK_MONOTONIC``) and ``n`` (a number
that grows with each), and may have ``detail`` and ``epoch``. The question carries ``after=N``, the
last number that is known; a system that does not understand it may answer with everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaoskit.probes.http import get

__all__ = ["EVERY_S", "Teller", "ToldEvents", "new_events"]

EVERY_S = 0.2
_MOST = 4 << 20
_MOST_TEXT = 200


@dataclass
class Teller:
    """One node that tells, and how far it has been heard."""

    node: str
    url: str
    after: int = 0

    @classmethod
    def of(cls, item: object) -> Teller:
        """From two texts; raises ``TypeError`` or ``KeyError`` for anything else."""
        if not isinstance(item, dict):
            raise TypeError
        node, url = item["node"], item["url"]
        if not (isinstance(node, str) and isinstance(url, str) and url.startswith("http:")):
            raise TypeError
        return cls(node, url)

    def question(self) -> str:
        """The URL that asks for what is new."""
        return f"{self.url}{'&' if '?' in self.url else '?'}after={self.after}"


def new_events(teller: Teller, body: bytes, seen_ns: int) -> list[dict[str, object]]:
    """The events of an answer that were not heard before; moves the teller on.

    A node whose last number is lower than what was heard has begun anew: all that it says is new.
    What is no event is passed over. Raises ``ValueError`` for what is not JSON.
    """
    data = json.loads(body)
    found = data.get("events") if isinstance(data, dict) else data
    rows = [row for row in found if _is_event(row)] if isinstance(found, list) else []
    last = data.get("last") if isinstance(data, dict) else None
    known = last if _is_number(last) else max((row["n"] for row in rows), default=None)
    if known is not None and known < teller.after:
        teller.after = 0
    fresh = sorted((row for row in rows if row["n"] > teller.after), key=lambda row: int(row["n"]))
    if fresh:
        teller.after = fresh[-1]["n"]
    return [_line(teller.node, row, seen_ns) for row in fresh]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _is_event(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("event"), str)
        and _is_number(row.get("t_ns"))
        and _is_number(row.get("n"))
    )


def _line(node: str, row: Mapping[str, Any], seen_ns: int) -> dict[str, object]:
    epoch = row.get("epoch")
    return {
        "node": node,
        "t_ns": row["t_ns"],
        "event": row["event"][:_MOST_TEXT],
        "seen_ns": seen_ns,
        "detail": str(row.get("detail", ""))[:_MOST_TEXT],
        "epoch": epoch if _is_number(epoch) else None,
    }


class ToldEvents:
    """Asks every teller and appends what is new to a file."""

    def __init__(self, tellers: Sequence[Teller], path: str, timeout_s: float) -> None:
        self._tellers = tellers
        self._timeout_s = timeout_s
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._out = os.open(path, flags, 0o644) if tellers else -1

    async def repeat(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.ask()

    async def ask(self) -> None:
        """Ask everybody once, at the same time; who does not answer is asked again later."""
        found = await asyncio.gather(*(self._one(teller) for teller in self._tellers))
        lines = [json.dumps(row, separators=(",", ":")) for rows in found for row in rows]
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        while data:
            data = data[os.write(self._out, data) :]

    async def _one(self, teller: Teller) -> list[dict[str, object]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await get(teller.question(), _MOST)
            return new_events(teller, body, time.monotonic_ns()) if status == 200 else []
        except (OSError, TimeoutError, ValueError):
            return []

    def close(self) -> None:
        """Let go of the file."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1
