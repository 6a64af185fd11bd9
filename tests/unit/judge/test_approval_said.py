"""What is said of an operator who was asked: over trials, and in the run's sentence."""

from chaoskit.history.simulated import Scenario, simulate
from chaoskit.judge.over_trials import summary
from chaoskit.judge.result import Verdict
from chaoskit.judge.sentences import sentence
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.model import Interval

NAMES = {"time_to_approval", "failover_time_without_approval"}


def asked(found):
    waited = Interval(value_s=0.8, low_s=0.79, high_s=0.81)
    return found.model_copy(update={"time_to_approval": waited})


def test_the_wait_for_an_operator_is_summed_up_and_told_only_where_there_was_one():
    found = measure_trial(simulate(Scenario(outage_s=1.0))[0])
    assert NAMES.isdisjoint(summary([found]))
    assert summary([asked(found)]).keys() >= NAMES
    said = sentence(1, [], [asked(found)], Verdict.PASS, [])
    assert "after the fault, 0.80 s (0.79 s to 0.81 s) of it until an operator approved," in said
    assert "operator" not in sentence(1, [], [found], Verdict.PASS, [])
