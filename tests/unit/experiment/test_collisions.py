"""Two steps that want the same of one node: refused where it is certain, and only there."""

import pytest

from chaoskit.errors import BadInput
from chaoskit.experiment.collisions import clash
from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause

PAUSE_A = "{at: 3s, for: 2s, fault: pause, target: node-a}"


def loaded(files, good_text, *lines):
    before, _, rest = good_text.partition("steps:\n")
    listed = "".join(f"  - {line}\n" for line in lines)
    return files.load(f"{before}steps:\n{listed}{rest[rest.index('run_for') :]}")


def refusal(files, good_text, *lines):
    with pytest.raises(BadInput) as caught:
        loaded(files, good_text, *lines)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("one", "other", "resource"),
    [
        (Pause(), Pause(), "run"),
        (Kill(), Pause(), "life"),
        (Pause(), Kill(), "life"),
        (Kill(), Kill(), "life"),
        (Kill(), Partition(), None),
        (Pause(), Partition(), None),
        (Noop(), Kill(), None),
    ],
)
def test_faults_clash_over_what_both_want_for_themselves(one, other, resource):
    assert clash(one, other) == resource


@pytest.mark.parametrize(
    "other",
    [
        "{at: 4s, for: 2s, fault: kill, target: node-a}",
        "{at: 4s, for: 2s, fault: kill, target: 'service:node-a'}",
        "{at: 4s, fault: kill, target: all}",
        "{at: 1s, fault: kill, target: node-a}",
        "{at: 1s, for: 2001ms, fault: kill, target: [node-a, node-b]}",
        "{at: 1s, for: 500ms, fault: kill, target: node-a, repeat: {every: 2500ms, times: 3}}",
    ],
)
def test_steps_that_are_certain_to_meet_are_refused_with_their_place(files, good_text, other):
    problem = refusal(files, good_text, PAUSE_A, other)
    assert "both need its 'life' for themselves" in problem.sentence
    assert "node-a" in problem.sentence
    assert (problem.line, problem.column) > (1, 1)


def test_the_same_role_at_the_same_moment_is_the_same_node(files, good_text):
    at_once = "{at: 3s, for: 1s, fault: pause, target: primary}"
    assert "primary" in refusal(files, good_text, at_once, at_once).sentence


@pytest.mark.parametrize(
    "other",
    [
        "{at: 5s, for: 2s, fault: kill, target: node-a}",  # ends and begins at one moment
        "{at: 4s, for: 2s, fault: kill, target: node-b}",
        "{at: 4s, for: 2s, fault: kill, target: primary}",  # known only then
        "{at: 4s, for: 500ms, fault: partition, target: node-a}",
        "{when: first bad request, within: 3s, for: 2s, fault: kill, target: node-a}",  # nobody knows when
        "{at: 6s, for: 1s, fault: kill, target: node-a, repeat: {every: 2s, times: 2}}",
    ],
)
def test_steps_that_need_not_meet_are_accepted(files, good_text, other):
    assert len(loaded(files, good_text, PAUSE_A, other).steps) == 2
