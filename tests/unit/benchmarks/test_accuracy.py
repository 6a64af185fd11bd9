"""docs/accuracy.md says what a part of it, made again, says too; and its claims hold."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support import benchmark

accuracy = benchmark("accuracy")
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "accuracy.md").read_text("utf-8")
RUNS, SEED = map(int, re.search(r"--runs (\d+) --seed (\d+)", PAGE).groups())


def rows(head):
    """Cells of the table on the page that has this head."""
    lines = PAGE[PAGE.index(f"| {head} |") :].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_page_is_made_of_enough_outages_of_every_style_and_rate():
    assert RUNS >= 200
    cells = {(style, f"{rate:g}/s") for style in accuracy.STYLES for rate in accuracy.RATES}
    for head in (accuracy.COMB, accuracy.REAL):
        assert {(row[0], row[1]) for row in rows(head)} == cells


def test_every_bracket_on_the_page_holds_the_truth():
    for row in rows(accuracy.REAL):
        held, of = map(int, row[2].split(" of "))
        assert held == of == RUNS - int(row[3]), row
        assert float(row[7]) <= 1, row


def test_the_bracket_of_the_goodput_gap_holds_the_truth_too_however_late_the_generator():
    for row in rows(accuracy.REAL):
        held, of = map(int, row[9].split(" of "))
        assert held == of == RUNS - int(row[3]), row


@pytest.mark.parametrize("style", accuracy.STYLES)
def test_the_goodput_gap_is_bracketed_in_runs_that_are_not_on_the_page(style):
    for rate in (20.0, 500.0):
        for run in map(accuracy.whole, accuracy.scenarios(style, rate, 100, SEED + 1)):
            assert accuracy.contains(run.gap, run.truth) or not run.felt, run


def test_partial_and_flapping_outages_on_the_page_are_in_their_brackets_and_spread_as_predicted():
    kinds = set()
    for row in rows(accuracy.ODD_HEAD):
        kinds.add(row[0])
        if row[0] == "1 of 5":
            continue
        assert row[2] == f"{RUNS} of {RUNS}", row
        if row[0] == "flapping":
            assert float(row[4]) <= 1.1 / 6**0.5, row
        else:
            assert float(row[4]) / float(row[5]) == pytest.approx(1, abs=0.2), row
    assert kinds == set(accuracy.ODD)


def test_a_partial_outage_on_the_page_that_no_bracket_holds_is_said_to_be_one():
    for row in rows(accuracy.ODD_HEAD):
        said, of = map(int, row[9].split(" of ")) if row[9] != "-" else (0, 0)
        if row[0] == "1 of 5":
            assert row[2] == f"0 of {RUNS}", row
            assert said == of > RUNS / 5, row
            assert float(row[10]) <= 2 * 5, row
        else:
            assert said == 0, row


def test_errors_on_the_page_are_spread_as_predicted_and_under_an_interval():
    for row in rows(accuracy.COMB):
        assert float(row[6]) == pytest.approx(1, abs=0.15), row
        assert float(row[7]) <= 1.1, row


@pytest.mark.parametrize("style", accuracy.STYLES)
def test_a_part_of_the_page_made_again_is_the_same(style):
    asked = accuracy.scenarios(style, 50.0, RUNS, SEED)
    assert accuracy.real_row(style, 50.0, [accuracy.whole(s) for s in asked]) in PAGE
    asked = accuracy.scenarios(style, 50.0, RUNS, SEED, quiet=True)
    assert accuracy.comb_row(style, 50.0, [accuracy.whole(s) for s in asked]) in PAGE


def test_an_outage_that_nobody_felt_was_shorter_than_the_grain():
    runs = [accuracy.whole(s) for s in accuracy.scenarios("stall", 10.0, 200, 5)]
    unfelt = [run for run in runs if not run.felt]
    assert unfelt, "there is one to look at"
    assert all(run.truth <= run.grain for run in unfelt)


@pytest.mark.parametrize(("kind", "every"), [("1 of 2", 2), ("1 of 3", 3)])
def test_partial_outages_are_measured_to_so_many_intervals_at_either_end(kind, every):
    for run in accuracy.odd_runs(kind, 200.0, 40, 3):
        assert accuracy.contains(run.outage, run.truth)
        assert abs(run.error) <= 2 * every * run.interval
        assert run.bad.low_s <= run.truth / every + run.interval
        assert run.bad.high_s >= run.truth / every - run.interval


def test_of_one_in_five_the_stretch_is_said_to_so_many_intervals_at_either_end():
    told = [run for run in accuracy.odd_runs("1 of 5", 200.0, 40, 3) if run.partly]
    assert len(told) > 30
    for run in told:
        assert abs(run.partly.span_s - run.truth) <= 2 * 5 * run.interval
        assert not accuracy.contains(run.outage, run.truth)


def test_of_a_flapping_outage_every_run_is_counted_and_the_longest_is_in_its_bracket():
    for run in accuracy.odd_runs("flapping", 200.0, 40, 3):
        assert run.runs == 3
        assert accuracy.contains(run.outage, run.truth)
        assert run.bad.low_s <= 3 * run.truth <= run.bad.high_s


def test_a_bracket_that_misses_the_truth_would_be_seen():
    scenario = next(accuracy.scenarios("drop", 200.0, 1, 1))
    run = accuracy.whole(scenario)
    assert accuracy.contains(run.outage, run.truth)
    assert not accuracy.contains(run.outage, run.truth + 2 * run.allowed + scenario.timeout_s)
    wrong = replace(run, truth=run.truth + 2 * run.allowed + scenario.timeout_s)
    assert "0 of 1" in accuracy.real_row("drop", 200.0, [wrong])
