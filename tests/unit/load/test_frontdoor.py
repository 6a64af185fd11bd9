"""Going from one endpoint to another: only after a definite refusal, each of them once."""

import errno

import pytest
from gevent import Timeout

from chaoskit.history.records import Flag, Op
from chaoskit.load.config import Endpoint
from chaoskit.load.frontdoor import FrontDoor
from chaoskit.load.operation import Operation, Verdict, describe

A, B, C = (Endpoint.of(n, f"http://10.0.0.{i}:80") for i, n in enumerate("abc", 1))


def refuse(hint="", move_on=True):
    def act(operation):
        operation.hint, operation.move_on, operation.error = hint, move_on, "refused"
        return Verdict.REFUSED

    return act


def broken(sent):
    def act(operation):
        operation.dispatched = sent
        raise OSError(errno.ECONNRESET, "reset")

    return act


def acknowledge(operation):
    operation.dispatched = True
    return Verdict.ACKNOWLEDGED


def unknown(operation):
    operation.dispatched = True
    return Verdict.UNKNOWN


def walk(door, **acts):
    operation = Operation(Op.APPEND, 0, 1, 0, fresh=False)
    asked = []

    def attempt(endpoint, it):
        asked.append(endpoint.node)
        return acts[endpoint.node](it)

    return door.walk(operation, attempt), operation, asked


def test_an_acknowledgement_ends_it_and_nothing_moves():
    door = FrontDoor([A, B])
    verdict, operation, asked = walk(door, a=acknowledge)
    assert (verdict, asked, door.current) == (Verdict.ACKNOWLEDGED, ["a"], A)
    assert (operation.attempts, operation.flags) == (1, 0)


def test_a_hint_is_followed_past_the_order_of_the_list():
    door = FrontDoor([A, B, C])
    verdict, operation, asked = walk(door, a=refuse("c"), c=acknowledge)
    assert (verdict, asked, door.current) == (Verdict.ACKNOWLEDGED, ["a", "c"], C)
    assert operation.attempts == 2
    assert operation.flags & Flag.REDIRECTED
    assert operation.error == ""


@pytest.mark.parametrize("hint", ["", "nobody", "a"])
def test_without_a_usable_hint_the_next_one_in_the_list_is_asked(hint):
    door = FrontDoor([A, B, C])
    verdict, _, asked = walk(door, a=refuse(hint), b=acknowledge)
    assert (verdict, asked, door.current) == (Verdict.ACKNOWLEDGED, ["a", "b"], B)


def test_a_refusal_that_is_about_the_request_itself_is_taken_nowhere_else():
    verdict, operation, asked = walk(FrontDoor([A, B]), a=refuse(move_on=False))
    assert (verdict, asked, operation.attempts) == (Verdict.REFUSED, ["a"], 1)


@pytest.mark.parametrize("ending", [unknown, broken(sent=True)])
def test_after_anything_ambiguous_nobody_else_is_asked(ending):
    verdict, operation, asked = walk(FrontDoor([A, B]), a=ending, b=acknowledge)
    assert (verdict, asked) == (Verdict.UNKNOWN, ["a"])
    assert not operation.flags & Flag.REDIRECTED


def test_a_connection_that_broke_before_anything_was_sent_is_a_refusal():
    door = FrontDoor([A, B])
    verdict, _, asked = walk(door, a=broken(sent=False), b=acknowledge)
    assert (verdict, asked, door.current) == (Verdict.ACKNOWLEDGED, ["a", "b"], B)


@pytest.mark.parametrize("sent", [True, False])
def test_what_an_earlier_refusal_said_is_no_word_of_an_attempt_that_broke(sent):
    def answered(operation):
        operation.dispatched = True
        operation.done_ns, operation.server, operation.epoch = 5, "a", 3
        return refuse()(operation)

    _, operation, asked = walk(FrontDoor([A, B]), a=answered, b=broken(sent))
    assert asked == ["a", "b"]
    assert (operation.done_ns, operation.server, operation.epoch) == (0, "", 0)
    _, operation, asked = walk(FrontDoor([A, B]), a=broken(sent=False), b=answered)
    assert (operation.done_ns, operation.server, operation.epoch) == (5, "a", 3)


def test_after_a_transport_error_later_operations_start_elsewhere():
    door = FrontDoor([A, B])
    walk(door, a=broken(sent=True))
    assert door.current is B
    walk(door, b=broken(sent=True))
    assert door.current is A


def test_many_requests_that_fail_on_one_endpoint_move_on_once_not_many_times():
    door = FrontDoor([A, B, C])
    for _ in range(5):
        door.leave(A)
    assert door.current is B


def test_a_timeout_passes_and_later_operations_start_elsewhere():
    door = FrontDoor([A, B])
    timeout = Timeout(5)

    def act(_):
        raise timeout

    with pytest.raises(Timeout) as caught:
        walk(door, a=act)
    assert caught.value is timeout
    assert door.current is B
    timeout.close()


def test_each_endpoint_is_asked_once_and_a_hint_brings_one_of_them_back_once():
    verdict, operation, asked = walk(FrontDoor([A, B]), a=refuse("b"), b=refuse("a"))
    assert (verdict, asked, operation.attempts) == (Verdict.REFUSED, ["a", "b", "a"], 3)
    verdict, _, asked = walk(FrontDoor([A, B, C]), a=refuse(), b=refuse(), c=refuse())
    assert (verdict, asked) == (Verdict.REFUSED, ["a", "b", "c"])


def test_a_late_answer_from_an_old_primary_does_not_bring_it_back():
    door = FrontDoor([A, B])

    def answered_meanwhile(operation):
        door.leave(A)
        return acknowledge(operation)

    walk(door, a=answered_meanwhile)
    assert door.current is B


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (OSError(errno.ENOTCONN, "x"), "transport endpoint is not connected"),
        (ConnectionError("closed without an answer"), "closed without an answer"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_the_same_cause_is_always_the_same_phrase(error, phrase):
    assert describe(error) == phrase
