"""A poke tells a program that stands still from one that serves; a handshake does not."""

import asyncio
import contextlib
import socket
import threading

import pytest

from chaoskit.probes.dial import dial

POKE = "HEAD / HTTP/1.0\r\n\r\n"


@contextlib.contextmanager
def served(behave):
    """A loopback server; ``behave`` gets each connection. None: nobody ever accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if behave is not None:

            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with connection:
                            behave(connection)

            threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def outcome(port, poke, timeout_s=10.0):
    return asyncio.run(dial("127.0.0.1", port, timeout_s, poke))[0]


def answers(connection):
    connection.recv(100)
    connection.sendall(b"-ERR what?\r\n")


def hangs_up(connection):
    connection.recv(100)


@pytest.mark.parametrize("behave", [answers, hangs_up])
def test_a_program_that_reacts_is_open(behave):
    with served(behave) as port:
        assert outcome(port, POKE) == "open"


def test_a_program_that_stands_still_completes_handshakes_and_nothing_else():
    with served(None) as port:
        assert outcome(port, "") == "open"
        assert outcome(port, POKE, timeout_s=0.2) == "silent"
