"""What single probes make of answers, good, bad and hostile; and the dial."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys

import pytest

from chaoskit.probes.dial import outcome_of
from chaoskit.probes.http import HttpProbe
from chaoskit.probes.redis import RedisProbe


def ask(probe, question, answer, scheme="http", timeout_s=2.0, path="/role?x=1"):
    """One question to a server that gives this answer; returns what the probe says."""
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.read(4096))
        writer.write(answer)
        if answer:
            await writer.drain()
        writer.close()

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await probe.ask(f"{scheme}://127.0.0.1:{port}{path}", question, timeout_s)

    said = asyncio.run(main())
    return said, heard[0]


def http(body: bytes, status="200 OK", head=b""):
    return b"HTTP/1.1 " + status.encode() + b"\r\n" + head + b"\r\n" + body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (http(b'{"role": "primary", "epoch": 7}'), {"value": "primary", "epoch": 7}),
        (http(b'{"role": "backup"}'), {"value": "backup"}),
        (http(b'{"role": "backup", "epoch": true}'), {"value": "backup"}),
        (http(b'{"role": "replica"}', "503 Service Unavailable"), {"value": "replica"}),
        (http(b"leader\n"), {"value": "leader"}),
        (http(b'"leader"'), {"value": "leader"}),
        (http(b"leaderXXXX", head=b"Content-Length: 6\r\n"), {"value": "leader"}),
        (
            http(b"3\r\nlea\r\n3\r\nder\r\n0\r\n\r\n", head=b"Transfer-Encoding: chunked\r\n"),
            {"value": "leader"},
        ),
    ],
)
def test_http_understands_a_role(answer, expected):
    said, heard = ask(HttpProbe(), "role", answer)
    assert said == expected
    assert heard.startswith(b"GET /role?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"x" * 200_000,
        http(b"Not Found", "404 Not Found"),
        http(b"[1, 2]"),
        http(b'{"role": 5}'),
        http(b"a" * 65),
        http(b"a\nb\x1b[31m"),
        http(b"short", head=b"Content-Length: 50\r\n"),
        http(b"zz\r\n", head=b"Transfer-Encoding: chunked\r\n"),
        http(b"\xff\xfe" * 40),
    ],
)
def test_http_says_that_there_is_no_role_in_anything_else(answer):
    with pytest.raises(OSError):
        ask(HttpProbe(), "role", answer)


@pytest.mark.parametrize(
    ("status", "value"),
    [
        ("200 OK", "healthy"),
        ("204 No Content", "healthy"),
        ("503 Down", "unhealthy"),
        ("302 Found", "unhealthy"),
    ],
)
def test_http_health_is_the_status(status, value):
    assert ask(HttpProbe(), "health", http(b"", status))[0] == {"value": value}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (b"*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n", "master"),
        (
            b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$9\r\nconnected\r\n:3167038\r\n",
            "slave",
        ),
        (b"*2\r\n$8\r\nsentinel\r\n*0\r\n", "sentinel"),
    ],
)
def test_redis_understands_role(answer, value):
    said, heard = ask(RedisProbe(), "role", answer, "redis", path="")
    assert said == {"value": value}
    assert heard == b"*1\r\n$4\r\nROLE\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-LOADING Redis is loading\r\n", "LOADING"),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"*1\r\n:5\r\n", "not one to ROLE"),
        (b"*1\r\n$999999999\r\n", "not one to ROLE"),
        (b"*1\r\n$6\r\nmas", "middle"),
        (b"", "closed"),
        (b"x" * 200_000, "not Redis"),
    ],
)
def test_redis_says_why_there_is_no_role(answer, reason):
    with pytest.raises(OSError, match=reason):
        ask(RedisProbe(), "role", answer, "redis", path="")


@pytest.mark.parametrize(
    ("answer", "value"), [(b"+PONG\r\n", "healthy"), (b"-LOADING\r\n", "unhealthy")]
)
def test_redis_health_is_ping(answer, value):
    assert ask(RedisProbe(), "health", answer, "redis", path="")[0] == {"value": value}


@pytest.mark.parametrize("probe", [HttpProbe(), RedisProbe()])
def test_a_probe_gives_up_in_time(probe):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"{probe.schemes[0]}://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            asyncio.run(probe.ask(url, "role", 0.1))


def test_the_dial_has_a_word_for_every_outcome_and_serves_side_by_side():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket() as full,
        subprocess.Popen(
            [sys.executable, "-m", "chaoskit.probes.dial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        # A backlog that is full makes Linux drop connection requests: silence on loopback.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        assert json.loads(child.stdout.readline())["event"] == "ready"
        asked = {
            1: full.getsockname()[1],
            2: server.getsockname()[1],
            3: 1,
        }
        for number, port in asked.items():
            request = {"id": number, "address": "127.0.0.1", "port": port, "timeout_s": 0.5}
            child.stdin.write(json.dumps(request) + "\n")
        child.stdin.write('{"id": 4, "address": "127.0.0.1"}\nnonsense\n')
        child.stdin.flush()
        said = [json.loads(child.stdout.readline()) for _ in range(4)]
        child.stdin.close()
        assert child.wait(5) == 0
        for filler in fillers:
            filler.close()
    outcomes = {one["id"]: one.get("outcome") for one in said}
    assert outcomes == {1: "silent", 2: "open", 3: "refused", 4: None}
    assert said[-1]["id"] == 1  # the slow one was asked first and answered last
    assert said[-1]["done_ns"] - said[-1]["sent_ns"] >= 490_000_000


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), "silent"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "reset"),
        (BrokenPipeError(), "reset"),
        (OSError(113, "No route to host"), "unreachable"),
        (PermissionError(1, ""), "unreachable"),
    ],
)
def test_errors_have_words(error, word):
    assert outcome_of(error) == word
