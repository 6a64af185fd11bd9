"""The far end of dials that need one: hears datagrams and takes transfers, in any node's network.

Every dial child has one, on ports that the kernel gives it, so that a direction can be tried
where no program of the node listens, and no program of the node has a say in the outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["FarEnd", "send_datagrams", "transfer"]

_ALL_HEARD_S = 0.1  # what has not come so long after the first one counts as lost
_PIECE = 65536
_GAP_S = 0.0005  # between datagrams: no queue of a sound link is ever full


class FarEnd(asyncio.DatagramProtocol):
    """Counts the datagrams of each question, and says ``heard`` once for each."""

    def __init__(self, say: Callable[[Mapping[str, object]], None]) -> None:
        self._say = say
        self._heard: dict[str, int] = {}
        self._done_ns: dict[str, int] = {}
        self.ports = {"udp": 0, "tcp": 0}

    async def open(self) -> None:
        """Listen; ``ports`` says where."""
        loop = asyncio.get_running_loop()
        any_port = ("0.0.0.0", 0)  # noqa: S104 - inside a lab's own network
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=any_port)
        server = await asyncio.start_server(_take, *any_port)
        self.ports = {
            "udp": transport.get_extra_info("sockname")[1],
            "tcp": server.sockets[0].getsockname()[1],
        }

    def datagram_received(self, data: bytes, _from: object) -> None:
        """``<id> <how many there are>``; anything else is somebody else's."""
        who, _, total = data.decode("ascii", errors="replace").partition(" ")
        if not (who.isdecimal() and total.isdecimal()):
            return
        first = who not in self._heard
        self._heard[who] = self._heard.get(who, 0) + 1
        self._done_ns[who] = time.monotonic_ns()
        if self._heard[who] >= int(total):
            self._report(who)
        elif first:
            asyncio.get_running_loop().call_later(_ALL_HEARD_S, self._report, who)

    def _report(self, who: str) -> None:
        heard = self._heard.pop(who, None)
        if heard is not None:
            self._say({"event": "heard", "id": int(who), "n": heard, "done_ns": self._done_ns[who]})
            del self._done_ns[who]


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end, then say so."""
    try:
        while await reader.read(_PIECE):
            pass
        writer.write(b".")
        await writer.drain()
    except OSError:
        pass  # whoever sent has given up
    finally:
        writer.close()


async def send_datagrams(address: str, port: int, number: object, size: int) -> None:
    """Send ``size`` of them for question ``number``. What cannot be sent is lost."""
    text = f"{number} {size}".encode("ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        for _ in range(size):
            with contextlib.suppress(OSError):
                out.sendto(text, (address, port))
            await asyncio.sleep(_GAP_S if size > 1 else 0)


async def transfer(address: str, port: int, size: int) -> None:
    """Send ``size`` bytes; returns when the other end has read them all. Raises ``OSError``."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(bytes(size))
        writer.write_eof()
        if not await reader.read(1):
            raise ConnectionResetError
    finally:
        writer.transport.abort()
