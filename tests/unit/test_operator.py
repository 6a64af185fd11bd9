"""Operators: reaction times, the child that acts, the person who is asked, and what is refused."""

import io
import json
import os
import random
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from support import ROOT

from chaoskit.cli import cli
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Hold, Node, Targets
from chaoskit.errors import BadInput, Refused
from chaoskit.experiment.loader import load_experiment
from chaoskit.faults.approve import Approve
from chaoskit.faults.switchover import Switchover
from chaoskit.injection import Injector
from chaoskit.operator import Person, ask_a_person, check_terminal
from chaoskit.probes.operator import request

EXPERIMENT = ROOT / "experiments" / "active-passive-approval-kill.yaml"


def approve(**keys):
    return Approve.model_validate(keys)


# ---------------------------------------------------------------- reaction times


@pytest.mark.parametrize(
    "reaction",
    [
        "800ms",
        0,
        {"normal": {"mean": "2s", "sd": "500ms"}},
        {"lognormal": {"median": "2s", "sigma": 0.5}},
        {"uniform": {"from": "1s", "to": "5s"}},
    ],
)
def test_a_reaction_time_is_written_as_it_was_read(reaction):
    fault = approve(reaction=reaction)
    written = fault.model_dump(mode="json")["reaction"]
    assert approve(reaction=written) == fault


@pytest.mark.parametrize(
    "reaction",
    [
        "8",
        -1,
        True,
        {},
        {"normal": {"mean": "2s"}},
        {"poisson": {"mean": "1s"}},
        {"uniform": {"from": "2s", "to": "1s"}},
        {"lognormal": {"median": "0s", "sigma": 1}},
        {"normal": {"mean": "1s", "sd": "1s"}, "uniform": {"from": "1s", "to": "2s"}},
    ],
)
def test_what_is_no_reaction_time_is_refused(reaction):
    with pytest.raises(ValidationError):
        approve(reaction=reaction)


def draws(reaction, n=4000):
    fault, rng = approve(reaction=reaction), random.Random(5)
    return [fault.drawn(rng).reaction.fixed for _ in range(n)]


def test_reaction_times_are_drawn_by_the_seed_and_from_the_distribution_said():
    assert set(draws("800ms", 3)) == {0.8}
    uniform = draws({"uniform": {"from": "1s", "to": "5s"}})
    assert 1 <= min(uniform) < 1.05
    assert 4.95 < max(uniform) <= 5
    normal = sorted(draws({"normal": {"mean": "1s", "sd": "1s"}}))
    assert normal[0] == 0, "nobody decides before they have seen it"
    assert normal[2000] == pytest.approx(1, abs=0.1)
    lognormal = sorted(draws({"lognormal": {"median": "2s", "sigma": 0.5}}))
    assert lognormal[2000] == pytest.approx(2, rel=0.05)
    assert lognormal[3364] == pytest.approx(2 * 2.718281828**0.5, rel=0.08)  # 84.1 %: one sigma up
    assert draws({"uniform": {"from": "1s", "to": "5s"}}, 5) == uniform[:5]


# ---------------------------------------------------------------- a system that asks


class Asking(BaseHTTPRequestHandler):
    """Something else than our reference system that speaks what docs/stacks.md says."""

    def do_GET(self):
        self._say(200, {"pending": self.server.pending, "known": {"lag": "0 B"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, now_ns()))
        self._say(*self.server.answer)

    def _say(self, status, made):
        data = made.encode() if isinstance(made, str) else json.dumps(made).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class LocalLab:
    """Children run here; one service, which is the server of this test."""

    name = "local"

    def __init__(self, port):
        labels = {
            "chaoskit.operator": f"http://:{port}/failover",
            "chaoskit.operator.switchover": f"http://:{port}/switchover",
        }
        self._node = Node("db-1", "127.0.0.1", labels)

    def nodes(self):
        return (self._node,)

    def node(self, name):
        return Node(name, "127.0.0.1")

    def spawn(self, _place, argv):
        import subprocess
        import sys

        from chaoskit.lab.child import PipeChild

        program = [sys.executable, *argv[1:]]
        pipe = subprocess.PIPE
        return PipeChild(
            subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe), "operator"
        )


@contextmanager
def system(pending=None, answer=(200, {"accepted": "done"})):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Asking)
    server.pending, server.asked, server.answer = pending, [], answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server, LocalLab(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


PENDING = {"id": "f-1", "candidate": "db-2", "primary": "db-1", "reason": "no heartbeat"}
NOBODY = Targets(())


def tended(hold, until):
    def look():
        hold.tend()
        return until()

    assert wait_until(look, within_s=20.0, every_s=0.005), hold.acts


@pytest.mark.parametrize(
    ("decide", "path", "candidate"),
    [
        ("approve", "/failover/approve", "db-2"),
        ("reject", "/failover/reject", "db-2"),
        ("wrong", "/failover/approve", "db-1"),
    ],
)
def test_an_operator_decides_once_a_reaction_time_after_it_is_pending(decide, path, candidate):
    with (
        system() as (server, lab),
        approve(decide=decide, reaction="300ms").inject(lab, NOBODY) as hold,
    ):
        assert hold.verified_ns is not None, "somebody who can be asked was seen"
        assert not server.asked
        begin = now_ns()
        server.pending = PENDING
        tended(hold, lambda: server.asked and len(hold.acts) == 3)
        ((asked, body, when),) = server.asked
        assert (asked, body) == (path, {"id": "f-1", "candidate": candidate})
        assert (when - begin) / 1e9 >= 0.3
        wait_until(lambda: hold.tend() and False, within_s=0.2)
        assert len(server.asked) == 1
    events = [act.event for act in hold.acts]
    assert events == ["operator-ready", "operator-saw", f"operator-{decide}"]
    assert "accepted: done" in hold.detail
    assert hold.healed_ns is not None


def test_a_refusal_is_told_in_the_systems_own_words_and_nothing_pending_too():
    with system(PENDING, (409, {"error": "the primary is back"})) as (server, lab):
        with approve(reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(hold.acts) == 3)
        assert "refused (409): the primary is back" in hold.detail
        assert hold.unmet == "", "a refusal is an answer"
        server.pending = None
        with approve().inject(lab, NOBODY) as hold:
            pass
        assert hold.detail.endswith("nothing was ever pending")
        assert "nothing was ever pending while the operator was on duty" in hold.unmet
        assert "'optional: true'" in hold.unmet


def test_an_operator_who_went_before_deciding_did_not_ask_the_experiments_question():
    with system(PENDING) as (server, lab), approve(reaction="60s").inject(lab, NOBODY) as hold:
        tended(hold, lambda: len(hold.acts) == 2)
        assert hold.unmet == "", "not over yet"
    assert not server.asked
    assert "no decision was sent; shorten its 'reaction'" in hold.unmet
    assert hold.detail.endswith("no decision was sent")


def test_a_system_that_nobody_can_ask_is_not_verified(monkeypatch):
    monkeypatch.setattr("chaoskit.faults.approve._READY_WITHIN_S", 0.3)
    with system() as (_, lab):
        pass  # it is gone
    with approve().inject(lab, NOBODY) as hold:
        assert hold.verified_ns is None


def test_a_person_is_asked_with_what_is_known_and_the_trial_waits_for_the_answer():
    read, write = os.pipe()
    with os.fdopen(read) as stream, system() as (server, lab):
        fault = approve(decide="ask")
        os.write(write, b"y\n")  # typed before anything was asked: no answer to it
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", stream)
            with fault.inject(lab, NOBODY) as hold:
                server.pending = PENDING
                tended(hold, lambda: hold.asked_ns)
                question = hold.acts[-1]
                assert question.event == "operator-asked"
                for word in ("db-1 -> db-2", "no heartbeat", "lag: 0 B", "y or n"):
                    assert word in question.detail
                since = re.search(r"pending on db-1 since (\d\d:\d\d:\d\d) UTC", question.detail)
                shown = datetime.strptime(since[1], "%H:%M:%S").replace(tzinfo=UTC)
                now = datetime.now(UTC)
                passed = (now - shown.replace(now.year, now.month, now.day)).total_seconds()
                assert passed % 86_400 < 60, "the moment at which it was seen"
                wait_until(lambda: hold.tend() and False, within_s=0.3)
                assert not server.asked
                os.write(write, b"what?\nno\n")
                tended(hold, lambda: server.asked)
                assert hold.asked_ns is None
                assert hold.thought_ns >= 300_000_000
        os.close(write)
    assert server.asked[0][0] == "/failover/reject"


def test_a_terminal_that_is_closed_ends_the_waiting():
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read) as stream:
        person = Person(stream)
        person.asked = "f-1"
        assert person.answer() is None
        assert person.asked is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [((200, "Successfully switched over"), "accepted"), ((503, "no candidate"), "refused (503)")],
)
def test_a_switchover_is_asked_of_the_primary_and_felt_when_it_was_answered(answer, said):
    with system(answer=answer) as (server, lab):
        one, other = lab.nodes()[0], Node("db-2", "127.0.0.1")
        with Switchover().inject(lab, Targets((one,), {"to": (other,)})) as hold:
            assert hold.commanded_ns <= server.asked[0][2] <= hold.verified_ns
            assert not hold.outside, "no connection feels it; that it was answered is the evidence"
        path, body, _ = server.asked[0]
        assert (path, body) == ("/switchover", {"leader": "db-1", "candidate": "db-2"})
        assert f"{said}: {answer[1]}" in hold.detail


def test_a_switchover_without_an_answer_is_not_verified():
    with system() as (_, lab):
        pass
    one = lab.nodes()[0]
    with Switchover().inject(lab, Targets((one,), {"to": (Node("db-2", ""),)})) as hold:
        assert hold.verified_ns is None
        assert "no answer" in hold.detail


def test_what_is_not_http_is_an_oserror():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"hello\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(OSError, match="not HTTP"):
            request("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", None, 5.0)


# ---------------------------------------------------------------- experiments and the command


def test_a_stack_without_the_label_is_refused_at_its_place(tmp_path):
    stack = ROOT / "compose" / "redis-sentinel" / "compose.yaml"
    text = EXPERIMENT.read_text().replace(
        "../compose/active-passive-approval/compose.yaml", str(stack)
    )
    path = tmp_path / EXPERIMENT.name
    path.write_text(text)
    with pytest.raises(BadInput, match=r":14:\d+: approve needs the label chaoskit.operator"):
        load_experiment(path)


def test_asking_replaces_every_operator_of_the_file_and_wants_one():
    asked = ask_a_person(load_experiment(EXPERIMENT))
    assert [getattr(s.fault, "decide", None) for s in asked.steps] == ["ask", None]
    kill = load_experiment(ROOT / "experiments" / "active-passive-kill.yaml")
    with pytest.raises(BadInput, match="no step waits for an operator"):
        ask_a_person(kill)


class Screen(io.StringIO):
    def isatty(self):
        return True


def closed():
    screen = io.StringIO()
    screen.close()
    return screen


@pytest.mark.parametrize(
    ("answers", "questions", "quiet", "said"),
    [
        (io.StringIO(), Screen(), False, "standard input is none"),
        (closed(), Screen(), False, "standard input is none"),
        (Screen(), io.StringIO(), False, "standard error is none"),
        (Screen(), Screen(), True, "--quiet hides it"),
    ],
)
def test_nobody_is_asked_who_could_not_answer_or_would_not_see_the_question(
    answers, questions, quiet, said
):
    with pytest.raises(Refused, match=said):
        check_terminal(answers, questions, quiet=quiet)


def test_somebody_at_a_terminal_can_be_asked():
    check_terminal(Screen(), Screen(), quiet=False)


ASK = ["run", str(EXPERIMENT), "--operator", "ask"]


@pytest.mark.parametrize(
    ("words", "quiet_too"), [([], False), (["--lab", "sandbox"], False), (["-q"], True)]
)
def test_a_run_that_would_ask_in_vain_is_refused_before_anything_is_started(
    monkeypatch, tmp_path, words, quiet_too
):
    monkeypatch.setattr("chaoskit.campaign.run_experiment", pytest.fail)
    ran = CliRunner().invoke(cli, [*ASK, *words, "--out", str(tmp_path)])
    assert ran.exit_code == 2
    assert ("--quiet hides it" if quiet_too else "needs a terminal") in ran.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_asks_by_itself_is_refused_as_well(monkeypatch, tmp_path):
    monkeypatch.setattr("chaoskit.campaign.run_experiment", pytest.fail)
    text = EXPERIMENT.read_text().replace("reaction: 800ms", "decide: ask")
    path = tmp_path / EXPERIMENT.name
    path.write_text(text.replace("../compose", str(ROOT / "compose")))
    ran = CliRunner().invoke(cli, ["run", str(path), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert "needs a terminal" in ran.output
    assert not (tmp_path / "out").exists()


def test_the_injector_counts_how_long_persons_think():
    injector = Injector.__new__(Injector)

    class Run:
        hold = Hold(0, 0, 0, asked_ns=now_ns() - 10**9, thought_ns=5 * 10**8)

    injector._running = [Run(), Run()]
    assert 3 * 10**9 <= injector.thinking_ns() < 8 * 10**9
