"""The notes of durations reach the reader: those that are judged or headlines, each once."""

from dataclasses import replace

import pytest

from chaoskit.experiment.grammar import parse_threshold
from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.verdict import Case, TrialInput, judge_trial

FRONT = "only through the front door: there are no pinned writers"
HELD = "requests were held and served at recovery"
TWO = (("write", "write", "kept"), ("read", "read", "kept"))


@pytest.fixture(scope="module")
def held():
    return simulate(Scenario(style="stall", streams=TWO))[0]


def notes(history, *thresholds):
    case = Case("kill", tuple(parse_threshold(t) for t in thresholds), 1)
    found = judge_trial(case, TrialInput(1, history)).result.notes
    return [n for n in found if "generator at most" not in n]


def test_how_two_primaries_were_looked_for_is_said_where_they_are_judged(held):
    assert f"dual_primary: {FRONT}" in notes(held, "dual_primary <= 9s")
    assert not any(FRONT in note for note in notes(held, "client_outage < 5s"))


def test_two_primaries_that_were_seen_say_how_though_nobody_judges_them():
    plain = simulate(Scenario())[0]
    requests = plain.requests.copy()
    after = requests["due_ns"] > plain.faults[0].acknowledged_ns + 1_500_000_000
    old = list(plain.servers).index("node-a")
    requests["server"][after & (requests["token"] % 2 == 0)] = old
    both = replace(plain, requests=requests)
    assert any(note.startswith("dual_primary: ") for note in notes(both, "client_outage < 9s"))
    assert not any("dual_primary" in note for note in notes(plain, "client_outage < 9s"))


def test_which_fault_a_failover_counts_from_is_said(held):
    first = held.faults[0]
    ago = 1_500_000_000
    before = replace(
        first,
        nodes=("node-b",),
        commanded_ns=first.commanded_ns - ago,
        acknowledged_ns=first.acknowledged_ns - ago,
        verified_ns=first.verified_ns - ago,
        bitten_ns=first.bitten_ns - ago,
    )
    several = notes(replace(held, faults=(before, first)))
    assert any(note.startswith("failover_time: since the ") for note in several)
    assert not any("since the" in note for note in notes(held))


def test_one_note_of_several_metrics_is_said_once(held):
    found = notes(held, "client_outage < 5s", "client_outage < 6s", "client_outage_read < 5s")
    assert [note for note in found if HELD in note] == [
        f"client_outage, client_outage_read: {HELD}"
    ]
    assert [note for note in notes(held) if HELD in note] == [f"client_outage: {HELD}"]


def test_violations_say_theirs_beside_the_number_and_not_here(held):
    shorter = {
        place: replace(final, tokens=final.tokens[1:], counts=final.counts[1:])
        for place, final in held.finals.items()
        if place == "node-b"
    }
    apart = replace(held, finals={**held.finals, **shorter})
    assert not any("divergent" in note for note in notes(apart, "divergent_writes <= 9"))
