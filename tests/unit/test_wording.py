"""Words in sentences to people."""

from chaoskit.wording import did_you_mean, listed, plain, quoted


def test_what_could_move_a_cursor_or_turn_text_around_is_shown_by_number():
    assert plain("a\x1b[2J\u202eb\n") == "a\\u001b[2J\\u202eb\\u000a"


def test_a_long_text_is_cut():
    assert len(quoted("x" * 500)) < 70


def test_a_near_miss_is_suggested_whatever_its_case():
    assert did_you_mean("Rat", ["rate", "reads"]) == "; did you mean 'rate'?"


def test_without_a_near_miss_few_names_are_listed_and_many_are_not():
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", [f"n{i}" for i in range(99)]) == ""


def test_lists_read_as_one_would_say_them():
    assert [listed([]), listed(["a"]), listed("abc"), listed("ab", "and")] == [
        "",
        "a",
        "a, b or c",
        "a and b",
    ]
