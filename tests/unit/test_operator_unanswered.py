"""Decisions that nobody answered: sent again, counted only once somebody heard them."""

import time
from types import SimpleNamespace

import pytest
from unit.operator_rig import NOBODY, PENDING, approve, person, system, tended, told

from chaoskit.clock import NS, wait_until
from chaoskit.measure.acts import acts
from chaoskit.probes import operator


def heard(hold):
    """Event and whether it was accepted, of each try, as the measurement reads the marks."""
    noted = [
        {"event": act.event, "t_ns": act.t_ns, "detail": act.detail, "node": act.node}
        | {"low_ns": act.low_ns, "high_ns": act.high_ns}
        for act in hold.acts
    ]
    history = SimpleNamespace(notes={"operator": noted})
    words = ("operator-approve", "operator-wrong", "operator-reject")
    return [(act.event.removeprefix("operator-"), act.accepted) for act in acts(history, *words)]


@pytest.mark.parametrize("decide", ["approve", "reject", "wrong"])
def test_a_decision_that_nobody_answered_is_sent_again_until_somebody_does(decide):
    with system(PENDING) as (server, lab):
        server.silent = lambda number: number <= 2
        with approve(decide=decide, reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, decide)) == 3)
            wait_until(lambda: hold.tend() and False, within_s=0.8)
        assert len(server.asked) == 3, "one that was answered is not sent again"
        assert len({(path, str(body)) for path, body, _ in server.asked}) == 1, "the same one"
        first, second, third = (at for *_, at in server.asked)
        assert min(second - first, third - second) >= NS // 2, "not a flood"
    assert heard(hold) == [(decide, False), (decide, False), (decide, True)]
    assert hold.unmet == ""
    assert "accepted: done" in hold.detail
    assert hold.detail.endswith("no answer came 2 times")


def test_who_stalls_while_he_is_asked_or_answers_when_he_has_promoted_is_asked_once():
    def stalls(_number):
        time.sleep(1.5)
        return False

    with system(PENDING) as (server, lab):
        server.silent = stalls
        with approve(reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, "approve")) == 1)
            wait_until(lambda: hold.tend() and False, within_s=0.8)
        assert len(server.asked) == 1, "twice is once too often where it is not idempotent"
    assert heard(hold) == [("approve", True)]
    assert hold.unmet == ""


def test_a_decision_that_is_never_answered_is_sent_again_in_the_end(monkeypatch):
    config = {"watch": [], "decision": "approve"}
    monkeypatch.setattr(operator, "_ANSWER_S", 0.3)
    said = []
    monkeypatch.setattr(operator, "say", said.append)

    def stalls(number):
        time.sleep(0.5 if number == 1 else 0)
        return False

    with system(PENDING) as (server, _lab):
        server.silent = stalls
        desk = operator._Desk(config)
        place = operator._Place("db-1", f"http://127.0.0.1:{server.server_address[1]}")
        desk._seen["f-1"] = operator._Pending(place, "f-1", "db-2", time.monotonic_ns(), 0)
        desk._decide("f-1", "approve")
    assert [message["status"] for message in said] == [0, 200]
    assert "timed out" in said[0]["detail"]


def test_a_step_whose_decision_was_never_answered_is_unmet_and_says_so():
    with system(PENDING) as (server, lab):
        server.silent = lambda _: True
        with approve(reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, "approve")) == 2)
    assert "a decision was sent 2 times and no answer came" in hold.unmet
    assert "'optional: true'" in hold.unmet
    assert hold.detail.endswith("; no answer came 2 times")
    assert heard(hold) == [("approve", False)] * 2


def test_a_refusal_is_an_answer_and_is_not_repeated():
    with system(PENDING, (409, {"error": "no"})) as (server, lab):
        with approve(reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, "approve")) == 1)
            wait_until(lambda: hold.tend() and False, within_s=0.8)
        assert len(server.asked) == 1
    assert hold.unmet == ""


def lost(server, became):
    """The first decision is taken, or not, while its answer is lost."""

    def silent(number):
        server.pending, server.decided = None, became
        return number == 1

    server.silent = silent


@pytest.mark.parametrize(
    ("decide", "state"),
    [("approve", "approved"), ("approve", "done"), ("wrong", "lapsed"), ("reject", "rejected")],
)
def test_a_decision_that_the_system_says_it_took_counts_though_its_answer_was_lost(decide, state):
    with system(PENDING) as (server, lab):
        lost(server, {"id": "f-1", "state": state})
        with approve(decide=decide, reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, decide)) == 2)
        assert len(server.asked) == 1, "nothing is pending any more: it is not repeated"
    assert heard(hold) == [(decide, False), (decide, True)]
    assert told(hold, "withdrawn") == []
    assert hold.unmet == ""
    taken = hold.acts[-1]
    assert taken.low_ns <= server.asked[0][2] <= taken.high_ns
    assert f"failover f-1 is {state}" in hold.detail


def test_one_that_was_taken_and_then_refused_as_taken_already_counts_as_accepted():
    with system(PENDING, (409, {"error": "it is approved already"})) as (server, lab):

        def silent(number):
            if number == 2:
                server.pending, server.decided = None, {"id": "f-1", "state": "approved"}
            return number == 1

        server.silent = silent
        with approve(reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: len(told(hold, "approve")) == 3)
        assert len(server.asked) == 2
    assert heard(hold) == [("approve", False), ("approve", False), ("approve", True)]
    assert hold.unmet == ""


@pytest.mark.parametrize(
    ("decide", "became", "said"),
    [
        ("approve", None, "no answer came to the decision"),
        ("approve", {"id": "f-0", "state": "approved"}, "no answer came to the decision"),
        ("approve", {"id": "f-1", "state": "withdrawn"}, "the system says that it is withdrawn"),
        ("approve", {"id": "f-1", "state": "rejected"}, "the system says that it is rejected"),
        ("reject", {"id": "f-1", "state": "approved"}, "the system says that it is approved"),
        ("approve", ["f-1", "approved"], "no answer came to the decision"),
    ],
)
def test_one_that_is_over_and_not_said_to_be_taken_does_not_count(decide, became, said):
    with system(PENDING) as (server, lab):
        lost(server, became)
        with approve(decide=decide, reaction=0).inject(lab, NOBODY) as hold:
            tended(hold, lambda: told(hold, "withdrawn"))
            wait_until(lambda: hold.tend() and False, within_s=0.6)
        assert len(server.asked) == 1
    (detail,) = told(hold, "withdrawn")
    assert detail.endswith(said)
    assert "a decision was sent once and no answer came" in hold.unmet


def test_a_late_decision_is_tried_once_where_nothing_is_pending_any_more():
    with system(PENDING) as (server, lab):
        server.silent = lambda _: True
        with approve(reaction="300ms").inject(lab, NOBODY) as hold:
            tended(hold, lambda: told(hold, "saw"))
            server.pending = None
            tended(hold, lambda: told(hold, "approve"))
            wait_until(lambda: hold.tend() and False, within_s=0.8)
        assert len(server.asked) == 1
    assert len(told(hold, "withdrawn")) == 1, "nobody had decided on it then"
    assert "no answer came" in hold.unmet


def test_a_person_is_not_asked_again_for_what_they_have_said(monkeypatch):
    with person(monkeypatch) as keys, system(PENDING) as (server, lab):
        server.silent = lambda number: number == 1
        with approve(decide="ask").inject(lab, NOBODY) as hold:
            tended(hold, lambda: hold.asked_ns)
            keys.write(b"n\n")
            tended(hold, lambda: len(told(hold, "reject")) == 2)
            assert hold.asked_ns is None
        assert len(told(hold, "asked")) == 1
        assert [path for path, *_ in server.asked] == ["/failover/reject"] * 2
    assert hold.unmet == ""
