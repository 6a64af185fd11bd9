"""What has ended by itself, such as a job that is done, is no target, no evidence and no error."""

import pytest
from unit.fakelab import FakeLab
from unit.injection_rig import pump, record, rig

from chaoskit.errors import LabError, NotInjected
from chaoskit.faults.kill import Kill
from chaoskit.faults.loss import Loss
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause


def lab_without(*names):
    lab = FakeLab()
    lab.incarnation.update(dict.fromkeys(names))
    return lab


def struck(words, *gone):
    made = rig(Pause(), target=words, lab=lab_without(*gone))
    made.injector.inject(0)
    return record(made).nodes


@pytest.mark.parametrize("words", [("all",), ("not w",)])
def test_words_for_several_nodes_do_not_mean_it(words):
    assert struck(words, "w") == ("a", "b")


def test_any_is_one_that_runs():
    assert struck(("any",), "a", "b") == ("w",)


def test_a_minority_is_one_of_all_that_there_are_and_drawn_from_those_that_run():
    assert struck(("minority",), "a", "b") == ("w",)
    with pytest.raises(NotInjected, match=r"'minority' now .*ended by itself"):
        struck(("minority",), "a", "b", "w")


def test_what_a_step_has_ended_is_still_meant():
    """It will be there again; only what ended by itself is left out."""
    made = rig(Kill(), target=("w",))
    again = made.experiment.steps[0].model_copy(update={"target": ("all",), "fault": Partition()})
    made.experiment.steps += (again,)
    made.injector.inject(0)
    made.injector.inject(1)
    assert "w" in next(r for r in made.injector.records() if r.step == 1).nodes


def test_a_partition_is_proven_by_those_that_run_and_felt_to_be_healed():
    made = rig(Partition(), target=("a",), lab=lab_without("w"))
    made.injector.prepare()
    made.injector.inject(0)
    assert "w" not in {end for dial in made.dials._lines for end in (dial.source, dial.target)}
    made.network["open"] = False
    assert pump(made, lambda: record(made).bitten_ns is not None)
    made.injector.heal(0)
    made.network["open"] = True
    assert pump(made, made.injector.all_felt)
    assert record(made).problem is None


def test_loss_is_tried_with_a_peer_that_runs():
    made = rig(Loss(share=0.5), target=("a",), lab=lab_without("b"))
    made.injector.inject(0)
    made.injector.heal(0)
    assert "b" not in {end for dial in record_dials(made) for end in (dial.source, dial.target)}
    assert record_dials(made)


def record_dials(made):
    return made.injector._running[0].hold.dials


def test_a_dial_from_one_that_has_ended_since_shows_nothing():
    made = rig(Partition(), target=("a",))
    made.dials.prepare(["a", "b", "w", "client", "observer"])
    made.lab.incarnation["w"] = None
    made.injector.inject(0)
    assert "w" not in {dial.source for dial in record_dials(made)}


def test_a_partition_from_nobody_who_runs_cannot_be_seen():
    made = rig(Partition.model_validate({"from": ["w"]}), target=("a",), lab=lab_without("w"))
    made.injector.inject(0)
    made.injector.heal(0)
    assert record(made).problem == "partition cannot be seen to bite: w does not run"


def test_a_job_is_neither_killed_nor_started_again():
    made = rig(Kill(), target=("w",), lab=lab_without("w"))
    with pytest.raises(NotInjected, match="kill cannot strike w: it does not run, and no step has"):
        made.injector.inject(0)
    made.injector.heal_all()
    assert made.lab.done == []


@pytest.mark.parametrize(("gone", "kind"), [(("w",), NotInjected), ((), LabError)])
def test_a_fault_that_fails_on_what_does_not_run_was_not_injected(monkeypatch, gone, kind):
    made = rig(Pause(), target=("w",), lab=lab_without(*gone))

    def fails(_node):
        raise LabError("no such process")

    monkeypatch.setattr(made.lab, "pause", fails)
    with pytest.raises(LabError, match="no such process") as caught:
        made.injector.inject(0)
    assert type(caught.value) is kind
    if gone:
        assert "w did not run when pause was due" in str(caught.value)


def test_no_dial_is_started_on_a_node_that_does_not_run():
    made = rig(lab=lab_without("w"))
    made.dials.prepare(["a", "w", "observer"])
    assert set(made.dials.children) == {"a", "observer"}
    made.lab.incarnation["w"] = "w/2"
    made.dials.prepare(["w"])
    assert "w" in made.dials.children
