"""Front doors that share requests out, and those that know an owner for each shard."""

import errno
from collections import Counter

import pytest
from gevent import Timeout

from chaoskit.history.records import Op
from chaoskit.load.config import Endpoint
from chaoskit.load.doors import REST_S, Sharded, Spread
from chaoskit.load.operation import Operation, Verdict

A, B, C = (Endpoint.of(n, f"http://10.0.0.{i}:80") for i, n in enumerate("abc", 1))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def ask(door, dead=(), key=0, owners=None):
    """One operation; the endpoints that it asked. Dead ones refuse the connection."""
    operation = Operation(Op.APPEND, 0, 1, key, fresh=False)
    asked = []

    def attempt(endpoint, it):
        asked.append(endpoint.node)
        if endpoint.node in dead:
            raise OSError(errno.ECONNREFUSED, "refused")
        if owners and owners[key] != endpoint.node:
            it.hint, it.move_on = owners[key], True
            return Verdict.REFUSED
        return Verdict.ACKNOWLEDGED

    assert door.walk(operation, attempt) is Verdict.ACKNOWLEDGED
    return asked


def test_requests_are_shared_out_evenly():
    door = Spread([A, B, C], 0.05)
    assert Counter(ask(door)[0] for _ in range(300)) == {"a": 100, "b": 100, "c": 100}


def test_an_endpoint_that_failed_rests_and_one_request_tries_it_then():
    clock = Clock()
    door = Spread([A, B, C], 0.05, clock)
    first = [ask(door, dead="b") for _ in range(30)]
    assert sum("b" in asked for asked in first) == 1, "met once, and left alone"
    assert all(asked[-1] in ("a", "c") for asked in first), "the request itself went on elsewhere"
    clock.now += REST_S
    later = [ask(door, dead="b") for _ in range(30)]
    assert sum("b" in asked for asked in later) == 1, "one request tries it"
    clock.now += REST_S
    back = Counter(ask(door)[0] for _ in range(300))
    assert min(back.values()) >= 99, "answered: it has its share again"


def test_a_request_that_was_sent_and_timed_out_goes_nowhere_else_and_its_endpoint_rests():
    door = Spread([A, B], 0.05, Clock())
    operation = Operation(Op.APPEND, 0, 1, 0, fresh=False)

    def silent(_endpoint, _operation):
        raise Timeout

    with pytest.raises(Timeout):
        door.walk(operation, silent)
    assert operation.attempts == 1
    assert {ask(door)[0] for _ in range(10)} == {"b"}


def test_where_all_rest_somebody_is_asked_all_the_same():
    door = Spread([A, B], 0.05, Clock())
    for endpoint in (A, B):
        door.leave(endpoint)
    assert ask(door)[0] in ("a", "b")


def test_each_shard_has_an_owner_of_its_own_and_a_hint_is_remembered():
    door = Sharded([A, B, C], 3)
    owners = {1: "a", 2: "c", 3: "c", 5: "c"}
    assert ask(door, key=2, owners=owners) == ["b", "c"]
    assert ask(door, key=2, owners=owners) == ["c"]
    assert ask(door, key=5, owners=owners) == ["c"], "the same shard"
    assert ask(door, key=1, owners=owners) == ["a"], "what one shard learnt is not another's"
