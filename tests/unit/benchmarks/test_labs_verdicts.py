"""The page of verdicts in both labs says when they differ, and keeps what was not run again."""

import sys

import pytest
from support import ROOT, benchmark

sys.path.insert(0, str(ROOT / "benchmarks"))
verdicts = benchmark("labs_verdicts")
sys.path.remove(str(ROOT / "benchmarks"))


def result(verdict, *times, invalid=0, recovery="failover"):
    trials = [
        {
            "invalid_because": [],
            "metrics": {"recovery": recovery, "failover_time": {"value_s": time}},
        }
        for time in times
    ]
    return {"verdict": verdict, "trials": trials + [{"invalid_because": ["late"]}] * invalid}


@pytest.mark.parametrize(
    ("sandbox", "docker", "said", "good"),
    [
        (
            result("PASS", 0.3, 0.2, 0.4),
            result("PASS", 0.5),
            "| `x` | 3, 1 | PASS | PASS | 0.300 s | 0.500 s | yes |",
            True,
        ),
        (
            result("FAIL", 0.3),
            result("FAIL", None),
            "| `x` | 1 | FAIL | FAIL | 0.300 s | - | yes |",
            True,
        ),
        (
            result("PASS", 0.3),
            result("FAIL", 0.3),
            "| `x` | 1 | PASS | FAIL | 0.300 s | 0.300 s | **no** |",
            False,
        ),
        (
            result("PASS", 2.0, recovery="in-place restart"),
            result("PASS", 0.3),
            "| `x` | 1 | PASS | PASS | 2.000 s | 0.300 s | yes |",
            True,
        ),
        (
            result("INVALID", invalid=2),
            result("INVALID", invalid=2),
            "| `x` | 0 | INVALID | INVALID | - | - | **no** |",
            False,
        ),
    ],
)
def test_a_row_says_whether_both_came_to_the_same_verdict(sandbox, docker, said, good):
    assert verdicts.row("x", [sandbox, docker]) == (said, good)


def test_rows_that_are_not_run_again_stay(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(verdicts.HEAD + "| `b-old` | kept |\n| `a-new` | replaced |\n")
    monkeypatch.setattr(verdicts, "PAGE", page)
    monkeypatch.setattr(verdicts, "run", lambda *_: result("PASS", 0.3))
    monkeypatch.setattr(sys, "argv", ["labs_verdicts.py", "a-new"])
    assert verdicts.main() == 0
    assert page.read_text() == verdicts.HEAD + (
        "| `a-new` | 1 | PASS | PASS | 0.300 s | 0.300 s | yes |\n| `b-old` | kept |\n"
    )


def test_an_experiment_that_cannot_be_run_in_one_lab_is_no_agreement(monkeypatch, tmp_path, capsys):
    file = tmp_path / "x.yaml"
    file.write_text("chaoskit: 1\n")
    found = verdicts.run(file, "sandbox", None, 1, tmp_path / "out")
    assert found == {"verdict": "not run", "trials": []}
    assert "'name' is missing" in capsys.readouterr().err
    assert not verdicts.row("x", [found, found])[1]
