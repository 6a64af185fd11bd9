"""A poke tells a program that stands still from one that serves; a handshake does not."""

import asyncio
import contextlib
import socket
import threading
import time

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


def outcome(port, poke, timeout_s=10.0, **more):
    ask = {"address": "127.0.0.1", "port": port, "timeout_s": timeout_s, "poke": poke, **more}
    return asyncio.run(dial(ask)).word


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


def drips(connection):
    connection.recv(100)
    for _ in range(10):
        connection.sendall(b"0123456789")
        time.sleep(0.03)


def lingers(connection):
    connection.recv(100)
    connection.sendall(b"all of it")
    time.sleep(0.3)


def test_a_hang_up_is_a_reaction_and_no_answer():
    with served(hangs_up) as port:
        assert outcome(port, POKE) == "open"
        assert outcome(port, POKE, read="answer") == "short"
    with served(answers) as port:
        assert outcome(port, POKE, read="answer") == "open"


def test_an_answer_that_is_cut_short_is_not_the_whole_of_it():
    with served(answers) as port:
        assert outcome(port, POKE, read="answer", min_bytes=12) == "open"
        assert outcome(port, POKE, read="answer", min_bytes=13) == "short"


def test_a_slow_answer_works_only_where_slowness_is_allowed():
    whole = {"read": "answer", "min_bytes": 100}
    with served(drips) as port:
        assert outcome(port, POKE, **whole) == "open"
        assert outcome(port, POKE, **whole, slow_s=60.0) == "open"
        assert outcome(port, POKE, **whole, slow_s=0.1) == "slow"
        assert outcome(port, POKE, **whole, slow_byte_s=0.6) == "open"
        assert outcome(port, POKE, **whole, slow_byte_s=0.001) == "slow"


def test_who_closes_late_is_slow_for_whom_the_end_counts():
    with served(lingers) as port:
        assert outcome(port, POKE, read="answer", slow_s=0.2) == "open"
        assert outcome(port, POKE, read="close", slow_s=0.2) == "slow"
        assert outcome(port, POKE, read="close", slow_s=60.0) == "open"
