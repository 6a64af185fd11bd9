"""A resolver that knows no name: where the Docker engine's own one asks for what is no container.

The name of a container that is dead is such a name. No way leads out of a lab, so a question sent
on to a resolver outside would stay without an answer, ten seconds for each, and a system that looks
a dead peer up would fail over or catch up the later for it. Here the answer is: no such name.

    python -m chaoskit.lab.unknown_names    answers on UDP port 53, until standard input ends
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys

__all__ = ["answer", "main"]

PORT = 53
_HEADER = 12
_NO_SUCH_NAME = 3  # RCODE 3, NXDOMAIN (RFC 1035, 4.1.1)


def answer(query: bytes) -> bytes | None:
    """The answer to a DNS query: the same question, and no such name. None to what is no query."""
    if len(query) < _HEADER or query[2] & 0x80 or query[4:6] != b"\x00\x01":
        return None
    at = _HEADER
    while at < len(query) and query[at]:
        if query[at] > 63:  # a question is never compressed
            return None
        at += 1 + query[at]
    end = at + 5  # the empty label, type and class
    if end > len(query):
        return None
    flags = bytes([0x80 | (query[2] & 0x79), 0x80 | _NO_SUCH_NAME])  # opcode and RD as asked
    return query[:2] + flags + b"\x00\x01" + bytes(6) + query[_HEADER:end]


def main(port: int = PORT) -> None:
    """Answer until nobody holds standard input any more, which is when the harness is gone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        with contextlib.suppress(OSError):  # names are answered late then, and the lab goes on
            ours.bind(("", port))
        while True:
            ready, _, _ = select.select([ours, sys.stdin], [], [])
            if sys.stdin in ready and not os.read(sys.stdin.fileno(), 4096):
                return
            if ours in ready:
                query, sender = ours.recvfrom(4096)
                said = answer(query)
                if said is not None:
                    # Cut off from whoever asked, the kernel refuses; the others go on being told.
                    with contextlib.suppress(OSError):
                        ours.sendto(said, sender)


if __name__ == "__main__":
    main()
