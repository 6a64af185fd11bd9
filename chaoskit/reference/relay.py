"""A worker of its own between the clients and a node: takes their connections, passes bytes on.

Many servers are built like that: a process that talks to the peers and says that it is well, and
workers that do the work. When the worker hangs, the node is well by all that its peers can see,
and nobody is served. ``CHAOSKIT_RELAY_PORT`` is where clients connect, ``CHAOSKIT_PORT`` where the
node itself listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from chaoskit.reference.settings import BadSettings

__all__ = ["Relay", "serve"]

BLOCK = 65536


class Relay:
    """Passes every connection to ``inner`` on this machine, until either side hangs up."""

    def __init__(self, port: int, inner: int) -> None:
        self._port, self._inner = port, inner
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; the port (of use where 0 was asked for). Raises ``OSError``."""
        self._server = await asyncio.start_server(self._pass_on, port=self._port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._inner)
        except OSError:
            writer.transport.abort()  # a reset: as if nobody listened
            return
        ways = [
            asyncio.ensure_future(_copy(reader, forth)),
            asyncio.ensure_future(_copy(back, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, forth):
                end.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while block := await source.read(BLOCK):
            to.write(block)
            await to.drain()


async def serve() -> None:
    """Serve as the environment says, until the process ends. Raises ``BadSettings``."""
    ports = []
    for name in ("CHAOSKIT_RELAY_PORT", "CHAOSKIT_PORT"):
        text = os.environ.get(name, "")
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise BadSettings(f"{name}: must be a port, from 1 to 65535, not {text!r}")
        ports.append(int(text))
    relay = Relay(*ports)
    port = await relay.start()
    print(f"relay on {port}, to {ports[1]}", flush=True)  # noqa: T201 - its log
    await asyncio.Event().wait()
