"""Where several nodes serve, every rendering says who served, what the second cost, which shard."""

import re
from pathlib import Path

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.judge.result import Interval
from chaoskit.judge.thresholds import expectation, measure
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.judging import trial_line
from chaoskit.measure.metrics import measure_view
from chaoskit.measure.model import Impact, Share, Sharing
from chaoskit.measure.view import View
from chaoskit.report import render_html, render_markdown
from chaoskit.report.figures import figures
from chaoskit.report.sharing import build_sharing
from chaoskit.report.sharing_words import became, impact_cells, sharing_lines
from tests.unit.measure.sharing_script import (
    FAULT,
    HEALED,
    MS,
    SHARDS,
    history_of,
    orphan,
    spread_out,
    taken_over,
)
from tests.unit.report import samples
from tests.unit.report.looking import Look

DOC = (Path(__file__).parents[3] / "docs" / "reading-a-report.md").read_text(encoding="utf-8")
SECTION = DOC.split("## Several nodes that serve")[1].split("\n## ")[0]


def judged(*histories):
    return judge_histories(
        Case("active-active-kill", (), len(histories)),
        [TrialInput(n, one) for n, one in enumerate(histories, 1)],
    )


def page(result):
    return Look(render_html(result, {}, samples.facts())).text


def weighted(due, _shard):
    """node-a has six of ten, node-b three, node-c one; node-b's go to node-a while it is dead."""
    turn = due // (10 * MS) % 10
    server = 1 if turn < 6 else 2 if turn < 9 else 3
    return (1 if server == 2 and FAULT <= due < HEALED else server), 1


@pytest.fixture(scope="module")
def unequal():
    return judged(history_of(weighted, spread=True))


def test_unequal_shares_are_shown_as_they_are(unequal):
    rows = build_sharing(unequal, 60).nodes
    assert [(r.node, *(text for text, _ in r.bars), r.became) for r in rows] == [
        ("node-a", "60.0 %", "90.0 %", "60.0 %", "+30.0 points"),
        ("node-b", "30.0 %", "0 %", "30.0 %", "gone, back"),
        ("node-c", "10.0 %", "10.0 %", "10.0 %", "as before"),
    ]
    assert [width for _, width in rows[0].bars] == ["60", "90", "60"]
    assert "node-b 30.0 % 0 % 30.0 % gone, back" in page(unequal)
    summary = render_markdown(unequal, samples.facts())
    assert "| 1 | node-b | 30.0 % | 0 % | 30.0 % | gone, back |" in summary
    assert "node-b 30.0 % -> 0 % -> 30.0 %" in trial_line(unequal.trials[0])
    assert dict(figures(unequal.trials[0]))["share of node-b"] == (
        "30.0 % before, 0 % under, 30.0 % after"
    )


def test_nothing_of_it_is_shown_where_one_node_serves_at_a_time():
    plain = judged(history_of(weighted))
    assert build_sharing(plain, 60) is None
    assert "Several nodes" not in page(plain)
    assert "what became of it" not in render_markdown(plain, samples.facts())
    assert "shares" not in trial_line(plain.trials[0])
    assert not [name for name, _ in figures(plain.trials[0]) if "share of" in name]


def test_a_shard_that_never_comes_back_stands_out_and_its_twin_does_not():
    result = judged(*(history_of(act, shards=SHARDS) for act in (orphan, taken_over)))
    one, two, three, four = build_sharing(result, 60).shards
    assert [r.out for r in (one, two, three, four)] == [False, True, True, False]
    assert two.worst == "≥ 4.99 s, trial 1"
    assert two.width == "100"
    assert two.each == ("≥ 4.99 s", "0.601 s (0.559 to 0.641)")
    assert three.worst == "0.201 s (0.159 to 0.241), trial 2"
    assert one.worst == "0 s"
    assert "2 ≥ 4.99 s, trial 1" in page(result)
    assert "| 2 | ≥ 4.99 s, trial 1 |" in render_markdown(result, samples.facts())
    never, over = (trial_line(t) for t in result.trials)
    assert "shard 2 out ≥ 4.99 s; 3 of 4 shards never out" in never
    assert "shard 2 out 0.601 s (0.559 to 0.641); shard 3 out" in over


def test_the_worst_of_a_shard_is_the_trial_in_which_it_never_ended_however_short_that_was():
    trials = []
    for n, found in ((1, Interval(value_s=1.0, censored=True)), (2, Interval(value_s=8.0))):
        one = with_bad(n, 0)
        sharing = one.metrics.sharing.model_copy(update={"outage_by_shard": {"1": found}})
        metrics = one.metrics.model_copy(update={"sharing": sharing})
        trials.append(one.model_copy(update={"metrics": metrics}))
    result = samples.several().result.model_copy(update={"trials": tuple(trials)})
    (row,) = build_sharing(result, 60).shards
    assert (row.worst, row.width) == ("≥ 1.00 s, trial 1", "100")


@pytest.mark.parametrize(
    ("share", "said"),
    [
        ((0.5, 0.024, 0.5), "gone, back"),
        ((0.5, 0.026, 0.5), "\N{MINUS SIGN}47.4 points"),
        ((0.5, 0.0, 0.024), "gone, not back"),
        ((0.5, 0.0, 0.026), "gone, back"),
        ((0.5, 0.0, None), "gone"),
        ((0.5, 0.5, 0.0), "gone since the heal"),
        ((0.5, None, 0.5), "\N{EN DASH}"),
        ((None, 0.5, 0.5), "\N{EN DASH}"),
        ((0.0, 0.0, 0.5), "only afterwards"),
        ((0.0, 0.5, 0.5), "+50.0 points"),
        ((0.5, 0.509, 0.5), "as before"),
        ((0.5, 0.511, 0.5), "+1.1 points"),
    ],
)
def test_what_became_of_a_node_is_one_of_the_words_that_are_explained(share, said):
    assert became(Share(**dict(zip(("before", "fault", "after"), share, strict=True)))) == said
    points = re.compile(r"[+\N{MINUS SIGN}][\d.]+ points")
    words = [points.sub("+16.5 points", part) for part in said.split(", ")]
    assert [word for word in words if f"| {word} |" not in SECTION] == []


def test_the_second_has_dashes_where_nobody_was_answered():
    silent = Impact(
        due=0, bad=0, bad_before=0, rate=0.0, rate_before=0.0,
        p50_s=None, p50_before_s=None, p99_s=None, p99_before_s=None,
    )  # fmt: skip
    none = ("\N{EN DASH}", "\N{EN DASH}")
    assert impact_cells(silent) == (("0 of 0", "0"), ("0/s", "0/s"), none, none)
    assert sharing_lines(Sharing()) == ()


def test_without_a_second_after_the_fault_the_shares_are_shown_alone(unequal):
    (trial,) = unequal.trials
    sharing = trial.metrics.sharing.model_copy(update={"impact": None})
    metrics = trial.metrics.model_copy(update={"sharing": sharing})
    cut = unequal.model_copy(update={"trials": (trial.model_copy(update={"metrics": metrics}),)})
    assert build_sharing(cut, 60).impacts == ()
    assert "The second of the fault" not in page(cut)
    assert "Who answered" in page(cut)


def with_bad(n, bad):
    base = samples.several().result.trials[0]
    impact = base.metrics.sharing.impact.model_copy(update={"bad": bad})
    sharing = base.metrics.sharing.model_copy(update={"impact": impact})
    return base.model_copy(
        update={"n": n, "metrics": base.metrics.model_copy(update={"sharing": sharing})}
    )


def test_of_many_trials_those_in_which_most_went_wrong_are_shown():
    bads = {n: 200 if n == 7 else 100 if n in (3, 40) else n % 3 for n in range(1, 60)}
    trials = tuple(with_bad(n, bad) for n, bad in bads.items())
    many = samples.several().result.model_copy(update={"trials": trials})
    found = build_sharing(many, 60)
    assert (found.trials, found.of) == ((3, 7, 40), 59)
    html = render_html(many, {}, samples.facts())
    assert "Of 59 trials those 3 are shown" in Look(html).text
    assert len(html.encode()) < 1_000_000
    assert "The worst 3 of 59 trials in that second." in render_markdown(many, samples.facts())
    few = many.model_copy(update={"trials": trials[:6]})
    assert build_sharing(few, 60).trials == (1, 2, 3, 4, 5, 6)
    assert len(build_sharing(many, 2).nodes) == 2 * 3
    assert build_sharing(many, 2).left_out == 2, "a node and a shard"


# ---------------------------------------------------------------- the page that explains it


def table(head):
    """The rows of the document's table whose first row begins so."""
    lines = SECTION.split(f"\n| {head}")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_worked_example_is_what_the_report_shows():
    history = history_of(spread_out, spread=True)
    found = build_sharing(judged(history), 60)
    shown = [[r.node, *(text for text, _ in r.bars), r.became] for r in found.nodes]
    assert table("node | before") == shown
    ((*cells,),) = [row.cells for row in found.impacts]
    assert [tuple(row[1:3]) for row in table("in that second")] == cells
    thresholds = re.findall(r"`(\S+@impact [^`]+)`", SECTION)
    assert len(thresholds) == 2
    for text in thresholds:
        verdict = "PASS" if f"`{text}` passes" in SECTION else "FAIL"
        view, threshold = View(history), parse_threshold(text)
        seen = measure(threshold, 1, view, measure_view(view))
        assert expectation(threshold, seen).verdict == verdict


def test_the_worked_example_of_shards_is_what_the_report_shows():
    found = build_sharing(judged(history_of(taken_over, shards=SHARDS)), 60)
    assert [row[:2] for row in table("shard | outage")] == [
        [r.shard, r.worst] for r in found.shards
    ]
