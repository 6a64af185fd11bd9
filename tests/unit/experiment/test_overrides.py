"""``--set path=value``: typed by the schema, with the flag as the place of what is wrong."""

import pytest

from chaoskit.errors import BadInput


def test_a_value_is_typed_by_the_schema(files):
    found = files.load(
        load__rate="50/s", repeat__trials="7", seed="9", tags="[a, b]", steps__0__at="2500ms"
    )
    assert (found.load.rate, found.repeat.trials, found.seed, found.tags) == (50, 7, 9, ("a", "b"))
    assert found.steps[0].at_s == 2.5


def test_a_key_that_the_file_lacks_can_be_set(files, good_text):
    text = good_text.replace("repeat: {trials: 3, vary: [at]}\n", "")
    assert files.load(text, repeat__trials="9").repeat.trials == 9
    assert files.load(load__options__registers="100").load.options == {"registers": 100}


def test_a_threshold_and_a_fault_parameter_can_be_set(files):
    found = files.load(thresholds__0="failover_time < 1s", steps__0__signal="SIGTERM")
    assert found.thresholds[0].value == 1
    assert found.steps[0].fault.signal == "SIGTERM"


WRONG = {
    (
        "load__rate",
        "5x",
    ): "--set load.rate:1:11: load.rate: '5x' is not a rate; write e.g. 200/s or 12/min",
    ("load__rte", "5/s"): "--set load.rte:1:1: unknown key 'rte' in load; did you mean 'rate'?",
    ("steps__9__at", "5s"): "--set steps.9.at:1:1: no entry '9': the list has 2, from 0 on",
    ("steps__x__at", "5s"): "--set steps.x.at:1:1: no entry 'x': the list has 2, from 0 on",
    ("name__x", "5s"): "--set name.x:1:1: 'x' has nothing to stand in: not a mapping",
    ("load__", "5s"): "--set load.:1:1: a part of the path is empty; write e.g. load.rate",
    ("seed", ".nan"): "--set seed:1:6: seed: must be a whole number, not '.nan'",
    (
        "tags",
        "[a",
    ): "--set tags:1:3: not valid YAML: expected ',' or ']', but got '<stream end>', while parsing a flow sequence",
    ("thresholds__0", "x < 1"): "--set thresholds.0:1:14: unknown metric 'x'",
}


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_a_mistake_names_the_flag(files, path, value):
    with pytest.raises(BadInput) as said:
        files.load(**{path: value})
    assert str(said.value.problems[0]) == WRONG[path, value]


def test_an_override_does_not_change_the_source_that_is_kept(files, good_text):
    assert files.load(seed="9").source == good_text
