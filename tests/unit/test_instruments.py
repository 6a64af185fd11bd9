"""What the harness does so as not to stand in its own way."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from chaoskit.instruments import RoleBoard, rest_collector


class Knot:
    """Refers to itself: only the collector can free it."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def as_before():
    yield
    gc.unfreeze()


def collecting_s():
    """How long looking through everything takes, at best of some."""
    took = []
    for _ in range(5):
        before = time.perf_counter()
        gc.collect()
        took.append(time.perf_counter() - before)
    return min(took)


def test_what_lived_before_is_not_looked_through_again():
    heap = [[n] for n in range(300_000)]
    all_of_it = collecting_s()
    rest_collector()
    assert collecting_s() < all_of_it / 3
    assert len(heap) == 300_000


@pytest.mark.parametrize("when", ["made before it", "made between two", "made after it"])
def test_nothing_stays_for_ever(when):
    if when != "made before it":
        rest_collector()
    knot = weakref.ref(Knot())
    if when == "made after it":
        gc.collect()
    else:
        rest_collector()
    assert knot() is None


def test_what_rested_is_looked_through_by_the_next_call():
    knot = Knot()
    rest_collector()
    gone = weakref.ref(knot)
    del knot
    gc.collect()
    assert gone() is not None  # it rests: that is the price
    rest_collector()
    assert gone() is None


def test_nobody_is_waited_for_as_leader_where_nobody_is_asked():
    assert RoleBoard([], {"a": None, "b": None}).leaders() is None
    board = RoleBoard(["a"], {"a": None})
    assert board.leaders() == 0
    board.take(
        {"event": "change", "question": "role", "node": "a", "value": "primary", "done_ns": 1}
    )
    assert board.leaders() == 1


def test_where_nobody_is_asked_his_role_there_is_nothing_to_wait_for():
    board = RoleBoard([], {"a": None})
    assert board.leaders() is None
    assert board.settled_for_s() == float("inf")
    asked = RoleBoard(["a"], {"a": "primary"})
    assert asked.leaders() == 0, "it was asked and has not said so"
    assert asked.settled_for_s() == 0.0
