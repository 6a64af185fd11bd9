"""Connections that stay open: whether what is established still gets through.

One byte at a time is written and the kernel asked whether the other end's kernel has acknowledged
it. The program there need not answer, and mostly will not: one that hangs up is called again.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

__all__ = ["Kept"]

_LOOK_EVERY_S = 0.002


class Kept:
    """At most one connection to each place."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], socket.socket] = {}

    async def ask(self, address: str, port: int) -> None:
        """Return once the place has acknowledged a byte on the connection that is kept.

        A connection that is not there yet, or that the other end has closed, is opened first.
        Raises ``OSError`` where that fails or the connection was reset; cancelled, it stays.
        """
        loop = asyncio.get_running_loop()
        place = (address, port)
        connection = self._open.get(place)
        if connection is not None and _closed(connection):
            self._open.pop(place).close()
            connection = None
        if connection is None:
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.sock_connect(connection, place)
            except BaseException:
                connection.close()
                raise
            self._open[place] = connection
        try:
            if _unacknowledged(connection) == 0:
                connection.send(b"H")  # as a request would begin: who knows no better waits
            while _unacknowledged(connection):
                _raise_error(connection)
                await asyncio.sleep(_LOOK_EVERY_S)
            _raise_error(connection)
        except OSError:
            self._open.pop(place).close()
            raise


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other end's kernel has not acknowledged (SIOCOUTQ)."""
    raw = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return int(struct.unpack("i", raw)[0])


def _closed(connection: socket.socket) -> bool:
    """Whether the other end has hung up in an orderly way. Raises ``OSError`` after a reset."""
    try:
        while data := connection.recv(4096):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True  # the reset was told when it came
    return True


def _raise_error(connection: socket.socket) -> None:
    number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, "the connection was lost")
