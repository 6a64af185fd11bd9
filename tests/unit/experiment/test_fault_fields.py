"""Bad input in every field of every installed fault: one sentence at its place, and nothing else.

The cases come from the models themselves, so a fault that is added is tried without being named
here. A field without free text refuses whatever would mean something to a shell, nft or a path;
one with it may hold that, as the very text that was written.
"""

import functools
import json
import re
from typing import get_args

import pytest

from chaoskit import registry
from chaoskit import yaml_source as ys
from chaoskit.experiment.checks import check_step
from chaoskit.experiment.messages import keys_of
from chaoskit.experiment.steps import STEP_KEYS, fault_class, read_step
from chaoskit.explaining import explained
from chaoskit.stack.compose import load_stack

FAULTS = sorted(registry.names("chaoskit.faults"))
FIELDS = [(name, key) for name in FAULTS for key in keys_of(fault_class(name))]
COMPOSE = """\
services:
  node-a:
    command: [server]
    labels:
      chaoskit.role: primary
      chaoskit.probe.role: http://:8080/role
      chaoskit.endpoint: http://:8080
      chaoskit.clock: faketime
      chaoskit.disk: /data 16m
      chaoskit.operator: http://:8080/failover
      chaoskit.operator.switchover: http://:8080/switchover
  node-b:
    command: [server]
    labels: {chaoskit.role: backup, chaoskit.endpoint: "http://:8080"}
  proxy:
    command: [toxiproxy-server]
    labels:
      chaoskit.toxiproxy: http://:8474
      chaoskit.link.replication: "to: node-b:8080"
"""
# As a file writes them. No field of any fault has a use for one of these.
NEVER = [
    "{no: {such: thing}}", "[[[1]]]", "[{a: b}]", ".nan", "-.inf", "1e999", "!!python/name:os.system x", '"a\\0b"',
]  # fmt: skip
HOSTILE = [
    "'10.0.0.3 drop; add table inet pwned'", "a;id", "$(id)", "'`id`'", "-rf", "--help", '"x\\ny"', "'{ 10.0.0.3 }'",
    "'\"}}]}'", "999.1.2.3", "10.0.0.0/8", "'../../etc/passwd'", "SIGWHAT", "no-such", "'*'", "🙂", "5parsec", "1e3s",
    "'not '", "'service:'", "'link:'", "[a;id]", '"\\u202egpj"', "99999999999999999999", "'" + "x" * 3000 + "'",
]  # fmt: skip
"""Refused wherever no free text is asked for."""
ODD = [
    "true", "null", "''", "[]", "{}", "-1", "0", "1.5", "5", "'5'", "-1s", "101%", "-1%", "0x1f", "1e30",
    "[primary]",
]  # fmt: skip
"""Good for one field and wrong for another."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    file = tmp_path_factory.mktemp("stack") / "compose.yaml"
    file.write_text(COMPOSE, "utf-8")
    return load_stack(file)


@functools.cache
def good(name):
    """The fault's own example, with a line of its own for each key."""
    problems = []
    step = ys.parse_yaml(explained(f"fault:{name}").example, "x", problems)
    assert not problems
    return {entry.key: json.dumps(ys.to_plain(entry.value)) for entry in step.entries}


def tried(name, stack, changes):
    """(step, problems, line of each key) of the fault's example with these keys changed."""
    keys = good(name) | changes
    text = "".join(f"{key}: {value}\n" for key, value in keys.items())
    problems = []
    node = ys.parse_yaml(text, "bad.yaml", problems)
    step = None if problems else read_step(node, problems)
    if step is not None:
        problems += check_step(step, node, stack)
    return step, problems, {key: line for line, key in enumerate(keys, start=1)}


def assert_refused_once(problems, line, key):
    """At its own place, or at the step's where it is about several keys and names this one."""
    assert len(problems) == 1, [str(problem) for problem in problems]
    (problem,) = problems
    assert problem.file == "bad.yaml"
    about_it = re.search(rf"\b{key}\b", problem.sentence)
    assert problem.line == line or (problem.line == 1 and about_it), str(problem)
    assert problem.column >= 1
    assert "\n" not in problem.sentence
    assert 10 < len(problem.sentence) < 700, problem.sentence
    assert "Traceback" not in problem.sentence
    assert "Input should" not in problem.sentence, "pydantic's own words"


def free_text(kind):
    return kind is str or any(free_text(inner) for inner in get_args(kind))


def field(name, key):
    model = fault_class(name)
    return dict(zip(keys_of(model), model.model_fields.values(), strict=True))[key]


@pytest.mark.parametrize("name", FAULTS)
def test_the_example_of_every_fault_is_accepted(name, stack):
    step, problems, _ = tried(name, stack, {})
    assert not problems
    assert step.fault.kind == name


@pytest.mark.parametrize(("name", "key"), FIELDS)
def test_what_no_field_has_a_use_for_is_refused_at_its_place(name, key, stack):
    for value in NEVER:
        _, problems, lines = tried(name, stack, {key: value})
        if "{no:" in value and len(problems) == 2:  # a mapping: one key missing, another unknown
            assert {problem.line for problem in problems} == {lines[key]}
            problems = problems[:1]
        assert_refused_once(problems, lines[key], key)


@pytest.mark.parametrize(("name", "key"), FIELDS)
def test_what_is_not_refused_is_plain_data_and_what_is_refused_is_assert_refused_once(
    name, key, stack
):
    takes_text = free_text(field(name, key).annotation)
    for value in [*HOSTILE, *ODD]:
        step, problems, lines = tried(name, stack, {key: value})
        if problems:
            assert_refused_once(problems, lines[key], key)
            continue
        assert takes_text or value in ODD, f"{value} was accepted"
        written = step.fault.model_dump(mode="json", by_alias=True)
        assert type(step.fault).model_validate(written) == step.fault
        plain = ys.to_plain(ys.parse_yaml(value, "value", []))
        if takes_text and isinstance(plain, str) and value in HOSTILE:
            assert written[key] == plain or plain in written[key]


@pytest.mark.parametrize("name", FAULTS)
def test_an_unknown_key_is_refused_with_a_hint_where_one_is_close(name, stack):
    _, problems, lines = tried(name, stack, {"nosuchkey": "1"})
    assert_refused_once(problems, lines["nosuchkey"], "nosuchkey")
    assert "unknown key 'nosuchkey'" in problems[0].sentence
    for key in keys_of(fault_class(name)):
        near = key + "x"
        _, problems, lines = tried(name, stack, {near: "1"})
        assert_refused_once(problems, lines[near], near)
        assert f"did you mean '{key}'" in problems[0].sentence, problems[0].sentence


def test_no_fault_has_a_key_that_every_step_has():
    assert not {key for _, key in FIELDS} & set(STEP_KEYS)


@pytest.mark.parametrize("value", ["999.1.2.3", "1.2.3.400", "198.18.0.0/15", "::1", "node-a"])
def test_an_address_is_one(value, stack):
    _, problems, lines = tried("arp", stack, {"address": f"'{value}'"})
    assert_refused_once(problems, lines["address"], "address")


def test_a_value_of_several_kinds_is_refused_once_with_all_of_them(stack):
    _, problems, _ = tried("hang", stack, {"felt_at": "nowhre"})
    said = "felt_at: must be a whole number, or 'endpoint' or 'nowhere', not 'nowhre'"
    assert problems[0].sentence == f"{said}; did you mean 'nowhere'?"
    _, problems, lines = tried("loss", stack, {"share": "100%"})
    assert problems[0].line == lines["share"], "a check that names its key points at it"
