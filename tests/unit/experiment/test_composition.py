"""Steps that wait, repeat or leave it to the seed; matrices; each with what is refused."""

import random
import re

import pytest
from support import ROOT

from chaoskit.errors import BadInput
from chaoskit.experiment.loader import load_cells
from chaoskit.experiment.step import Step, ends_s, unfolded
from chaoskit.experiment.trigger import parse_trigger
from chaoskit.faults.approve import Approve
from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop

KILL = "{at: 3s, for: 1s, fault: kill, target: primary}"


def with_steps(good_text, *lines, more=""):
    before, _, rest = good_text.partition("steps:\n")
    listed = "".join(f"  - {line}\n" for line in lines)
    _, _, rest = rest.partition("run_for: 12s\n")
    return f"{before}steps:\n{listed}{rest}{more}"


def refused(files, text):
    with pytest.raises(BadInput) as said:
        files.load(text)
    return [p.sentence for p in said.value.problems]


def step(**more):
    return Step.model_validate({"fault": Kill(), "target": "a", **more})


# ---------------------------------------------------------------- triggers


@pytest.mark.parametrize(
    "text",
    [
        "role backup -> primary",
        "role any -> none of node-b",
        "first bad request",
        "served again",
        "step 1 healed",
        "step 12 injected",
    ],
)
def test_a_trigger_is_read_and_says_itself_again(text):
    assert str(parse_trigger(text)) == text
    assert parse_trigger(str(parse_trigger(text))) == parse_trigger(text)
    assert parse_trigger(f"  {text.replace(' ', '   ')} ") == parse_trigger(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("role backup > primary", "is no trigger"),
        ("role primary -> primary", "no change"),
        ("step 0 healed", "counted from 1"),
        ("step 1 finished", "is no trigger"),
        ("first bad request please", "is no trigger"),
        (7, "a trigger is a text"),
    ],
)
def test_what_is_no_trigger_is_refused_with_an_example(text, said):
    with pytest.raises(ValueError, match=said):
        parse_trigger(text)


def test_an_experiment_may_wait_for_what_happens(files, good_text):
    found = files.load(
        with_steps(
            good_text,
            KILL,
            "{when: first bad request, after: 50ms, fault: pause, target: node-b, for: 1s}",
            "{when: role backup -> primary, within: 3s, optional: true, fault: kill, target: primary, for: 1s}",
            "{when: step 2 healed, fault: partition, target: node-b, for: 1s}",
        )
    )
    assert [str(s.when) if s.when else None for s in found.steps] == [
        None,
        "first bad request",
        "role backup -> primary",
        "step 2 healed",
    ]
    assert "when first bad request and 50ms more: pause node-b" in str(found.steps[1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{at: 5s, when: served again, fault: noop}", "either 'at' or 'when'"),
        ("{fault: noop}", "'at' is missing"),
        ("{at: 5s, within: 3s, fault: noop}", "belong to a step with 'when'"),
        ("{when: step 2 healed, fault: noop}", "step 2 is itself"),
        ("{when: step 3 healed, fault: noop}", "comes later"),
        ("{when: role primry -> backup, fault: noop}", "did you mean 'primary'"),
        ("{when: role any -> primary of node-x, fault: noop}", "is not there"),
        ("{when: role any -> primary of node-b, fault: noop}", "is not asked for its role"),
        ("{when: never, fault: noop}", "is no trigger"),
    ],
)
def test_a_step_that_can_never_come_is_refused(files, good_text, line, said):
    (sentence,) = refused(files, with_steps(good_text, KILL, line))
    assert said in sentence


def test_waiting_for_a_heal_needs_a_heal_and_for_a_bite_a_fault_that_bites(files, good_text):
    forever = "{at: 3s, fault: kill, target: primary}"
    (sentence,) = refused(
        files, with_steps(good_text, forever, "{when: step 1 healed, fault: noop}")
    )
    assert "no 'for'" in sentence
    (sentence,) = refused(
        files,
        with_steps(good_text, "{at: 3s, fault: noop}", "{when: step 1 bitten, fault: noop}"),
    )
    assert "never seen to bite" in sentence


def test_what_waits_for_an_optional_step_is_optional(files, good_text):
    steps = [KILL, "{when: served again, optional: true, fault: noop, for: 1s}"]
    (sentence,) = refused(
        files, with_steps(good_text, *steps, "{when: step 2 healed, fault: noop}")
    )
    assert "is optional" in sentence
    files.load(with_steps(good_text, *steps, "{when: step 2 healed, optional: true, fault: noop}"))


def test_an_operator_with_a_time_of_his_own_may_have_nothing_to_do(files, good_text):
    step(fault=Approve(), target=(), at="2s", optional=True)
    step(choose=[step(fault=Approve(), at="2s")], at="2s", optional=True)
    with pytest.raises(ValueError, match="a step that waits"):
        step(at="2s", optional=True)
    (sentence,) = refused(files, with_steps(good_text, "{at: 3s, fault: kil, optional: true}"))
    assert "kil" in sentence, "what could not be read is not complained of twice"


def test_what_waits_for_an_operator_who_comes_in_any_case_need_not_be_optional(files, good_text):
    operator = "{at: 2s, for: 1s, fault: approve, optional: true}"
    stack = ROOT / "compose" / "active-passive-approval" / "compose.yaml"
    text = re.sub("(?m)^stack: .*$", f"stack: {stack}", good_text)
    loaded = files.load(with_steps(text, operator, "{when: step 1 healed, fault: noop}", KILL))
    assert [step.optional for step in loaded.steps] == [True, False, False]


def test_the_latest_end_counts_the_patience_of_every_step_before():
    steps = [
        step(at="3s", **{"for": "2s"}),
        step(when="first bad request", after="1s", within="4s", **{"for": "1s"}),
        step(when="step 1 healed", **{"for": "1s"}),
        step(at="1s", repeat={"every": "2s", "times": 3}, **{"for": "1s"}),
    ]
    assert ends_s(steps) == ((3, 5), (8, 9), (7, 8), (1, 6))


def test_who_waits_for_a_step_that_repeats_waits_for_its_last_time():
    again = step(at="4s", repeat={"every": "5s", "times": 5}, **{"for": "500ms"})
    after = step(when="step 1 injected", after="6s", within="2s", **{"for": "2s"})
    role = step(when="role backup -> primary", within="2s", **{"for": "1s"})
    assert ends_s([again, after]) == ((4, 24.5), (32, 34))
    assert ends_s([again, role]) == ((4, 24.5), (26, 27))


# ---------------------------------------------------------------- repeat and choose


def test_a_repeated_step_becomes_several_and_a_chosen_one_is_the_seeds():
    choices = [step(at="1s", **{"for": "1s"}), step(at="1s", fault=Noop(), **{"for": "1s"})]
    both = Step.model_validate(
        {
            "at": "1s",
            "for": "1s",
            "fault": Noop(),
            "choose": choices,
            "repeat": {"every": "2s", "times": 40},
        }
    )
    found = unfolded([both], random.Random(1))
    assert [s.at_s for s in found] == [1 + 2 * k for k in range(40)]
    assert {s.fault.kind for s in found} == {"kill", "noop"}
    assert {s.origin for s in found} == {0}
    assert all(s.repeat is None and not s.choose for s in found)
    assert unfolded([both], random.Random(1)) == found
    assert unfolded([both], random.Random(2)) != found


def test_what_waits_for_a_repeated_step_waits_for_its_last_time():
    steps = [
        step(when="served again", repeat={"every": "2s", "times": 3}, **{"for": "1s"}),
        step(when="step 1 healed", **{"for": "1s"}),
    ]
    found = unfolded(steps, random.Random(1))
    assert [str(s.when) for s in found] == [
        "served again",
        "step 1 injected",
        "step 1 injected",
        "step 3 healed",
    ]
    assert [s.after_s for s in found] == [0, 2, 4, 0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{at: 5s, fault: noop, repeat: {every: 1s, times: 3}}", "needs a 'for'"),
        ("{at: 5s, for: 1s, fault: noop, repeat: {every: 1s, times: 3}}", "needs a 'for'"),
        ("{at: 5s, for: 1s, fault: noop, repeat: {every: 2s, times: 1}}", "times"),
        ("{at: 5s, choose: [{fault: noop}]}", "2 to 50"),
        ("{at: 5s, fault: noop, choose: [{fault: noop}, {fault: noop}]}", "either 'fault'"),
        ("{at: 5s, signal: SIGTERM, choose: [{fault: noop}, {fault: noop}]}", "belongs into"),
        ("{at: 5s, choose: [{fault: noop}, {fault: noop, at: 3s}]}", "stands beside"),
        ("{at: 5s, choose: [{fault: noop}, {fault: kill}]}", "'target' is missing"),
        ("{at: 5s, choose: [{fault: noop}, {fault: kil, target: node-a}]}", "did you mean"),
        ("{at: 5s, fault: kill, for: 1s, target: all, }", "collides"),
    ],
)
def test_what_cannot_be_repeated_or_chosen_is_refused(files, good_text, line, said):
    first = "{at: 5s, for: 1s, fault: pause, target: node-a}"
    assert any(said in s for s in refused(files, with_steps(good_text, first, line)))


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("target", "count"),
    [("all", 2), ("majority", 2), ("[node-a, node-b]", 2), ("[node-a, not node-a]", 2)],
)
def test_more_targets_than_allowed_is_refused_where_it_is_certain(files, good_text, target, count):
    text = with_steps(good_text, f"{{at: 3s, for: 1s, fault: kill, target: {target}}}")
    (sentence,) = refused(files, text.replace("max_targets: 2", "max_targets: 1"))
    assert f"is {count} nodes, more than max_targets 1" in sentence
    files.load(text)  # as many as allowed


def test_two_nodes_have_no_minority(files, good_text):
    text = with_steps(good_text, "{at: 3s, for: 1s, fault: kill, target: minority}")
    assert "2 nodes have no minority" in refused(files, text)[0]


# ---------------------------------------------------------------- matrix

MATRIX = """\
matrix:
  steps.0.fault: [kill, pause]
  length:
    - {label: short, set: {steps.0.for: 500ms, thresholds: [flapping == 0]}}
    - {set: {steps.0.for: 3s}}
"""


def cells(files, text, **overrides):
    files.path.write_text(text)
    changes = {path.replace("__", "."): value for path, value in overrides.items()}
    return load_cells(files.path, overrides=changes)


def test_a_matrix_is_every_combination_each_checked_as_an_experiment(files, good_text):
    text = with_steps(good_text, KILL, more=MATRIX)
    found = cells(files, text)
    assert [dict(one.cell) for one in found] == [
        {"steps.0.fault": fault, "length": length}
        for fault in ("kill", "pause")
        for length in ("short", "3s")
    ]
    assert [one.steps[0].fault.kind for one in found] == ["kill", "kill", "pause", "pause"]
    assert [one.steps[0].for_s for one in found] == [0.5, 3.0, 0.5, 3.0]
    assert [len(one.thresholds) for one in found] == [1, 4, 1, 4]
    assert all(not one.matrix for one in found)


def test_without_a_matrix_there_is_one_cell_the_experiment_itself(files, good_text):
    (only,) = cells(files, good_text)
    assert only == files.load(good_text)
    assert only.cell == {}


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("{steps.0.fault: [kill, puase]}", "did you mean 'pause'"),
        ("{steps.5.fault: [kill]}", "no entry '5'"),
        ("{steps.0.for: [1s, 1s]}", "there twice"),
        ("{steps.0.for: []}", "must be a list of values"),
        ("{steps.0.for: 1s}", "must be a list of values"),
        ("{}", "must be a mapping"),
        ("{matrix.x: [1]}", "cannot change itself"),
        ("{x: [{set: {steps.0.for: 1s}, also: 1}]}", "not 'also'"),
        ("{x: [{set: {steps.0.for: 1s}}, 5]}", "each row"),
        (f"{{seed: {list(range(201))}}}", "201 combinations"),
    ],
)
def test_a_matrix_that_is_wrong_is_refused_where_it_stands(files, good_text, matrix, said):
    text = with_steps(good_text, KILL, more=f"matrix: {matrix}\n")
    with pytest.raises(BadInput) as caught:
        cells(files, text)
    line = text[: text.index("\nmatrix:")].count("\n") + 2
    assert any(said in p.sentence and p.line == line for p in caught.value.problems), caught.value


def test_an_axis_is_not_changed_by_a_flag_as_well(files, good_text):
    with pytest.raises(BadInput, match="--cell"):
        cells(files, with_steps(good_text, KILL, more=MATRIX), steps__0__fault="kill")
