"""An option that the load does not know is refused at its place before anything starts."""

import pytest
from support import chaoskit

from chaoskit.errors import BadInput
from chaoskit.experiment.load_options import refuse_unknown_options

AFTER = "  warmup: 1s\n"


def with_options(text):
    return f"{AFTER}  options: {text}\n"


def test_an_unknown_option_is_said_at_its_place_with_what_may_be_meant(files):
    assert files.problems(AFTER, with_options("{registers: 4, put_shere: 0.5}")) == [
        "16:27: load.options: http-kv knows no option 'put_shere'; did you mean 'put_share'?"
    ]


def test_every_known_option_is_good(files):
    found = files.with_change(AFTER, with_options("{registers: 4, put_share: 0.5}"))
    assert found.load.options == {"registers": 4, "put_share": 0.5}


def test_without_options_no_load_is_imported(files, monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr("chaoskit.experiment.load_options.subprocess.run", never)
    assert files.load().load.options == {}


def test_a_load_that_cannot_be_asked_says_so_at_its_name(files, monkeypatch):
    monkeypatch.setattr("chaoskit.experiment.load_options.sys.executable", "/bin/false")
    assert files.problems(AFTER, with_options("{registers: 5}")) == [
        "10:9: load.user: the load cannot be imported (exit code 1)"
    ]


MINE = """\
from chaoskit.errors import BadInput
from chaoskit.load.user import CombUser

print("loaded")


class Mine(CombUser):
    option_names = CombUser.option_names | {"colour"}

    def perform(self, operation):
        raise NotImplementedError

    @classmethod
    def check_options(cls, options):
        super().check_options(options)
        if options.get("colour") == "mauve":
            raise BadInput("load option colour is 'mauve'; use red")
"""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("colour: red", None),
        ("color: red", "load.options: Mine knows no option 'color'; did you mean 'colour'?"),
        ("colour: mauve", "load.options: load option colour is 'mauve'; use red"),
    ],
)
def test_a_locustfile_is_asked_when_it_is_to_be_run_and_not_before(files, options, sentence):
    (files.path.parent / "mine.py").write_text(MINE)
    text = with_options(f"{{locustfile: mine.py, {options}}}")
    found = files.with_change(AFTER, text)
    found = found.model_copy(update={"load": found.load.model_copy(update={"user": "Mine"})})
    if sentence is None:
        refuse_unknown_options(found)
        return
    with pytest.raises(BadInput) as said:
        refuse_unknown_options(found)
    (problem,) = said.value.problems
    assert (problem.file, problem.line, problem.sentence) == (str(files.path), 16, sentence)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nclass Mine(:\n", "mine.py is not Python in line 2: invalid syntax"),
        ("\0", "mine.py is not Python"),
        ("print 'x'", "mine.py is not Python in line 1: Missing parentheses"),
    ],
)
def test_a_locustfile_that_is_not_python_is_refused_without_being_run(files, text, said):
    (files.path.parent / "mine.py").write_text(text)
    (problem,) = files.problems(AFTER, with_options("{locustfile: mine.py}"))
    assert problem.startswith("16:25: locustfile: ")
    assert said in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\nsys.exit(3)", "cannot be imported (exit code 3)"),
        ("x = 1", "has no CombUser called"),
        ("raise RuntimeError('boom')", "cannot be imported: RuntimeError: boom"),
    ],
)
def test_a_locustfile_without_what_is_asked_for_is_said_before_anything_starts(files, text, said):
    (files.path.parent / "mine.py").write_text(text)
    found = files.with_change(AFTER, with_options("{locustfile: mine.py}"))
    with pytest.raises(BadInput) as raised:
        refuse_unknown_options(found)
    (problem,) = raised.value.problems
    assert (problem.line, problem.column) == (10, 9)
    assert said in problem.sentence


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_every_command_refuses_it(files, good_text, command):
    files.path.write_text(good_text.replace(AFTER, with_options("{registres: 4}")))
    ran = chaoskit(command, files.path)
    assert ran.code == 2
    assert f"{files.path}:16:13: load.options: http-kv knows no option 'registres'" in ran.err
