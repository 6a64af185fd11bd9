"""``run --operator ask`` as somebody at a terminal has it: asked with what is known, and waited for."""

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
from support import COMMAND, ROOT, newest_run

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]
EXPERIMENT = ROOT / "experiments" / "active-passive-approval-kill.yaml"
QUESTION = "approve this failover? type y or n and Enter"
THINKS_S = 4.0  # longer than anything that the experiment allows the machine
PLAIN = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a terminal of its own, and what it has shown so far."""

    def __init__(self, words):
        self.fd, inner = pty.openpty()
        try:
            self.program = subprocess.Popen(
                words, stdin=inner, stdout=inner, stderr=inner, env={**os.environ, "TERM": "xterm"}
            )
        finally:
            os.close(inner)
        self._shown = b""

    def shown(self):
        return PLAIN.sub(b"", self._shown).decode("utf-8", "replace").replace("\r", "")

    def until(self, done, within_s):
        end = time.monotonic() + within_s
        while not done() and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:  # the program has closed its side, and is about to have ended
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.program.wait(max(0.0, end - time.monotonic()))
                    break
                self._shown += data
        return done()

    def close(self):
        if self.program.poll() is None:
            self.program.terminate()
        self.until(lambda: self.program.poll() is not None, 30)
        self.program.wait(5)
        os.close(self.fd)


def test_a_person_is_shown_when_why_and_who_and_the_run_waits_for_the_answer(tmp_path):
    words = ["run", str(EXPERIMENT), "--operator", "ask", "--lab", "sandbox", "--trials", "1"]
    terminal = Terminal([*COMMAND, *words, "--out", str(tmp_path)])
    try:
        assert terminal.until(lambda: QUESTION in terminal.shown(), 60), terminal.shown()
        asked = terminal.shown()
        for fact in (
            r"node-a -> node-b",
            r"pending on node-b since \d\d:\d\d:\d\d UTC, id node-b-",
            r"node-a was not heard for \d+ ms",
            r"in sync: node-a node-b",
        ):
            assert re.search(fact, asked), fact
        terminal.until(lambda: False, THINKS_S)
        assert terminal.program.poll() is None
        os.write(terminal.fd, b"y\n")
        assert terminal.until(lambda: terminal.program.poll() is not None, 60), terminal.shown()
    finally:
        terminal.close()
    assert terminal.program.returncode == 0, terminal.shown()
    result = json.loads((newest_run(tmp_path) / "result.json").read_text("utf-8"))
    assert result["verdict"] == "PASS", "who thinks for long has broken nothing"
    metrics = result["trials"][0]["metrics"]
    assert metrics["promotions"]["count"] == 1
    assert metrics["failover_time"]["value_s"] > THINKS_S, "nobody took over before the answer"
    assert metrics["lost_writes"]["count"] == 0
    assert metrics["phases"]["approval"]["value_s"] > THINKS_S - 0.5
    assert metrics["time_to_approval"]["value_s"] > THINKS_S - 0.5
    assert metrics["failover_time_without_approval"]["high_s"] < 1.7
