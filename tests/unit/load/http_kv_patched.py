"""What ``HttpKv`` sends and what it makes of an answer, where Locust has patched everything."""

import time

import gevent
import pytest
from gevent import socket
from locust.env import Environment

from chaoskit.errors import BadInput
from chaoskit.history.history import Stream
from chaoskit.history.records import Op
from chaoskit.load.carriers import Patience
from chaoskit.load.config import Endpoint, LoadConfig
from chaoskit.load.doors import door_of
from chaoskit.load.operation import Operation, Verdict
from chaoskit.load.user import Party, Shared
from chaoskit.load.users.http_kv import HttpKv

MS = 1_000_000
LONG_MS = 5000  # as long as a small machine may stall
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n"


class Server:
    """Says ``answers`` one after another, each as soon as a request's head is there.

    An answer of None hangs up after 150 ms. ``heard`` is everything that clients sent.
    """

    def __init__(self, *answers):
        self.answers, self.heard = list(answers), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.job = gevent.spawn(self._accept)

    def place(self, node, **more):
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        return Endpoint.of(node, url, **more)

    def _accept(self):
        while True:
            gevent.spawn(self._serve, self.listener.accept()[0])

    def _serve(self, connection):
        with connection:
            while self.answers:
                data = connection.recv(65536)
                while data and b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                if not data:
                    return
                self.heard.append(data)
                answer = self.answers.pop(0)
                if answer is None:
                    gevent.sleep(0.15)
                    return
                connection.sendall(answer)


def user(*endpoints, nodes=(), options=None):
    stream = Stream("write", "write", 10.0, "kept", MS, LONG_MS * MS)
    config = LoadConfig(
        "http-kv", endpoints, nodes, (stream,), "r", "s", "f", options=options or {}
    )
    environment = Environment()
    environment.chaoskit_party = Party([Shared(config, door_of(config))])
    return HttpKv(environment)


def carry_out(client, op=Op.APPEND, token=7, key=0):
    operation = Operation(op, 0, token, key, fresh=False)
    verdict = client.carry_out(operation, Patience(LONG_MS * MS), time.monotonic_ns())
    return verdict, operation


# ---------------------------------------------------------------- bodies


def test_an_answer_to_head_has_no_body_whatever_length_it_names():
    server = Server(HEAD_OK, HEAD_OK)
    client = user(server.place("a"), options={"read": {"method": "HEAD", "path": "/"}})
    for _ in range(2):
        verdict, operation = carry_out(client, Op.GET, token=0, key=1)
        assert (verdict, operation.error) == (Verdict.ACKNOWLEDGED, "")
    assert [h.split(b" ", 1)[0] for h in server.heard] == [b"HEAD", b"HEAD"]
    assert b"Content-Length" not in server.heard[0]


@pytest.mark.parametrize(
    ("option", "op", "begins", "ends"),
    [
        ({"method": "GET"}, Op.APPEND, b"GET /log ", b"Content-Length: 1\r\n\r\n7"),
        ({"method": "GET", "body": ""}, Op.APPEND, b"GET /log ", b"\r\n\r\n"),
        ({"method": "POST", "body": ""}, Op.APPEND, b"POST ", b"Content-Length: 0\r\n\r\n"),
        ({"body": "ü{token}"}, Op.APPEND, b"POST ", "Content-Length: 3\r\n\r\nü7".encode()),
    ],
)
def test_a_body_says_how_long_it_is_whatever_the_method(option, op, begins, ends):
    server = Server(OK, OK)
    client = user(server.place("a"), options={"write": option})
    for _ in range(2):
        assert carry_out(client, op)[0] is Verdict.ACKNOWLEDGED
    assert len(server.heard) == 2
    for heard in server.heard:
        assert heard.startswith(begins)
        assert heard.endswith(ends)
        assert (b"Content-Length" in heard) == (b"Content-Length" in ends)


def test_a_log_cannot_be_read_back_by_what_has_no_body():
    place = Endpoint.of("a", "http://127.0.0.1:1")
    user(place, options={"read_back": {"method": "GET"}})
    with pytest.raises(BadInput, match="no body"):
        user(place, options={"read_back": {"method": "head"}})


# ---------------------------------------------------------------- who answered


NAMED = OK.replace(b"\r\n\r\n", b"\r\nX-Chaoskit-Node: b\r\n\r\n")
FAILED = OK.replace(b"200", b"500")


@pytest.mark.parametrize(
    ("answer", "frontdoor", "server"),
    [
        (OK, False, "a"),
        (OK, True, ""),  # it may have been any node behind it
        (FAILED, True, ""),
        (NAMED, False, "b"),
        (NAMED, True, "b"),
    ],
)
def test_what_comes_through_a_front_door_is_no_answer_of_its_own(answer, frontdoor, server):
    client = user(Server(answer).place("a", frontdoor=frontdoor))
    assert carry_out(client)[1].server == server


# ---------------------------------------------------------------- attempts


REFUSED = (
    b"HTTP/1.1 503 No\r\nX-Chaoskit-Node: a\r\nX-Chaoskit-Epoch: 3\r\nContent-Length: 0\r\n\r\n"
)


def test_an_attempt_that_breaks_ends_when_it_broke_and_in_nobodys_name():
    client = user(Server(REFUSED).place("a"), Server(None).place("b"))
    began = time.monotonic_ns()
    verdict, operation = carry_out(client)
    assert (verdict, operation.attempts) == (Verdict.UNKNOWN, 2)
    assert operation.error == "closed without an answer"
    assert operation.done_ns - began >= 140 * MS
    assert (operation.server, operation.epoch) == ("", 0)


def test_who_refused_last_is_named():
    client = user(Server(REFUSED).place("b"), Server(REFUSED).place("a"))
    verdict, operation = carry_out(client)
    assert (verdict, operation.attempts) == (Verdict.REFUSED, 2)
    assert (operation.server, operation.epoch) == ("a", 3)
