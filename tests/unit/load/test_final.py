"""Final reads: nodes that still differ are read again, for as long as was said and no longer."""

import time

import numpy as np
import pytest

from chaoskit.errors import BadInput
from chaoskit.history.history import FRONTDOOR
from chaoskit.load.config import Endpoint
from chaoskit.load.final import read_everything

NODES = tuple(Endpoint(n, f"http://{n}:1", "http", n, 1) for n in ("a", "b"))


class System:
    """What each place says, one answer for each time that it is asked; the last one for ever."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = dict.fromkeys(answers, 0)

    def read_back(self, place):
        name = place.node if place else FRONTDOOR
        answers = self.answers[name]
        found = answers[min(self.asked[name], len(answers) - 1)]
        self.asked[name] += 1
        if isinstance(found, Exception):
            raise found
        return found


def read(system, folder, agree_s=0.0, timeout_s=1.0):
    facts = read_everything(system.read_back, NODES, folder, timeout_s, agree_s)
    tokens = {p.stem: np.load(p)[:, 0].tolist() for p in folder.glob("*.npy")}
    return facts, tokens


BOTH, LESS = {1: 1, 2: 1}, {1: 1}


def test_nodes_that_agree_are_read_once_whatever_the_patience(tmp_path):
    system = System(frontdoor=[BOTH], a=[BOTH], b=[BOTH])
    facts, tokens = read(system, tmp_path, agree_s=30.0)
    assert tokens == {FRONTDOOR: [1, 2], "a": [1, 2], "b": [1, 2]}
    assert system.asked == {FRONTDOOR: 1, "a": 1, "b": 1}
    assert facts["a"] == {"tokens": 2, "distinct": 2}


def test_a_node_that_is_still_copying_is_waited_for(tmp_path):
    system = System(frontdoor=[LESS, BOTH], a=[BOTH], b=[{}, LESS, BOTH])
    _, tokens = read(system, tmp_path, agree_s=30.0)
    assert tokens == {FRONTDOOR: [1, 2], "a": [1, 2], "b": [1, 2]}
    assert system.asked["b"] == 3


def test_nodes_that_never_agree_are_left_as_they_are_when_patience_ends(tmp_path):
    system = System(frontdoor=[BOTH], a=[BOTH], b=[LESS])
    began = time.monotonic()
    _, tokens = read(system, tmp_path, agree_s=0.6)
    assert time.monotonic() - began >= 0.6
    assert (tokens["a"], tokens["b"]) == ([1, 2], [1])
    assert system.asked["b"] > 1


def test_without_patience_everything_is_read_once(tmp_path):
    system = System(frontdoor=[BOTH], a=[BOTH], b=[LESS, BOTH])
    assert read(system, tmp_path)[1]["b"] == [1]
    assert system.asked["b"] == 1


def test_the_front_door_may_differ_from_the_nodes(tmp_path):
    system = System(frontdoor=[LESS, BOTH], a=[BOTH], b=[BOTH])
    assert read(system, tmp_path, agree_s=30.0)[1][FRONTDOOR] == [1]


@pytest.mark.parametrize("answers", [[BOTH, ValueError("no log")], [BOTH, OSError("gone")]])
def test_a_place_that_cannot_be_read_any_more_leaves_the_earlier_read_of_all(tmp_path, answers):
    system = System(frontdoor=[BOTH], a=answers, b=[LESS, BOTH])
    _, tokens = read(system, tmp_path, agree_s=30.0, timeout_s=0.5)
    assert (tokens["a"], tokens["b"]) == ([1, 2], [1])


def test_a_place_that_never_answers_is_an_error_and_the_rest_is_kept(tmp_path):
    system = System(frontdoor=[BOTH], a=[OSError("refused")], b=[BOTH])
    facts, tokens = read(system, tmp_path, agree_s=30.0, timeout_s=0.4)
    assert "a could not be read back" in facts["a"]["error"]
    assert set(tokens) == {FRONTDOOR, "b"}


@pytest.mark.parametrize(
    ("answer", "blamed"),
    [(OSError("refused"), True), (ValueError("no log"), True), (BadInput("cannot read"), False)],
)
def test_a_load_that_cannot_read_is_not_the_places_doing(tmp_path, answer, blamed):
    system = System(frontdoor=[BOTH], a=[answer], b=[BOTH])
    facts, _ = read(system, tmp_path, timeout_s=0.3)
    assert "a could not be read back" in facts["a"]["error"]
    assert ("asked" not in facts["a"], facts["a"].get("asked")) == (
        blamed,
        None if blamed else False,
    )


def test_what_came_and_could_not_be_kept_is_not_the_places_doing_either(tmp_path):
    (tmp_path / "a.npy").mkdir()
    system = System(frontdoor=[BOTH], a=[BOTH], b=[BOTH])
    facts = read_everything(system.read_back, NODES, tmp_path, 1.0)
    assert facts["a"]["asked"] is False
    assert "could not be written" in facts["a"]["error"]
    assert facts["b"] == {"tokens": 2, "distinct": 2}
