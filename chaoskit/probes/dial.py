"""Tries TCP connections on request: shows from outside whether a fault bites.

``python -m chaoskit.probes.dial``. Input, one line each:
``{"id": 1, "address": "198.18.0.2", "port": 8080, "timeout_s": 0.3, "poke": ""}``. Output:
``{"id": 1, "outcome": "open", "sent_ns": ..., "done_ns": ...}``; outcomes are ``open``,
``refused``, ``reset``, ``silent`` (no answer in time) and ``unreachable``. Requests are served side
by side; a connection that opens is closed at once, with ``poke`` after that text was sent and
anything came back (a hang-up is an answer, too).
"""

from __future__ import annotations

import asyncio
import socket
import time

from chaoskit.probes.lines import listen, say

__all__ = ["dial", "main", "outcome_of"]

_TIMEOUT_S = 1.0


def outcome_of(error: OSError | TimeoutError) -> str:
    """One word for what became of a connection."""
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return "reset"
    return "unreachable"


async def dial(address: str, port: int, timeout_s: float, poke: str = "") -> tuple[str, int, int]:
    """Outcome, and when the attempt began and was over (CLOCK_MONOTONIC ns)."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        sent_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_connect(connection, (address, port))
                if poke:
                    await loop.sock_sendall(connection, poke.encode())
                    await loop.sock_recv(connection, 1)
            outcome = "open"
        except OSError as error:  # TimeoutError is one too
            outcome = outcome_of(error)
        return outcome, sent_ns, time.monotonic_ns()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def answer(request: dict[str, object]) -> None:
        try:
            address, port = str(request["address"]), int(str(request["port"]))
            timeout_s = float(str(request.get("timeout_s", _TIMEOUT_S)))
            outcome, sent_ns, done_ns = await dial(
                address, port, timeout_s, str(request.get("poke", ""))
            )
        except (KeyError, ValueError, OverflowError) as error:
            say({"id": request.get("id"), "error": f"bad request: {error}"})
            return
        said = {"id": request.get("id"), "outcome": outcome}
        say({**said, "sent_ns": sent_ns, "done_ns": done_ns})

    def begin(request: dict[str, object]) -> None:
        task = loop.create_task(answer(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def heard(request: dict[str, object]) -> None:
        loop.call_soon_threadsafe(begin, request)

    listen(heard)
    say({"event": "ready"})
    await asyncio.Event().wait()  # the end of the input ends the process


def main() -> None:
    """Serve until standard input closes."""
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
