"""Variables in Compose files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.stack.interpolate import InterpolationError, expand, parse_env_file

ENV = {"A": "one", "EMPTY": "", "_B2": "two"}

GOOD = {
    "plain": "plain",
    "$A/$_B2": "one/two",
    "${A}x": "onex",
    "$$A": "$A",
    "$$$A": "$one",
    "${A:-d}": "one",
    "${EMPTY:-d}": "d",
    "${EMPTY-d}": "",
    "${GONE-d}": "d",
    "${GONE:-${A}}": "one",
    "${GONE:-${OTHER:-x}y}": "xy",
    "${A:+set}": "set",
    "${EMPTY:+set}": "",
    "${EMPTY+set}": "set",
    "${GONE+set}": "",
    "${A:?no}": "one",
    "${EMPTY?no}": "",
    "${GONE}": "",
    "${GONE:-a b=c:d}": "a b=c:d",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_variable_is_replaced(text):
    assert expand(text, ENV, set()) == GOOD[text]


BAD = {
    "a $": 2,
    "$-": 0,
    "${": 0,
    "x${A": 1,
    "${}": 0,
    "${1}": 0,
    "${A!x}": 0,
    "${A:x}": 0,
    "${GONE:?why}": 0,
    "${GONE?}": 0,
    "${EMPTY:?}": 0,
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_replaced_is_refused_at_its_column(text):
    with pytest.raises(InterpolationError) as said:
        expand(text, ENV, set())
    assert said.value.column == BAD[text]


def test_names_that_are_set_nowhere_are_collected():
    unset = set()
    expand("$A ${GONE} ${OTHER:-x} $LOST", ENV, unset)
    assert unset == {"GONE", "LOST"}


def test_variables_cannot_nest_without_end():
    with pytest.raises(InterpolationError, match="nested"):
        expand("${G:-" * 30 + "}" * 30, ENV, set())


@given(st.text(alphabet="${}:-?+AG x", max_size=30))
def test_any_text_is_replaced_or_refused(text):
    try:
        assert isinstance(expand(text, ENV, set()), str)
    except InterpolationError as error:
        assert 0 <= error.column <= len(text)  # noqa: PT017 - no error is fine too


def test_an_env_file_says_what_is_wrong_by_line():
    found, wrong = parse_env_file("A=1\n=x\nB='open\nC=${A:?}\nD=${NO:?must}\n", {}, set())
    assert found == {"A": "1", "C": "1"}
    assert [line for line, _ in wrong] == [2, 3, 5]
