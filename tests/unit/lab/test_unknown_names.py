"""The resolver of a Docker lab: no such name, to every question and to nothing else."""

import socket
import struct
import subprocess
import sys

import pytest

from chaoskit.clock import wait_until
from chaoskit.lab.unknown_names import answer

QUESTION = b"\x06node-a\x03lab\x00" + struct.pack(">HH", 1, 1)
EDNS = b"\x00" + struct.pack(">HHIH", 41, 4096, 0, 0)


def query(question=QUESTION, *, flags=0x0100, count=1, more=b"", extra=0):
    return struct.pack(">6H", 0x1234, flags, count, 0, 0, extra) + question + more


@pytest.mark.parametrize(
    "asked", [query(), query(more=EDNS, extra=1), query(b"\x00\x00\x1c\x00\x01")]
)
def test_the_answer_repeats_the_question_and_says_no_such_name(asked):
    said = answer(asked)
    number, flags, *counts = struct.unpack(">6H", said[:12])
    assert number == 0x1234
    assert flags & 0x8000, "an answer"
    assert flags & 0x0100, "recursion was desired"
    assert flags & 0x000F == 3, "NXDOMAIN"
    assert counts == [1, 0, 0, 0]
    assert asked[12:].startswith(said[12:])


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\x12\x34",
        query(flags=0x8180),  # an answer
        query(count=0),
        query(count=2),
        query(QUESTION[:-1]),
        query(b"\xc0\x0c\x00\x01\x00\x01"),  # a compressed name
        query(b"\x3fshort"),
    ],
)
def test_what_is_no_question_is_not_answered(noise):
    assert answer(noise) is None


def heard(ours):
    """Its answer; None while it is not there yet."""
    try:
        ours.send(query())
        return ours.recv(512)
    except (TimeoutError, ConnectionRefusedError):
        return None


PLAIN = "import chaoskit.lab.unknown_names as names"
REFUSED = (
    PLAIN
    + """
class Once(names.socket.socket):
    refused = False
    def sendto(self, *words):
        if not Once.refused:
            Once.refused = True
            raise PermissionError("cut off")
        return super().sendto(*words)
names.socket.socket = Once
"""
)


@pytest.mark.parametrize("begin", [PLAIN, REFUSED])
def test_it_answers_until_nobody_holds_its_input_even_if_one_answer_is_refused(begin):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"{begin}\nnames.main({port})"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.connect(("127.0.0.1", port))
            ours.settimeout(0.2)
            assert wait_until(lambda: heard(ours), within_s=20) == answer(query())
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
