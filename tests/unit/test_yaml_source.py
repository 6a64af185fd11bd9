"""The YAML reader: 1.2 words, places, limits; nothing of a file is ever executed."""

import os
import random
import time

import pytest

from chaoskit.errors import BadInput
from chaoskit.yaml_source import Mapping, parse_yaml, read_text, to_plain


def read(text):
    problems = []
    return parse_yaml(text, "f.yaml", problems), problems


def only_problem(text):
    with pytest.raises(BadInput) as said:
        parse_yaml(text, "f.yaml", [])
    (problem,) = said.value.problems
    return problem


def test_words_follow_yaml_1_2():
    node, problems = read(
        "[on, no, 12:30:45, 010, 0o10, 0x10, 1.5, 1e3, true, null, ~, '1', 1_000, -0]"
    )
    assert to_plain(node) == [
        "on",
        "no",
        "12:30:45",
        10,
        8,
        16,
        1.5,
        1000.0,
        True,
        None,
        None,
        "1",
        "1_000",
        0,
    ]
    assert problems == []


def test_every_node_knows_its_place():
    node, _ = read("a: 1\nb:\n  - x\n  - {c: 'y'}\n")
    inner = node.get("b").items[1].entry("c")
    assert (inner.mark.line, inner.mark.column) == (4, 6)
    assert (inner.value.mark.line, inner.value.mark.column, inner.value.indent) == (4, 9, 1)


def test_a_duplicate_key_is_named_with_both_places_and_the_first_counts():
    node, problems = read("a: 1\nb: 2\na: 3\n")
    assert to_plain(node) == {"a": 1, "b": 2}
    (problem,) = problems
    assert (problem.line, problem.column) == (3, 1)
    assert "line 1, column 1" in problem.sentence


def test_merge_keys_give_way_to_keys_that_are_written():
    node, problems = read("d: &d {a: 1, b: 2}\ne: {b: 3, <<: *d}\nf: {<<: [*d, {c: 4}]}")
    assert to_plain(node)["e"] == {"b": 3, "a": 1}
    assert to_plain(node)["f"] == {"a": 1, "b": 2, "c": 4}
    assert problems == []


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [id]", "!reset x", "!!binary aGk=", "!!set {a, b}"]
)
def test_a_tag_is_refused_and_never_executed(tag):
    _, problems = read(f"a: {tag}")
    assert "has no meaning here" in problems[0].sentence


@pytest.mark.parametrize("number", [".nan", ".inf", "-.INF", "1e999"])
def test_what_is_not_a_finite_number_is_refused_where_it_stands(number):
    _, problems = read(f"a:\n  b: {number}")
    assert [(p.line, p.column) for p in problems] == [(2, 6)]


BAD = {
    "empty": "",
    "only a comment": "# nothing\n",
    "tab": "a:\n\tb: 1",
    "open quote": "a: 'x",
    "open bracket": "a: [1, 2",
    "two documents": "a: 1\n---\nb: 2\n",
    "nul": "a: b\x00c",
    "lone surrogate": "a: \ud800",
    "unknown alias": "a: *b",
    "alias to itself": "a: &a [*a]",
    "threshold that begins with its operator": "k: >= 5s\n",
    "old directive": "%YAML 9.9\n---\na: 1",
    "bad tag handle": "a: !x!y z",
    "colon in a word": "a: b: c",
    "complex directive": "%TAG ! a b c\n---\na: 1",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_one_problem_with_a_place(text):
    problem = only_problem(text)
    assert problem.line >= 1
    assert problem.column >= 1
    assert "\n" not in problem.sentence
    assert len(problem.sentence) < 400


def laughs():
    """A billion laughs: nine levels of nine aliases."""
    lines = ["a0: &a0 [" + ",".join("x" * 9) + "]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "\n".join(lines)


BOMBS = {
    "laughs": laughs(),
    "deep lists": "[" * 1_000_000,
    "deep mappings": "{a: " * 200_000,
    "deep blocks": "- " * 400_000,
    "deep keys": "? " * 400_000,
    "many values": "- a\n" * 250_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_a_place_before_it_costs_much(name):
    begun = time.process_time()
    problem = only_problem(BOMBS[name])
    assert "more than" in problem.sentence
    # Far above what it takes; a file expanded without limit would take minutes or all memory.
    assert time.process_time() - begun < 20


def test_a_file_that_is_not_utf8_names_byte_and_place(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\nbc: \xff\n")
    with pytest.raises(BadInput) as said:
        read_text(path)
    (problem,) = said.value.problems
    assert (problem.line, problem.column) == (2, 5)
    assert "0xff" in problem.sentence


def test_what_is_no_ordinary_small_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(b"a" * (1024 * 1024 + 1))
    for name, said in (
        ("pipe", "ordinary"),
        ("big", "1 MiB"),
        ("none", "No such file"),
        (".", "folder"),
    ):
        with pytest.raises(BadInput, match=said):
            read_text(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_text(path) == "a: 1\n"


def test_no_random_soup_of_yaml_characters_ends_in_a_traceback():
    rng = random.Random(7)
    alphabet = "abc 01:-?,[]{}&*!|>'\"%@`#\n\t~<.\\="
    for _ in range(1500):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 40)))
        problems = []
        try:
            node = parse_yaml(text, "f", problems)
        except BadInput as error:
            problems += error.problems
            assert problems, repr(text)
        else:
            assert isinstance(to_plain(node), object)
        assert all(p.line >= 1 and p.column >= 1 for p in problems)


def test_an_empty_mapping_is_a_mapping():
    node, _ = read("{}")
    assert isinstance(node, Mapping)
    assert node.entries == ()
