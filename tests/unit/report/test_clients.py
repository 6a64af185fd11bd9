"""Several clients: the sentence names the worst of them, the page has a row for each."""

import sys
from pathlib import Path

import pytest

from chaoskit.experiment.threshold import Threshold
from chaoskit.judge.result import Verdict
from chaoskit.judge.verdict import Case, TrialInput, judge_histories
from chaoskit.measure.timeline import timeline
from chaoskit.report.clients import build_clients
from chaoskit.report.detail import DETAILS
from chaoskit.report.figures import figures
from chaoskit.report.lanes import MOST_CLIENTS, build_lanes
from chaoskit.report.scale import Range

sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))
from clients_script import script

WORST = Threshold("client_outage_worst < 1s", "client_outage_worst", "<", 1.0, "s")
STUCK = [[(0.1, 0.5)]] * 5 + [[(0.1, 2.6)]] + [[(0.1, 0.5)]] * 2


def judged(outages):
    history, _ = script(outages)
    return history, judge_histories(Case("clients", (WORST,), 1), [TrialInput(1, history)])


@pytest.mark.parametrize(
    ("outages", "said"),
    [
        (STUCK, "the worst of them for 2.5"),
        ([[]] * 7 + [[(0.1, 2.6)]], "the worst of them for 2.5"),
    ],
)
def test_the_worst_client_fails_the_bound_and_stands_in_the_sentence(outages, said):
    _, result = judged(outages)
    assert result.verdict is Verdict.FAIL
    assert said in result.sentence


def test_one_client_is_not_said_twice():
    _, result = judged([[(0.1, 0.5)]])
    assert "worst of them" not in result.sentence
    assert "client_outage_worst" not in result.summary
    assert build_clients(result, DETAILS[0]) is None


def test_there_is_a_row_for_each_client_and_one_for_the_trial():
    _, result = judged(STUCK)
    clients = build_clients(result, DETAILS[0])
    ((trial, number, worst, median, union, intersection, uptime),) = clients.rows
    assert (trial, number) == ("1", "8")
    assert worst.endswith(", c5")
    assert worst.startswith("2.5")
    assert median.startswith(("0.40", "0.41", "0.39", "0.38", "0.42"))
    assert union.startswith("2.5")
    assert float(intersection.split()[0]) <= 0.45
    assert "%" in uptime
    assert [row[0] for row in clients.each] == [f"c{n}" for n in range(8)]
    assert "worst client" in dict(figures(result.trials[0]))


def test_every_client_has_a_lane_and_of_many_those_that_were_out_longest():
    few = timeline(judged(STUCK)[0])
    lanes = {lane.label: lane for lane in build_lanes(few, Range(-1, 6), 0.05)}
    assert all(lanes[f"c{n}"].spans for n in range(8))
    many = timeline(script([[]] * 20 + [[(0.1, 2.0)]] * 3, rate=800.0)[0])
    labels = [lane.label for lane in build_lanes(many, Range(-1, 6), 0.05)]
    assert {"c20", "c21", "c22", f"{23 - MOST_CLIENTS} more"} <= set(labels)
