"""The shared child: JSON lines both ways, and nothing of it outlives its pipes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chaoskit.errors import LabError
from chaoskit.lab.child import PipeChild

pytestmark = pytest.mark.loopback

ECHO = """
import sys, json
for line in sys.stdin:
    print(json.dumps({"back": json.loads(line)}), flush=True)
"""


def start(code: str) -> PipeChild:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
    )
    return PipeChild(process, "echo")


def test_a_message_comes_back_and_silence_is_none():
    child = start(ECHO)
    child.send({"n": 1, "text": "é"})
    assert child.receive(10) == {"back": {"n": 1, "text": "é"}}
    assert child.receive(0) is None
    assert child.alive()
    child.close()
    assert not child.alive()
    child.close()


def test_a_message_larger_than_a_pipe_arrives_whole():
    child = start(ECHO)
    big = "x" * 1_000_000
    child.send({"big": big})
    assert child.receive(20) == {"back": {"big": big}}
    child.close()


def test_the_error_of_a_dead_child_holds_its_last_words_after_all_messages_were_read():
    child = start("print('{\"a\": 1}'); import sys; sys.exit('the disk is full')")
    assert child.receive(10) == {"a": 1}
    with pytest.raises(LabError, match=r"(?s)echo ended with status 1.*the disk is full"):
        child.receive(10)
    with pytest.raises(LabError, match="the disk is full"):
        child.receive(0)
    child.close()


def test_sending_to_a_dead_child_is_an_error():
    child = start("raise SystemExit(3)")
    with pytest.raises(LabError):
        child.receive(10)
    with pytest.raises(LabError, match="status 3"):
        child.send({"x": 1})
    child.close()


def test_output_that_is_not_json_goes_to_the_errors_not_to_the_messages():
    child = start("print('hello'); print('[1]'); print('{\"a\": 2}'); raise SystemExit(1)")
    assert child.receive(10) == {"a": 2}
    with pytest.raises(LabError, match=r"\(output\) hello"):
        child.receive(10)
    child.close()


def test_a_child_that_ignores_the_end_of_its_input_is_killed():
    child = start("import time; print('{}', flush=True); time.sleep(600)")
    assert child.receive(10) == {}
    child.close(grace_s=0.1)
    assert not child.alive()
    with pytest.raises(LabError, match="closed"):
        child.send({})
