"""Asks every node who it is, on a fixed schedule, and writes down every answer.

``python -m chaoskit.probes.child``; the first line of input is the configuration. Polls start at
fixed moments counted from the beginning, so their rate does not drift; a poll that takes longer
than its interval leaves out the moments that it missed and delays nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from chaoskit.clock import time_namespace
from chaoskit.probes.dial import outcome_of
from chaoskit.probes.events import Teller, ToldEvents
from chaoskit.probes.lines import fail, leave, listen, read_line, say

if TYPE_CHECKING:
    from chaoskit.contracts import Probe

__all__ = ["Config", "Poll", "find_probe", "main", "parse"]

_NS = 1_000_000_000
_EVERY_NS = 50_000_000
_TIMEOUT_NS = 200_000_000
_FLUSH_S = 0.05
_BUILT_IN = {"http": "chaoskit.probes.http:HttpProbe", "redis": "chaoskit.probes.redis:RedisProbe"}

Question = Literal["role", "health"]


@dataclass(frozen=True)
class Poll:
    """One question to one node, to be asked again and again."""

    node: str
    question: Question
    url: str
    probe: Probe
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """What the harness asks for. Intervals and timeouts in nanoseconds."""

    polls: Sequence[Poll]
    out: str
    every_ns: int = _EVERY_NS
    timeout_ns: int = _TIMEOUT_NS
    tellers: Sequence[Teller] = ()
    told: str = ""


def find_probe(scheme: str) -> Probe:
    """The probe that speaks a URL's scheme. Raises ``ValueError`` if nobody does.

    Only the entry point of that very name is imported. Where chaoskit is used without being
    installed (an image that carries its source), the built-in ones are found all the same.
    """
    found = [point.load() for point in entry_points(group="chaoskit.probes", name=scheme)]
    if not found and scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        found = [getattr(import_module(module), name)]
    for kind in found:
        if scheme in kind.schemes:
            probe: Probe = kind()
            return probe
    raise ValueError(f"no probe speaks '{scheme}:' (installed: http, redis and plug-ins)")


def parse(data: object) -> Config:
    """The configuration, checked. Raises ``ValueError`` with one sentence."""
    if not isinstance(data, dict):
        raise ValueError("the configuration of the probes is not an object")  # noqa: TRY004
    try:
        polls = [_poll(item) for item in data["probes"]]
        every_ns = int(data.get("every_ns") or _EVERY_NS)
        timeout_ns = int(data.get("timeout_ns") or _TIMEOUT_NS)
        out = data["out"]
        tellers = [Teller.of(item) for item in data.get("tellers") or ()]
        told = data.get("told", "")
    except KeyError as error:
        raise ValueError(f"the configuration of the probes lacks {error}") from None
    except (TypeError, AttributeError):
        raise ValueError("the configuration of the probes has a value of a wrong type") from None
    if tellers and not (isinstance(told, str) and told):
        raise ValueError("'told' is the path that events are written to")
    if not isinstance(out, str) or every_ns <= 0 or timeout_ns <= 0:
        raise ValueError("'out' is a path; 'every_ns' and 'timeout_ns' are positive")
    return Config(polls, out, every_ns, timeout_ns, tellers, told)


def _poll(item: Mapping[str, object]) -> Poll:
    question, url, words = item["question"], item["url"], item.get("words") or {}
    node = item["node"]
    if question not in ("role", "health"):
        raise ValueError(f"a probe asks for role or health, not {question!r}")
    if not (isinstance(url, str) and isinstance(node, str) and isinstance(words, dict)):
        raise TypeError
    asked: Question = "role" if question == "role" else "health"
    return Poll(node, asked, url, find_probe(urlsplit(url).scheme), words)


class _Asker:
    """Runs the polls of one configuration, and writes them down."""

    def __init__(self, config: Config, out: int) -> None:
        self._config = config
        self._out = out
        self._told = ToldEvents(config.tellers, config.told, config.timeout_ns / _NS)
        self._lines: list[str] = []
        self._last: dict[tuple[str, str], tuple[object, object, str | None]] = {}
        self._had: set[tuple[str, str]] = set()  # that have answered
        self.polls = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop; everything is on the file then."""
        begin = time.monotonic_ns()
        spread = self._config.every_ns // max(1, len(self._config.polls))
        tasks = [
            asyncio.create_task(self._repeat(poll, begin + index * spread))
            for index, poll in enumerate(self._config.polls)
        ]
        asking = asyncio.create_task(self._told.repeat())
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _FLUSH_S)
            self._flush()
            for task in (task for task in tasks if task.done()):
                name = self._config.polls[tasks.index(task)].node
                fail(f"the probe of {name} is broken: {task.exception()!r}")
            if asking.done():
                fail(f"asking for events is broken: {asking.exception()!r}")
        for task in (*tasks, asking):
            task.cancel()
        await asyncio.gather(*tasks, asking, return_exceptions=True)
        self._flush()
        await self._told.ask()
        self._told.close()

    async def _repeat(self, poll: Poll, begin: int) -> None:
        every, slot = self._config.every_ns, 0
        while True:
            wait = begin + slot * every - time.monotonic_ns()
            if wait > 0:
                await asyncio.sleep(wait / _NS)
            await self._once(poll)
            slot = max(slot + 1, -((begin - time.monotonic_ns()) // every))

    async def _once(self, poll: Poll) -> None:
        timeout_s = self._config.timeout_ns / _NS
        value: object = None
        epoch: object = None
        error: str | None = None
        sent_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await poll.probe.ask(poll.url, poll.question, timeout_s)
            value, epoch = answer.get("value"), answer.get("epoch")
        except OSError as problem:
            plain = problem.errno is None and type(problem) is OSError
            error = str(problem) if plain else outcome_of(problem)
        done_ns = time.monotonic_ns()
        if isinstance(value, str):
            value = poll.words.get(value, value)
        seen = {"node": poll.node, "question": poll.question, "sent_ns": sent_ns}
        seen |= {"done_ns": done_ns, "value": value, "epoch": epoch, "error": error}
        self._lines.append(json.dumps(seen, separators=(",", ":")))
        self.polls += 1
        key = (poll.node, poll.question)
        if error is None:
            self._had.add(key)
        # Why there is no answer matters to whoever waits for the first one, and only then.
        news = (value, epoch, None if key in self._had else error)
        if self._last.get(key) != news:
            self._last[key] = news
            say({"event": "change", **seen})

    def _flush(self) -> None:
        if not self._lines:
            return
        data = ("\n".join(self._lines) + "\n").encode("ascii")
        self._lines.clear()
        while data:
            data = data[os.write(self._out, data) :]


async def _serve(config: Config, out: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(message: dict[str, object]) -> None:
        if message.get("do") == "stop":
            loop.call_soon_threadsafe(stop.set)

    asker = _Asker(config, out)
    listen(heard)
    say({"event": "ready", "time_ns": time_namespace()})
    await asker.run(stop)
    say({"event": "stopped", "polls": asker.polls})
    leave()


def main() -> None:
    """Ask until told to stop or until standard input closes."""
    try:
        config = parse(read_line())
        out = os.open(config.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    asyncio.run(_serve(config, out))


if __name__ == "__main__":
    main()
