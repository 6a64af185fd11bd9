"""Who is asked and who is not: the person at the terminal, and runs that would ask in vain."""

import io
import os

import pytest
from click.testing import CliRunner
from support import ROOT

from chaoskit.cli import cli
from chaoskit.clock import now_ns
from chaoskit.contracts import Hold
from chaoskit.errors import BadInput, Refused
from chaoskit.experiment.loader import load_experiment
from chaoskit.injection import Injector
from chaoskit.operator import Person, ask_a_person, check_terminal

EXPERIMENT = ROOT / "experiments" / "active-passive-approval-kill.yaml"


def test_a_second_failover_waits_for_its_question_and_does_not_take_over_the_first():
    read, write = os.pipe()
    with os.fdopen(read) as stream, os.fdopen(write, "wb", 0) as keys:
        asker = Person(stream)
        for name in ("f-1", "f-2", "f-3"):
            asker.pending({"id": name, "candidate": "db-2", "node": "db-1"})
        assert "id f-1" in asker.question()[1]
        assert asker.question() is None, "one at a time"
        assert asker.withdrawn("f-2") is False, "nobody was asked about it yet"
        keys.write(b"y\n")
        assert (asker.asked, asker.answer(), asker.asked) == ("f-1", True, None)
        assert "id f-3" in asker.question()[1]
        assert asker.answer() is None, "the first answer was for the first question"
        assert asker.withdrawn("f-3") is True
        assert asker.question() is None


def test_a_terminal_that_is_closed_ends_the_waiting():
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read) as stream:
        person = Person(stream)
        person.asked = "f-1"
        assert person.answer() is None
        assert person.asked is None


# ---------------------------------------------------------------- experiments and the command


def test_a_stack_without_the_label_is_refused_at_its_place(tmp_path):
    stack = ROOT / "compose" / "redis-sentinel" / "compose.yaml"
    text = EXPERIMENT.read_text().replace(
        "../compose/active-passive-approval/compose.yaml", str(stack)
    )
    path = tmp_path / EXPERIMENT.name
    path.write_text(text)
    with pytest.raises(BadInput, match=r":14:\d+: approve needs the label chaoskit.operator"):
        load_experiment(path)


def test_asking_replaces_every_operator_of_the_file_and_wants_one():
    asked = ask_a_person(load_experiment(EXPERIMENT))
    assert [getattr(s.fault, "decide", None) for s in asked.steps] == ["ask", None]
    kill = load_experiment(ROOT / "experiments" / "active-passive-kill.yaml")
    with pytest.raises(BadInput, match="no step waits for an operator"):
        ask_a_person(kill)


KILL = "  - {at: 4s, fault: kill, target: primary}"
WAITS = "  - {at: 4s, fault: kill, target: primary, for: 2s}\n  - {when: %s, fault: noop}\n"


def changed(folder, *changes):
    """The experiment with each (old, new) put, as a file of that folder."""
    text = EXPERIMENT.read_text("utf-8").replace("../compose", str(ROOT / "compose"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / EXPERIMENT.name
    path.write_text(text)
    return path


LASTS = ("reaction: 800ms}", "reaction: 800ms, for: 3s}")


def with_wait(folder, when):
    return changed(folder, LASTS, (KILL, WAITS % when), ("run_for: 9s", "run_for: 30s"))


def test_what_waits_for_the_end_of_an_operators_step_is_refused_at_its_place(tmp_path):
    path = with_wait(tmp_path, "step 1 healed")
    experiment = load_experiment(path)
    with pytest.raises(BadInput) as said:
        ask_a_person(experiment)
    (problem,) = said.value.problems
    before = path.read_text("utf-8").splitlines()[problem.line - 1][: problem.column - 1]
    assert (problem.file, before) == (str(path), "  - {when: ")
    assert problem.sentence.startswith("when: with --operator ask step 1 lasts to the end")
    assert "--operator file" in problem.sentence


@pytest.mark.parametrize("when", ["step 1 injected", "step 2 healed", "served again"])
def test_what_waits_for_something_else_is_not_refused(tmp_path, when):
    asked = ask_a_person(load_experiment(with_wait(tmp_path, when)))
    assert [step.for_s for step in asked.steps] == [None, 2.0, None]


def test_it_is_refused_too_where_the_seed_may_choose_it_or_a_flag_asked_for_it(tmp_path):
    either = "choose: [{fault: approve, for: 3s}, {fault: noop, for: 1s}]}"
    operator = ("fault: approve, reaction: 800ms}", either)
    path = changed(tmp_path, operator, (KILL, WAITS % "served again"), ("9s", "30s"))
    assert ask_a_person(load_experiment(path))
    experiment = load_experiment(path, overrides={"steps.2.when": "step 1 healed"})
    with pytest.raises(BadInput, match=r"^--set steps\.2\.when:1:\d+: when: with --operator ask"):
        ask_a_person(experiment)


def test_an_operators_step_that_repeats_is_refused(tmp_path):
    path = changed(
        tmp_path, LASTS, ("800ms, for: 3s", "80ms, for: 1s, repeat: {every: 2s, times: 2}")
    )
    with pytest.raises(BadInput, match=r":14:5: repeat: with --operator ask this step lasts to"):
        ask_a_person(load_experiment(path))


def test_a_run_that_would_wait_in_vain_is_refused_before_anything_is_started(monkeypatch, tmp_path):
    monkeypatch.setattr("chaoskit.campaign.run_experiment", pytest.fail)
    monkeypatch.setattr("chaoskit.operator.check_terminal", lambda *_, **__: None)
    path = with_wait(tmp_path, "step 1 healed")
    ran = CliRunner().invoke(
        cli, ["run", str(path), "--operator", "ask", "--out", str(tmp_path / "out")]
    )
    assert ran.exit_code == 2
    assert "when: with --operator ask step 1 lasts to the end" in ran.output
    assert not (tmp_path / "out").exists()


class Screen(io.StringIO):
    def isatty(self):
        return True


def closed():
    screen = io.StringIO()
    screen.close()
    return screen


@pytest.mark.parametrize(
    ("answers", "questions", "quiet", "said"),
    [
        (io.StringIO(), Screen(), False, "standard input is none"),
        (closed(), Screen(), False, "standard input is none"),
        (Screen(), io.StringIO(), False, "standard error is none"),
        (Screen(), Screen(), True, "--quiet hides it"),
    ],
)
def test_nobody_is_asked_who_could_not_answer_or_would_not_see_the_question(
    answers, questions, quiet, said
):
    with pytest.raises(Refused, match=said):
        check_terminal(answers, questions, quiet=quiet)


def test_somebody_at_a_terminal_can_be_asked():
    check_terminal(Screen(), Screen(), quiet=False)


ASK = ["run", str(EXPERIMENT), "--operator", "ask"]


@pytest.mark.parametrize(
    ("words", "quiet_too"), [([], False), (["--lab", "sandbox"], False), (["-q"], True)]
)
def test_a_run_that_would_ask_in_vain_is_refused_before_anything_is_started(
    monkeypatch, tmp_path, words, quiet_too
):
    monkeypatch.setattr("chaoskit.campaign.run_experiment", pytest.fail)
    ran = CliRunner().invoke(cli, [*ASK, *words, "--out", str(tmp_path)])
    assert ran.exit_code == 2
    assert ("--quiet hides it" if quiet_too else "needs a terminal") in ran.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_asks_by_itself_is_refused_as_well(monkeypatch, tmp_path):
    monkeypatch.setattr("chaoskit.campaign.run_experiment", pytest.fail)
    text = EXPERIMENT.read_text().replace("reaction: 800ms", "decide: ask")
    path = tmp_path / EXPERIMENT.name
    path.write_text(text.replace("../compose", str(ROOT / "compose")))
    ran = CliRunner().invoke(cli, ["run", str(path), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert "needs a terminal" in ran.output
    assert not (tmp_path / "out").exists()


def test_the_injector_counts_how_long_persons_think():
    injector = Injector.__new__(Injector)

    class Run:
        hold = Hold(0, 0, 0, asked_ns=now_ns() - 10**9, thought_ns=5 * 10**8)

    injector._running = [Run(), Run()]
    assert 3 * 10**9 <= injector.thinking_ns() < 8 * 10**9
