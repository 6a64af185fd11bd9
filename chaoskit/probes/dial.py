"""Tries TCP connections on request: shows from outside whether a fault bites.

``python -m chaoskit.probes.dial``. Input, one line each:
``{"id": 1, "address": "198.18.0.2", "port": 8080, "timeout_s": 0.3, "poke": ""}``, with whatever
else of ``contracts.Dial`` says when it works. Output:
``{"id": 1, "outcome": "open", "sent_ns": ..., "done_ns": ..., "bytes": 0}``; outcomes are ``open``,
``refused``, ``reset``, ``silent`` (no answer in time), ``unreachable``, ``short`` (fewer bytes than
asked for), ``slow`` (all of it, but later than it should), ``unknown`` and ``misled`` (a name).
Requests are served side by side; a connection that opens is closed at once, with ``poke`` after
that text was sent and as much came back as was asked for.

The first line says on which ports this child hears others: datagrams sent to it are reported as
``{"event": "heard", "id": 1, "n": 1, "done_ns": ...}``, by it and not by whoever sent them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.probes.dial_ends import FarEnd, send_datagrams, transfer
from chaoskit.probes.dial_kept import Kept
from chaoskit.probes.lines import listen, say

__all__ = ["Outcome", "dial", "main", "outcome_of"]

_TIMEOUT_S = 1.0
_PIECE = 65536
_QUIET_S = 0.1


@dataclass(frozen=True)
class Outcome:
    """One word, and when the attempt began and was over (CLOCK_MONOTONIC ns)."""

    word: str
    sent_ns: int
    done_ns: int
    size: int = 0  # bytes that came back


def outcome_of(error: OSError | TimeoutError) -> str:
    """One word for what became of a connection."""
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return "reset"
    return "unreachable"


async def dial(ask: Mapping[str, object], kept: Kept | None = None) -> Outcome:
    """Try it once. ``ask`` has the fields of ``contracts.Dial`` and ``timeout_s``.

    Raises ``KeyError`` or ``ValueError`` where they make no sense.
    """
    if ask.get("how", "connect") in ("kept", "transfer"):
        return await _dial_otherwise(ask, kept or Kept())
    address, port = str(ask["address"]), int(str(ask["port"]))
    timeout_s = float(str(ask.get("timeout_s", _TIMEOUT_S)))
    poke, read = str(ask.get("poke", "")), str(ask.get("read", "reaction"))
    wanted = int(str(ask.get("min_bytes", 0)))
    loop = asyncio.get_running_loop()
    size = done_ns = 0
    if ask.get("how") == "name":
        begin_ns = time.monotonic_ns()
        word = await _resolve(address, str(ask["expect"]), timeout_s)
        if word is not None:
            return Outcome(word, begin_ns, time.monotonic_ns())
        address = str(ask["expect"])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        sent_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_connect(connection, (address, port))
                if poke:
                    await loop.sock_sendall(connection, poke.encode())
                    quiet_s = float(str(ask.get("quiet_s", _QUIET_S)))
                    size, done_ns = await _hear(loop, connection, read, quiet_s)
            word, done_ns = "open", done_ns or time.monotonic_ns()
        except OSError as error:  # TimeoutError is one too
            word, done_ns = outcome_of(error), time.monotonic_ns()
    if word == "open" and size < max(wanted, read != "reaction"):
        word = "short"
    limit_s = float(str(ask.get("slow_s", 0))) + size * float(str(ask.get("slow_byte_s", 0)))
    if word == "open" and limit_s and done_ns - sent_ns > limit_s * 1e9:
        word = "slow"
    return Outcome(word, sent_ns, done_ns, size)


async def _resolve(name: str, expect: str, timeout_s: float) -> str | None:
    """None if the name means that address, else what became of the question."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(name, None, family=socket.AF_INET)
    except OSError as error:
        return "silent" if isinstance(error, TimeoutError) else "unknown"
    return None if expect in {place[4][0] for place in found} else "misled"


async def _dial_otherwise(ask: Mapping[str, object], kept: Kept) -> Outcome:
    """The kept connection, or a transfer."""
    address, port = str(ask["address"]), int(str(ask["port"]))
    timeout_s, slow_s = (float(str(ask.get(key, 0))) for key in ("timeout_s", "slow_s"))
    sent_ns = time.monotonic_ns()
    try:
        async with asyncio.timeout(timeout_s):
            if ask["how"] == "kept":
                await kept.ask(address, port)
            else:
                await transfer(address, port, int(str(ask["size"])))
        word = "open"
    except OSError as error:
        word = outcome_of(error)
    done_ns = time.monotonic_ns()
    if word == "open" and slow_s and done_ns - sent_ns > slow_s * 1e9:
        word = "slow"
    return Outcome(word, sent_ns, done_ns)


async def _hear(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, read: str, quiet_s: float
) -> tuple[int, int]:
    """How many bytes came, and when the last of them did (for "close": when the end did).

    Reads the first piece for "reaction", all until the end for "close", and for "answer" all until
    the end or until nothing more comes for so long.
    """
    size = 0
    while True:
        piece = len(await loop.sock_recv(connection, _PIECE))
        now = time.monotonic_ns()
        size += piece
        if not piece or read == "reaction":
            return size, now
        if read == "answer":
            try:
                async with asyncio.timeout(quiet_s):
                    await _readable(loop, connection)
            except TimeoutError:
                return size, now


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Until there is something to read, or the end."""
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    kept, far_end = Kept(), FarEnd(say)

    async def answer(request: dict[str, object]) -> None:
        try:
            if request.get("how") == "datagram":
                place = str(request["address"]), int(str(request["port"]))
                await send_datagrams(*place, request["id"], int(str(request["size"])))
                return
            found = await dial(request, kept)
        except (KeyError, ValueError, OverflowError) as error:
            say({"id": request.get("id"), "error": f"bad request: {error}"})
            return
        said = {"id": request.get("id"), "outcome": found.word, "bytes": found.size}
        say({**said, "sent_ns": found.sent_ns, "done_ns": found.done_ns})

    def begin(request: dict[str, object]) -> None:
        task = loop.create_task(answer(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def heard(request: dict[str, object]) -> None:
        loop.call_soon_threadsafe(begin, request)

    await far_end.open()
    listen(heard)
    say({"event": "ready", **far_end.ports})
    await asyncio.Event().wait()  # the end of the input ends the process


def main() -> None:
    """Serve until standard input closes."""
    # A resolver that does not answer must not keep this process busy for longer than it does.
    os.environ["RES_OPTIONS"] = "timeout:1 attempts:1"
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
