"""What nodes tell of themselves: each event once, whatever the node does."""

import json

import pytest

from chaoskit.probes.events import Teller, new_events


def event(n, word="x", **more):
    return {"n": n, "t_ns": 1000 + n, "event": word, **more}


def heard(teller, *events, last=None, bare=False):
    body = (
        list(events)
        if bare
        else {"events": list(events)} | ({} if last is None else {"last": last})
    )
    return [row["t_ns"] - 1000 for row in new_events(teller, json.dumps(body).encode(), 5)]


@pytest.mark.parametrize("bare", [False, True])
def test_each_event_comes_once_also_from_a_node_that_tells_everything_again(bare):
    teller = Teller("a", "http://h:1/events")
    assert teller.question() == "http://h:1/events?after=0"
    assert heard(teller, event(2), event(1), bare=bare) == [1, 2]
    assert heard(teller, event(1), event(2), event(3), bare=bare) == [3]
    assert heard(teller, event(1), event(2), event(3), bare=bare) == []
    assert teller.question().endswith("after=3")


def test_a_node_that_began_anew_is_heard_from_its_first_event_on():
    teller = Teller("a", "http://h:1/events", after=50)
    assert heard(teller, last=2) == []  # it understood after=50, and has only two
    assert heard(teller, event(1), event(2), last=2) == [1, 2]


def test_what_is_no_event_is_passed_over():
    teller = Teller("a", "http://h:1/e?x=1")
    assert teller.question() == "http://h:1/e?x=1&after=0"
    strange = [
        None,
        3,
        {"n": 1},
        {"n": True, "t_ns": 1, "event": "x"},
        event(4) | {"n": "4"},
        event(-1),
    ]
    assert heard(teller, *strange, event(7)) == [7]
    with pytest.raises(ValueError, match="Expecting value"):
        new_events(teller, b"nonsense", 5)
    assert new_events(teller, b'{"events": 3}', 5) == []


def test_a_line_has_what_the_history_needs():
    teller = Teller("a", "http://h:1/events")
    body = json.dumps([event(1, "promoted", epoch=3, detail="d" * 999, other=[1])]).encode()
    (line,) = new_events(teller, body, 77)
    assert line == {
        "node": "a", "t_ns": 1001, "event": "promoted", "seen_ns": 77, "detail": "d" * 200,
        "epoch": 3,
    }  # fmt: skip
