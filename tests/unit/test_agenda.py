"""What is due when: by the clock and by what happens; every trigger with a case on each side."""

import pytest

from chaoskit.agenda import Agenda
from chaoskit.experiment.step import Step
from chaoskit.faults.noop import Noop
from chaoskit.load.herald import Herald

S = 1_000_000_000
ROLES = {"a": "primary", "b": "backup"}


def agenda(*steps, zero=0, begun=None):
    models = [Step.model_validate({"fault": Noop(), **step}) for step in steps]
    return Agenda(models, zero, zero if begun is None else begun, ROLES)


def everything(found, until):
    """All that is due until a moment, as (seconds, what, index); injects and heals take no time."""
    said = []
    while (due := found.due(until)) is not None:
        said.append((due.at_ns / S, due.what, due.index))
        found.happened(due.index, {"inject": "injected", "heal": "healed"}[due.what], due.at_ns)
    return said


KILL = {"at": "4s", "for": "3s"}


def test_steps_with_a_time_come_in_order_and_are_healed_after_their_for():
    found = agenda({"at": "5s"}, KILL, zero=10 * S)
    assert found.next_ns() == 14 * S
    assert found.due(14 * S - 1) is None
    assert everything(found, 100 * S) == [
        (14, "inject", 1),
        (15, "inject", 0),
        (17, "heal", 1),
    ]
    assert found.next_ns() is None
    assert found.unfinished() == []


def test_at_one_moment_a_heal_comes_before_an_injection():
    found = agenda({"at": "1s", "for": "1s"}, {"at": "2s"})
    assert [what for _, what, _ in everything(found, 9 * S)] == ["inject", "heal", "inject"]


def test_a_role_change_fires_once_the_steps_before_it_are_in_force():
    found = agenda(KILL, {"when": "role backup -> primary", "after": "50ms", "for": "1s"})
    found.role("b", "primary", 1 * S)  # too early: nothing is broken yet
    found.role("b", "backup", 2 * S)
    assert everything(found, 4 * S) == [(4, "inject", 0)]
    found.role("a", None, 4 * S + 1)  # another change
    assert found.due(5 * S) is None
    found.role("b", "primary", 5 * S)
    assert everything(found, 10 * S) == [(5.05, "inject", 1), (6.05, "heal", 1), (7, "heal", 0)]


@pytest.mark.parametrize(
    ("when", "node", "value", "fires"),
    [
        ("role any -> none", "a", None, True),
        ("role any -> none", "b", "primary", False),
        ("role primary -> any", "a", "backup", True),
        ("role backup -> primary of b", "b", "primary", True),
        ("role backup -> primary of a", "b", "primary", False),
        ("role backup -> fenced", "b", "primary", False),
    ],
)
def test_a_role_trigger_means_what_it_says(when, node, value, fires):
    found = agenda({"when": when})
    found.role(node, value, 1 * S)
    assert (found.due(1 * S) is not None) is fires


def test_the_first_bad_request_is_one_that_was_due_after_the_step_began_to_wait():
    found = agenda(KILL, {"when": "first bad request"})
    found.bad_request(3 * S, 3 * S)
    everything(found, 4 * S)
    found.bad_request(4 * S - 1, 4 * S + 5)  # due before the fault: not its doing
    assert found.due(4 * S + 5) is None
    found.bad_request(4 * S + 2, 4 * S + 9)
    due = found.due(4 * S + 9)
    assert (due.what, due.index, due.at_ns) == ("inject", 1, 4 * S + 9)
    found.bad_request(5 * S, 5 * S)  # only the first
    assert found.next_ns() == 7 * S


def test_served_again_needs_something_bad_first():
    found = agenda(KILL, {"when": "served again"})
    found.bad_request(3 * S, 3 * S)
    everything(found, 4 * S)
    found.served_again(5 * S, 5 * S)  # what was bad was so before the fault
    assert found.due(5 * S) is None
    found.bad_request(5 * S, 5 * S)
    assert found.due(6 * S) is None
    found.served_again(6 * S, 6 * S)
    assert found.due(6 * S).index == 1


def test_a_step_may_wait_for_what_became_of_another():
    found = agenda(
        KILL,
        {"when": "step 1 injected", "after": "1s"},
        {"when": "step 1 bitten"},
        {"when": "step 1 healed"},
    )
    everything(found, 4 * S)
    found.happened(0, "bitten", 4 * S + 3)
    found.happened(0, "bitten", 4 * S + 9)  # the first time counts
    assert everything(found, 6 * S) == [(4.000000003, "inject", 2), (5, "inject", 1)]
    assert everything(found, 9 * S) == [(7, "heal", 0), (7, "inject", 3)]


# ---------------------------------------------------------------- what does not come


def test_what_does_not_come_in_time_is_missed_and_says_so():
    found = agenda(KILL, {"when": "role backup -> primary", "within": "2s"}, {"at": "9s"})
    everything(found, 5 * S)
    assert found.next_ns() == 6 * S
    assert found.missed() == []
    everything(found, 6 * S)
    (missed,) = found.missed()
    assert (missed.index, missed.optional) == (1, False)
    assert "within 2s" in missed.sentence
    found.role("b", "primary", 6 * S + 1)  # too late
    assert everything(found, 20 * S) == [(7, "heal", 0), (9, "inject", 2)]
    assert found.missed() == []


def test_patience_begins_when_the_steps_before_are_in_force():
    found = agenda(
        {"when": "first bad request", "within": "5s"}, {"when": "served again", "within": "5s"}
    )
    found.bad_request(4 * S, 4 * S)
    everything(found, 4 * S)
    everything(found, 9 * S - 1)
    assert found.missed() == []
    everything(found, 9 * S)
    assert [m.index for m in found.missed()] == [1]


def test_patience_with_a_step_begins_when_that_step_is_due():
    found = agenda({"at": "30s", "for": "1s"}, {"when": "step 1 bitten", "within": "1s"})
    assert found.next_ns() == 30 * S
    everything(found, 30 * S)
    everything(found, 32 * S)
    assert [m.index for m in found.missed()] == [1]


def test_what_waits_for_a_missed_step_is_missed_with_it():
    found = agenda(
        {"when": "first bad request", "within": "1s", "optional": True, "for": "1s"},
        {"when": "step 1 healed", "optional": True},
        {"when": "served again", "within": "3s"},
    )
    everything(found, 2 * S)
    assert [(m.index, m.optional) for m in found.missed()] == [(0, True), (1, True)]
    found.bad_request(3 * S, 3 * S)  # the third waits now
    found.served_again(4 * S, 4 * S)
    assert everything(found, 4 * S) == [(4, "inject", 2)]


def test_a_step_that_could_not_be_carried_out_takes_along_what_waits_for_it():
    found = agenda(KILL, {"when": "step 1 healed"})
    assert found.due(4 * S).index == 0
    found.not_injected(0, 4 * S)
    assert [m.index for m in found.missed()] == [1]
    assert everything(found, 30 * S) == []
    assert found.unfinished() == []


def test_a_step_later_than_the_end_is_unfinished():
    found = agenda(KILL, {"at": "9s"})
    everything(found, 5 * S)
    assert found.unfinished() == [1]


# ---------------------------------------------------------------- the load's part


def test_a_turn_is_said_at_once_and_a_flood_of_turns_is_not():
    said = []
    herald = Herald(said.append)
    herald.good(0, 1)
    assert said == []
    herald.bad(1 * S, 1 * S + 5)
    assert said == [{"event": "bad", "due_ns": 1 * S, "done_ns": 1 * S + 5}]
    for ms in range(1, 1000):  # half of the requests fail
        (herald.bad if ms % 2 else herald.good)(S + ms * 10**6, S + ms * 10**6 + 5)
    assert len(said) <= 1 + 1000 / 20
    assert {event["event"] for event in said} == {"bad", "good"}
