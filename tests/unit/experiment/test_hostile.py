"""Thousands of damaged files: each is good, or is refused with a place; never a traceback."""

import functools
import random

import pytest

from chaoskit.errors import BadInput
from chaoskit.experiment import checks
from chaoskit.experiment.loader import load_experiment

MUTATIONS = 2000
SNIPPETS = [
    "!!python/object/apply:os.system [id]", "&a", "*a", "<<: *a", "{", "}", "[", "]", ": ", "- ", "? ", "| ", "> ",
    ".nan", "-.inf", "1e999", "-0", "null", "true", "0x10", "99999999999999999999", "\x00", "\u202e", "\t", "'", '"',
    "{{ 7*7 }}", "${HOME}", "$(id)", "; rm -rf /", "../../etc/passwd", "%", "@", "`", "#", "---\n", "...\n", "\n", "  ",
    "chaoskit: 1\n", "x" * 300, "10s", "5/s", "2%", "[[[[[[", "not ", "service:", "any", "P(", "🙂", "\ufeff", "\x85",
]  # fmt: skip


def damaged(text, rng):
    """The text with one to three things cut, doubled, swapped or put in."""
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        kind = rng.randrange(7)
        at, line = rng.randrange(len(text) + 1), rng.randrange(len(lines))
        if kind == 0:
            text = text[:at] + rng.choice(SNIPPETS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + rng.randint(1, 12) :]
        elif kind == 2:
            lines.insert(rng.randrange(len(lines)), lines[line])
            text = "\n".join(lines)
        elif kind == 3:
            del lines[line]
            text = "\n".join(lines) or "x"
        elif kind == 4:
            key, colon, _ = lines[line].partition(": ")
            lines[line] = key + colon + rng.choice(SNIPPETS)
            text = "\n".join(lines)
        elif kind == 5:
            lines[line] = "  " * rng.randrange(3) + lines[line].lstrip()
            text = "\n".join(lines)
        else:
            text = (
                text[:at]
                + chr(rng.choice([rng.randrange(1, 128), rng.randrange(128, 0x2FFF)]))
                + text[at + 1 :]
            )
    return text


@pytest.fixture
def stack_read_once(monkeypatch):
    """The stack is good and stays so: reading it two thousand times would show nothing."""
    monkeypatch.setattr(checks, "load_stack", functools.cache(checks.load_stack))


@pytest.mark.timeout(240)  # about ten seconds on a quiet machine
@pytest.mark.parametrize("slice_", range(4))
def test_a_damaged_experiment_is_good_or_refused_with_places(
    files, good_text, stack_read_once, slice_
):
    rng = random.Random(f"hostile/{slice_}")
    refused = 0
    for _ in range(MUTATIONS // 4):
        text = damaged(good_text, rng)
        try:
            files.load(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
        except BadInput as error:
            refused += 1
            assert error.problems, text  # noqa: PT017 - no error is fine too
            for problem in error.problems:
                assert problem.file, text
                assert problem.line >= 1, text
                assert problem.column >= 1, text
                assert "\n" not in problem.sentence, text
                assert len(problem.sentence) < 700, text
    # The damage is real: most of it must have been seen.
    assert refused > MUTATIONS // 4 // 2


@pytest.mark.timeout(240)
def test_a_damaged_stack_is_good_or_refused_with_places(files):
    rng = random.Random("hostile/stack")
    good = files.compose.read_text()
    refused = 0
    for _ in range(MUTATIONS // 5):
        files.compose.write_text(damaged(good, rng))
        try:
            files.load()
        except BadInput as error:
            refused += 1
            assert all(  # noqa: PT017 - no error is fine too
                p.line >= 1 and p.column >= 1 and "\n" not in p.sentence for p in error.problems
            )
            assert error.problems  # noqa: PT017 - no error is fine too
    assert refused > MUTATIONS // 5 // 3


@pytest.mark.parametrize("data", [b"\xff\xfe", b"chaoskit: \xc3", b"\x00" * 100, bytes(range(256))])
def test_bytes_that_are_no_text_are_refused_with_a_place(files, data):
    files.path.write_bytes(data)
    with pytest.raises(BadInput) as said:
        load_experiment(files.path)
    assert said.value.problems[0].line >= 1


FIELDS = [
    "target: primary",
    "fault: kill",
    "user: http-kv",
    "signal: SIGKILL",
    "stack: compose.yaml",
    "name: good",
]
HOSTILE = [
    "a; id",
    "$(id)",
    "-rf",
    "--",
    "{}",
    "../x",
    "C:\\\\x",
    "x\\ny",
    "10.0.0.3 drop; add table inet pwned",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_means_something_to_a_shell_or_a_kernel_is_refused(files, field, text):
    assert files.problems(field, f'{field.split(":")[0]}: "{text}"')
