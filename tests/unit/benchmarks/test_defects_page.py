"""The page of planted defects: what was not reached stands there as open, and nothing is missing."""

import pytest
from support import ROOT, benchmark

from chaoskit.reference.defects import DEFECTS

defects = benchmark("defects")
PAGE = (ROOT / "docs" / "defects.md").read_text("utf-8")
CAUGHT = defects.Row(
    "no-fencing", "active-passive", "active-passive-split", ("dual_primary",),
    "dual_primary == 0", "2.64 s", 1, True,
)  # fmt: skip
MISSED = defects.Row(
    "flaps", "active-passive", "active-passive-kill", ("flapping",), "", "", 3, False
)


def sound(trials, found="", good=True):
    experiment = "active-passive-kill"
    return defects.Row("(sound)", "active-passive", experiment, (), found, "3 s", trials, good)


def test_a_defect_that_was_not_found_is_listed_as_open():
    made = defects.page([CAUGHT, MISSED, sound(30)])
    assert "| `dual_primary == 0` | 2.64 s | 1 |" in made
    assert "**open**: not by flapping | none | more than 3 |" in made
    assert "1 of 2 defects caught" in made


def test_clean_trials_say_what_they_can_prove():
    assert "30 valid trials, no false alarm; at most 9.5 %" in defects.page([CAUGHT, sound(30)])


def test_clean_trials_of_a_shape_say_how_many_each_experiment_had():
    other = defects.Row("(sound)", "active-passive", "active-passive-split", (), "", "", 10, True)
    made = defects.page([CAUGHT, sound(30), other])
    assert "40 valid trials, no false alarm; at most 7.2 %" in made
    assert "pooled over 2 experiments of 10 to 30 trials each; an experiment by itself" in made
    assert "with 10, shows no more than: at most 26 %" in made


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (sound(0, good=False), "**open**: no trial was valid"),
        (sound(5, "client_outage < 2s", good=False), "client_outage < 2s (3 s)"),
        (sound(5, "INCONCLUSIVE", good=False), "**open**: INCONCLUSIVE"),
    ],
)
def test_a_false_alarm_or_no_proof_is_open(row, says):
    made = defects.page([CAUGHT, row])
    assert says in made
    assert "active-passive: **open**, 1 of 1 experiments are not clean" in made
    assert "not clean: 1." in made


def test_a_shape_gets_the_trials_it_is_owed_spread_over_its_experiments():
    chosen = list(DEFECTS.values())
    for each, shape in ((1, 0), (1, 30), (40, 30)):
        trials = defects.clean_trials(chosen, each, shape)
        assert {e for e, _ in trials} == {d.experiment for d in chosen}
        assert min(trials.values()) >= each
        for of in {d.shape for d in chosen}:
            assert sum(n for (_, s), n in trials.items() if s == of) >= shape


def test_the_stored_page_speaks_of_every_defect_and_every_experiment():
    assert all(f"| `{name}` |" in PAGE for name in DEFECTS)
    assert all(f"| `{d.experiment}` |" in PAGE for d in DEFECTS.values())


def test_a_page_is_read_back_as_it_was_written():
    alarm = defects.Row(
        "(sound)", "cluster", "cluster-3-kill", (), "dual_primary == 0", "", 3, False
    )
    rows = [CAUGHT, MISSED, sound(30), alarm]
    made = defects.page(rows)
    assert defects.page(defects.stored(made)) == made
    assert defects.page(defects.stored(PAGE)) == PAGE


def test_each_stored_finding_is_one_that_names_what_is_wrong():
    for row in (r for r in defects.stored(PAGE) if r.wanted and r.good):
        assert {defects.metric_of(one) for one in row.found.split("; ")} <= set(row.wanted)


def test_what_was_not_run_again_stays_and_what_was_takes_its_place():
    old = [CAUGHT, MISSED, sound(30), sound(0, good=False)]
    late = defects.Row(
        "flaps",
        "active-passive",
        "active-passive-kill",
        ("flapping",),
        "flapping == 0",
        "6",
        1,
        True,
    )
    made = defects.merged(old, [late])
    assert [(r.name, r.good) for r in made] == [
        ("no-fencing", True),
        ("flaps", True),
        ("(sound)", False),
    ]
