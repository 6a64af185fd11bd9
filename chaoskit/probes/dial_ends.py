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
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["FarEnd", "send_datagrams", "transfer"]

_ALL_HEARD_S = 0.1  # what has not come so long after the first one counts as lost
_PIECE = 65536
_GAP_S = 0.0005  # between datagrams: no queue of a sound link is ever full


@dataclass
class _Heard:
    """What has come of one question."""

    numbers: list[int] = field(default_factory=list)
    done_ns: int = 0


class FarEnd(asyncio.DatagramProtocol):
    """Counts the datagrams of each question, and says ``heard`` once for each."""

    def __init__(self, say: Callable[[Mapping[str, object]], None]) -> None:
        self._say = say
        self._heard: dict[int, _Heard] = {}
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
        """``<question> <its number> <how many there are>``; anything else is somebody else's."""
        words = data.decode("ascii", errors="replace").split(" ")
        if len(words) != 3 or not all(word.isdecimal() for word in words):
            return
        question, number, total = map(int, words)
        heard = self._heard.setdefault(question, _Heard())
        heard.numbers.append(number)
        heard.done_ns = time.monotonic_ns()
        if total == 1:
            self._report(question)
        elif len(heard.numbers) == 1:  # whatever else comes: lost ones do not, copies do
            wait_s = _ALL_HEARD_S + total * _GAP_S
            asyncio.get_running_loop().call_later(wait_s, self._report, question)

    def _report(self, question: int) -> None:
        heard = self._heard.pop(question)
        said = {"n": len(set(heard.numbers)), "copies": 0, "disorder": 0}
        said["copies"] = len(heard.numbers) - said["n"]
        said["disorder"] = sum(a > b for a, b in pairwise(heard.numbers))
        self._say({"event": "heard", "id": question, **said, "done_ns": heard.done_ns})


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
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        for i in range(size):
            with contextlib.suppress(OSError):
                out.sendto(f"{number} {i} {size}".encode("ascii"), (address, port))
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
