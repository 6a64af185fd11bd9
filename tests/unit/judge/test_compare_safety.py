"""Safety of one run against another's: what is planted in NEW is never passed in silence."""

import json

import pytest

from chaoskit.experiment.catalogue import PROVEN, ZERO
from chaoskit.judge.compare import compare_all
from chaoskit.judge.compare_safety import SafetySeen, compare_safety
from chaoskit.judge.compare_table import table
from chaoskit.judge.result import Verdict
from tests.unit.judge.test_compare import FAILING, OPEN, PASSING

CLEAN = SafetySeen(0, 0, 10)
UNSEEN = SafetySeen(0, 0, 0, 10)
FAIL, OPEN_ENDED, PASS = Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS


def whole(base, new, metric="lost_writes", of=PASSING):
    return compare_all(("a", "b"), (of,), {metric: (base, new)})


def some(amount, trials, of=10, unchecked=0):
    return SafetySeen(amount, trials, of, unchecked)


CASES = {
    "clean in both": (CLEAN, CLEAN, PASS, ""),
    "only BASE had any": (some(3, 1), CLEAN, PASS, ""),
    "one trial of NEW": (CLEAN, some(1, 1), FAIL, "none in 10 trials of BASE"),
    "NEW, and nobody looked before": (UNSEEN, some(1, 1), FAIL, "not checked in BASE"),
    "surely more often": (some(2, 1), some(12, 8), FAIL, "more often (Fisher's p is 0.0027)"),
    "oftener, may be chance": (some(2, 1), some(4, 2), OPEN_ENDED, "which may be chance"),
    "as often, far more": (some(1, 1), some(500, 1), OPEN_ENDED, "not more often, but more of it"),
    "as often, no more": (some(5, 1), some(5, 1), PASS, "no more than before, and safe in neither"),
    "a smaller share": (some(5, 2), some(9, 2, of=20), PASS, "9 lost writes in 2 of 20 trials"),
    "checked before, not now": (CLEAN, UNSEEN, OPEN_ENDED, "checked in BASE, not in NEW"),
    "not checked before": (UNSEEN, CLEAN, PASS, ""),
    "checked in fewer": (
        CLEAN,
        some(0, 0, 9, 1),
        OPEN_ENDED,
        "not checked in 1 of 10 trials of NEW",
    ),
    "in as few as before": (some(0, 0, 9, 1), some(0, 0, 18, 2), PASS, ""),
    "no more, of fewer": (
        some(5, 1),
        some(1, 1, 9, 1),
        OPEN_ENDED,
        "more often, which may be chance",
    ),
    "no more, and fewer told": (
        some(5, 3),
        some(1, 1, 9, 1),
        OPEN_ENDED,
        "no more, but not checked",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_kind_of_violation_is_judged_by_itself(case):
    base, new, verdict, says = CASES[case]
    found = whole(base, new)
    assert found.verdict is verdict
    assert says in found.sentence
    assert [k.verdict for k in found.safety] == [verdict]
    assert table(found).splitlines()[-1] == f"{verdict}: {found.sentence}"


def test_that_nobody_ever_looked_is_said_once():
    kinds = dict.fromkeys(("stale_reads", "dual_primary"), (UNSEEN, UNSEEN))
    found = compare_all(("a", "b"), (PASSING,), kinds)
    assert (found.verdict, found.notes) == (
        PASS,
        ("checked in neither run: stale reads, dual primary",),
    )


def test_two_primaries_are_told_in_seconds():
    found = whole(CLEAN, SafetySeen(0.4213, 2, 10, unit="s"), "dual_primary")
    assert found.verdict is FAIL
    assert found.sentence.startswith("0.421 s of dual primary in 2 of 10 trials of NEW, none")


def test_the_worst_of_metrics_and_safety_decides_and_nothing_else_is_left_unsaid():
    both = some(5, 1)
    assert whole(both, both, of=FAILING).verdict is FAIL
    assert "safe in neither" in whole(both, both, of=FAILING).notes[-1]
    assert whole(CLEAN, CLEAN, of=OPEN).verdict is OPEN_ENDED
    assert whole(CLEAN, some(1, 1), of=OPEN).verdict is FAIL


def test_what_is_compared_is_whatever_is_proven_and_divergence():
    assert {"divergent_writes"} == ZERO - PROVEN
    assert {"dual_primary", "split_brain_loss", "post_heal_loss", "lost_writes"} <= PROVEN


def test_the_json_says_of_each_kind_what_was_seen():
    (found,) = compare_safety({"lost_writes": (some(2, 1), some(12, 8))})
    stored = json.loads(found.model_dump_json())
    assert (stored["base_trials"], stored["new_trials"], stored["new_of"]) == (1, 8, 10)
    assert stored["p"] == pytest.approx(0.0027, abs=1e-4)
