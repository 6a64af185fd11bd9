"""What a session makes of messages that arrive behind an acknowledgement, in the same packet."""

import socket
import threading

import pytest

pytest.importorskip("psycopg")

from chaoskit.load.config import Endpoint
from chaoskit.load.postgres import Session

LOGIN = {"user": "postgres", "dbname": "postgres", "sslmode": "disable", "gssencmode": "disable"}


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def report(kind: bytes, severity: str, code: str, source: str) -> bytes:
    """An error (``E``) or a notice (``N``) with the fields that a session looks at."""
    fields = {"S": severity, "V": severity, "C": code, "M": "words", "R": source}
    return message(kind, b"".join(f"{k}{v}\0".encode() for k, v in fields.items()) + b"\0")


READY = message(b"Z", b"I")
DONE = message(b"C", b"INSERT 0 1\0")
COMMITTED = message(b"1") + message(b"2") + message(b"n") + DONE


def serve(listener: socket.socket, answer: bytes) -> None:
    """Let one client in, wait for one statement, send ``answer`` at once and hang up."""
    client, _ = listener.accept()
    with client:
        client.recv(65536)
        client.sendall(message(b"R", (0).to_bytes(4, "big")) + READY)
        heard = b""
        while not heard.endswith(message(b"S")):
            heard += client.recv(65536)
        client.sendall(answer)


def ask(answer: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener, answer), daemon=True)
        server.start()
        session = Session(Endpoint.of("pg", _url(listener)), LOGIN)
        try:
            return session.ask(b"INSERT", [])
        finally:
            session.close()
            server.join(5)


def _url(listener: socket.socket) -> str:
    return f"postgres://127.0.0.1:{listener.getsockname()[1]}"


WAIT = "SyncRepWaitForLSN"
SHUTDOWN = report(b"E", "FATAL", "57P01", "ProcessInterrupts")
AT_ONCE = report(b"N", "WARNING", "57P01", "quickdie")


@pytest.mark.parametrize("goodbye", [SHUTDOWN, AT_ONCE], ids=["fast", "immediate"])
def test_a_server_that_shuts_down_right_behind_its_answer_has_acknowledged(goodbye):
    said = ask(COMMITTED + READY + goodbye)
    assert said.good
    assert not said.doubtful


@pytest.mark.parametrize("code", ["01000", "57P01"])
def test_a_warning_of_a_wait_that_was_cut_short_takes_the_acknowledgement_back(code):
    said = ask(COMMITTED[: -len(DONE)] + report(b"N", "WARNING", code, WAIT) + DONE + READY)
    assert said.good
    assert said.doubtful == code


def test_a_server_that_shuts_down_before_its_answer_has_not_acknowledged():
    said = ask(COMMITTED[: -len(DONE)] + SHUTDOWN)
    assert not said.good
    assert (said.severity, said.code) == ("FATAL", "57P01")


def test_a_row_that_was_announced_but_never_committed_is_no_acknowledgement():
    with pytest.raises(ConnectionError):
        ask(COMMITTED)  # the commit is at the end of the round, which READY tells
