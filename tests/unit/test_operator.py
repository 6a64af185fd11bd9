"""Operators: reaction times, the child that acts, the person who is asked, and what is refused."""

import os
import random
import re
import threading
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from unit.operator_rig import NOBODY, PENDING, approve, person, system, tended, told

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import Node, Targets
from chaoskit.faults.switchover import Switchover
from chaoskit.probes.operator import request

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


def test_a_question_is_closed_when_the_system_withdraws_its_request(monkeypatch):
    with person(monkeypatch) as keys, system(PENDING) as (server, lab):
        with approve(decide="ask").inject(lab, NOBODY) as hold:
            tended(hold, lambda: hold.asked_ns)
            server.pending = None
            tended(hold, lambda: hold.asked_ns is None)
            (said,) = told(hold, "withdrawn")
            assert "f-1 is not pending any more" in said
            assert "no answer is needed" in said
            thought = hold.thought_ns
            keys.write(b"y\n")  # too late: it is an answer to nothing
            wait_until(lambda: hold.tend() and False, within_s=0.2)
            assert (hold.thought_ns, server.asked) == (thought, [])
            server.pending = {**PENDING, "id": "f-2"}
            tended(hold, lambda: hold.asked_ns)
            keys.write(b"n\n")
            tended(hold, lambda: server.asked)
        assert [body["id"] for _, body, _ in server.asked] == ["f-2"]
        assert len(told(hold, "asked")) == 2


def test_a_place_that_answers_with_an_error_has_withdrawn_nothing(monkeypatch):
    with person(monkeypatch) as keys, system(PENDING) as (server, lab):
        with approve(decide="ask").inject(lab, NOBODY) as hold:
            tended(hold, lambda: hold.asked_ns)
            server.status = 503
            wait_until(lambda: hold.tend() and False, within_s=0.3)
            assert hold.asked_ns, "it may stand there all the same"
            server.status = 200
            keys.write(b"y\n")
            tended(hold, lambda: server.asked)
        assert told(hold, "withdrawn") == []


def test_the_same_id_is_decided_on_again_once_it_was_gone():
    with system(PENDING) as (server, lab), approve(reaction=0).inject(lab, NOBODY) as hold:
        tended(hold, lambda: len(told(hold, "approve")) == 1)
        server.pending = None
        wait_until(lambda: hold.tend() and False, within_s=0.2)
        server.pending = PENDING
        tended(hold, lambda: len(told(hold, "approve")) == 2)
        wait_until(lambda: hold.tend() and False, within_s=0.2)
        assert len(server.asked) == 2
        assert told(hold, "withdrawn") == [], "what was decided on is not withdrawn"


def test_what_was_seen_lies_between_two_looks_and_what_was_done_before_its_answer():
    with system() as (server, lab), approve(reaction=0).inject(lab, NOBODY) as hold:
        begin = now_ns()
        server.pending = PENDING
        after = now_ns()
        tended(hold, lambda: len(hold.acts) == 3)
    _, saw, did = hold.acts
    assert saw.low_ns <= after
    assert begin <= saw.t_ns
    assert did.t_ns <= server.asked[0][2] <= did.high_ns


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
