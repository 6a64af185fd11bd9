"""What a person sees while a run is under way, and what a pipe gets."""

import io
import sys

from chaoskit.progress import Progress, progress


def events(say):
    say("start", {"experiment": "kill", "question": "Does it hold?", "lab": "sandbox",
                  "why": "asked for", "trials": 1, "seed": 3, "folder": "reports/x"})  # fmt: skip
    say("trial", {"n": 1, "of": 1})
    say("phase", {"name": "baseline"})
    say("role", {"node": "node-a", "value": "primary"})
    say("load", {"event": "tick", "due": 10, "ok": 9, "bad": 1})
    say("fault", {"fault": "kill", "nodes": ["node-a"]})
    say("heal", {"fault": "kill", "nodes": ["node-a"]})
    say("incident", {"sentence": "node-a was restarted"})
    say("judged", {"line": "trial 1: PASS"})


def test_plain_lines_say_what_happened_and_to_whom():
    out = io.StringIO()
    events(Progress(out))
    text = out.getvalue()
    for part in ("Does it hold?", "seed 3", "kill -> node-a", "healing kill", "restarted", "PASS"):
        assert part in text
    assert "\x1b" not in text


def test_quiet_says_nothing():
    out = io.StringIO()
    events(Progress(out, quiet=True))
    assert out.getvalue() == ""


def test_a_question_stands_out_and_its_end_is_told():
    out = io.StringIO()
    say = Progress(out)
    say("operator", {"event": "operator-asked", "node": "b", "detail": "a -> b\ntype y or n"})
    gone = "failover f-1 is not pending any more"
    say("operator", {"event": "operator-withdrawn", "node": "b", "detail": gone})
    text = out.getvalue()
    assert "? a failover is pending\n      a -> b\n      type y or n\n" in text
    assert "operator-withdrawn b: failover f-1 is not pending any more" in text


def test_words_of_the_system_under_test_cannot_steer_the_terminal():
    out = io.StringIO()
    say = Progress(out)
    say("incident", {"sentence": "node \x1b[2Jwiped\u202e it\x07"})
    say("fault", {"fault": "kill", "nodes": ["node\x1b]0;title\x07"]})
    assert not set(out.getvalue()) & {"\x1b", "\x07", "\u202e"}


def test_a_reader_that_went_away_ends_the_output_and_not_the_run():
    class Gone(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    events(Progress(Gone()))  # must not raise
    assert Progress(Gone()).phase == ""


def test_results_go_to_standard_output_and_progress_does_not(capsys):
    with progress() as say:
        events(say)
        say.result("PASS kill")
    shown = capsys.readouterr()
    assert shown.out == "PASS kill\n"
    assert "kill -> node-a" in shown.err
    assert not sys.stderr.isatty()


def test_a_trial_that_takes_the_place_of_an_invalid_one_says_whose():
    out = io.StringIO()
    say = Progress(out)
    say("trial", {"n": 3, "of": 3})
    say("trial", {"n": 4, "of": 3, "for": 2})
    assert "trial 3 of 3\n" in out.getvalue()
    assert "trial 4 in place of 2\n" in out.getvalue()
