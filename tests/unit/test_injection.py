"""The evidence about a fault: verified, bitten, held, healed, and by nobody else."""

from contextlib import contextmanager

import pytest
from unit.fakelab import FakeLab
from unit.injection_rig import pump, record, rig

from chaoskit.clock import now_ns
from chaoskit.contracts import Hold
from chaoskit.errors import HealFailed, LabError
from chaoskit.experiment.model import Step
from chaoskit.faults.dials import poke
from chaoskit.faults.kill import Kill
from chaoskit.faults.noop import Noop
from chaoskit.faults.partition import Partition
from chaoskit.faults.pause import Pause
from chaoskit.instruments import DialBoard, RoleBoard, Ticker


def test_a_fault_that_is_felt_has_bitten_and_its_heal_is_felt_too():
    r = rig()
    r.network["open"] = False
    r.injector.inject(0)
    assert pump(r, lambda: record(r).bitten_ns)
    r.network["open"] = True
    r.injector.heal(0)
    assert pump(r, r.injector.all_felt)
    found = record(r)
    assert found.nodes == ("a",)
    assert found.target == "primary"
    assert found.acknowledged_ns <= found.bitten_ns <= found.heal_commanded_ns
    assert found.felt_healed_ns >= found.heal_commanded_ns
    assert (found.problem, found.must_bite) == (None, True)


def test_a_fault_that_nobody_felt_is_a_problem():
    r = rig()
    r.injector.inject(0)
    pump(r, lambda: False)
    r.injector.heal(0)
    assert "not seen to bite" in record(r).problem
    assert "open" in record(r).problem


class Waits:
    """A dial child that answers nothing until it is told to, and says then when it was asked."""

    def __init__(self):
        self.asked, self.free = [], False

    def send(self, question):
        self.asked.append(question["id"])

    def receive(self, _timeout_s):
        if not (self.free and self.asked):
            return None
        return {
            "id": self.asked.pop(0),
            "outcome": "open",
            "sent_ns": now_ns(),
            "done_ns": now_ns(),
        }

    def close(self):
        pass


@pytest.mark.parametrize("answers", [False, True])
def test_a_pause_shorter_than_a_dials_patience_is_felt_by_what_was_not_answered(answers):
    child = Waits()
    child.free = answers
    board = DialBoard(FakeLab(), {"observer": child})
    (dial,) = poke(FakeLab().node("observer"), FakeLab().node("a"))
    since = now_ns()
    board.watch([dial])
    board.pump()
    board.pump()
    assert board.unanswered([dial], since) is not answers
    child.free = True
    board.pump()
    assert not board.unanswered([dial], since)


def test_noop_owes_no_bite():
    r = rig(Noop(), target=())
    r.injector.inject(0)
    r.injector.heal(0)
    assert (record(r).problem, record(r).must_bite) == (None, False)


def test_a_target_that_somebody_else_restarts_is_an_incident():
    r = rig()
    r.injector.inject(0)
    r.lab.incarnation["a"] = "a/restarted"
    r.injector.heal(0)
    assert "restarted by somebody else" in r.incidents[0]


def test_a_target_that_stays_as_the_fault_left_it_is_none():
    r = rig()
    r.injector.inject(0)
    r.injector.look()
    r.injector.heal(0)
    assert r.incidents == []


def test_too_many_targets_are_refused_before_anything_happens():
    r = rig(max_targets=1, target=("all",))
    with pytest.raises(LabError, match="max_targets"):
        r.injector.inject(0)
    assert r.lab.done == []


def test_a_heal_that_fails_is_raised_and_the_fault_is_on_record():
    r = rig(lab=FakeLab(starts=False))
    r.injector.inject(0)
    with pytest.raises(HealFailed, match="no such program"):
        r.injector.heal_all()
    assert record(r).commanded_ns > 0


def test_roles_are_settled_only_when_every_probed_node_has_answered():
    board = RoleBoard(["a", "b"], {"a": "primary", "b": "backup", "w": "witness"})
    assert board.settled_for_s() == 0.0
    for node, value in (("a", "primary"), ("b", "backup")):
        message = {"event": "change", "question": "role", "node": node, "value": value}
        assert board.take({**message, "done_ns": now_ns()})
    assert board.settled_for_s() > 0.0
    assert board.primaries() == ("a",)
    assert board.roles()["w"] == "witness"
    gone = {"event": "change", "question": "role", "node": "a", "value": None, "done_ns": now_ns()}
    board.take(gone)
    assert board.settled_for_s() == 0.0
    assert not board.take({**gone, "question": "health"})
    assert not board.take({**gone, "error": "http status 200 without a role"}), "no other role"
    assert board.told() == "a: http status 200 without a role, b: backup"


def test_a_stalled_harness_is_seen_by_its_own_tick():
    ticker = Ticker()
    ticker.start()
    ticker.restart()
    began = now_ns()
    while now_ns() - began < 50_000_000:
        pass  # other threads still run: no stall
    ticker._worst_ns = max(ticker._worst_ns, 400_000_000)  # as if a sleep had ended so late
    assert ticker.worst_ns() >= 400_000_000
    ticker.restart()
    assert ticker.worst_ns() < 400_000_000
    ticker.stop()
    assert not ticker.is_alive()


# ---------------------------------------------------------------- several faults on one node


def rig_of(*steps):
    r = rig()
    read = [Step.model_validate({"at": "0s", "for": "1s", **step}) for step in steps]
    r.injector._experiment.steps = tuple(read)
    return r


def test_a_target_known_only_at_run_time_is_refused_while_another_fault_needs_it():
    r = rig_of(
        {"target": "primary", "fault": Pause()},
        {"target": "service:a", "fault": Kill()},
        {"target": "backup", "fault": Kill()},
    )
    r.injector.inject(0)
    with pytest.raises(
        LabError, match=r"kill cannot strike a now: pause of step 1 is on it.*'life'"
    ):
        r.injector.inject(1)
    assert not any(done[0] == "kill" for done in r.lab.done)
    r.injector.inject(2)  # another node
    r.injector.heal(0)
    r.injector.inject(1)  # and this one once it is free


@pytest.mark.parametrize("held", [True, False])
def test_a_partition_through_our_own_kill_and_start_must_have_held(held):
    r = rig_of({"target": "primary", "fault": Partition()}, {"target": "primary", "fault": Kill()})
    r.injector.inject(0)
    r.injector.inject(1)
    r.lab.cut_now["h"] = held
    r.injector.heal(1)
    r.injector.look()
    if held:
        assert r.incidents == []
    else:
        assert "partition was not in force again on a before a" in r.incidents[0]


def test_a_restart_by_somebody_else_is_seen_even_when_we_act_on_the_node_next():
    r = rig_of({"target": "primary", "fault": Partition()}, {"target": "primary", "fault": Kill()})
    r.injector.inject(0)
    r.lab.incarnation["a"] = "a/by hand"
    r.injector.inject(1)
    assert "restarted by somebody else while partition was on it" in r.incidents[0]


def test_what_a_fault_goes_on_doing_is_done_while_it_is_on_and_is_nobody_elses():
    acted = []

    class Busy(Noop):
        @contextmanager
        def inject(self, lab, targets):
            def tend():
                acted.append(1)
                lab.incarnation["a"] = f"a/{len(acted)}x"
                return True

            hold = Hold(now_ns(), now_ns(), now_ns(), tend=tend)
            yield hold
            hold.heal_commanded_ns = hold.healed_ns = now_ns()

    r = rig_of({"target": "primary", "fault": Busy()})
    r.injector.inject(0)
    r.injector.feel()
    r.injector.look()
    r.injector.heal(0)
    r.injector.feel()
    assert acted == [1]
    assert r.incidents == []


class Patient(Noop):
    """A fault that waits for the system, which does nothing or does it."""

    waits = True
    why: str = ""

    @contextmanager
    def inject(self, lab, targets):
        hold = Hold(now_ns(), now_ns(), now_ns())
        yield hold
        hold.heal_commanded_ns = hold.healed_ns = now_ns()
        hold.unmet = self.why


@pytest.mark.parametrize(
    ("why", "optional", "incidents"),
    [
        ("nothing came; look there", False, 1),
        ("nothing came; look there", True, 0),
        ("", False, 0),
    ],
)
def test_a_fault_that_waited_in_vain_is_an_incident_unless_it_is_optional(why, optional, incidents):
    r = rig_of({"fault": Patient(why=why), "optional": optional})
    r.injector.inject(0)
    r.injector.heal_all()
    assert len(r.incidents) == incidents
    for sentence in r.incidents:
        assert "came to nothing: nothing came; look there" in sentence


class Clumsy(Noop):
    """What somebody plugged in, with a mistake of its own in one of three places."""

    kind = "clumsy"
    place: str = "inject"

    def rehearse(self, lab, targets):
        return {}["rehearse"] if self.place == "rehearse" else ()

    @contextmanager
    def inject(self, lab, targets):
        if self.place == "inject":
            raise KeyError("inject")
        now = now_ns()
        yield Hold(now, now, now, detail="clumsy")
        raise ValueError("no such thing")


@pytest.mark.parametrize("place", ["rehearse", "inject"])
def test_a_fault_of_somebody_elses_that_breaks_is_named_with_its_place(place):
    r = rig(Clumsy(place=place))
    r.experiment.steps[0]._origin = 0  # the first step of a file
    said = f"the fault 'clumsy' of step 1 broke: KeyError: '{place}', in test_injection.py:"
    with pytest.raises(LabError) as caught:
        r.injector.inject(0)
    assert str(caught.value).startswith(said)


def test_a_heal_that_breaks_does_not_keep_the_others_from_being_healed():
    r = rig(Clumsy(place="heal"))
    healed = []

    class Sound(Noop):
        kind = "sound"

        @contextmanager
        def inject(self, lab, targets):
            now = now_ns()
            yield Hold(now, now, now, detail="sound")
            healed.append(True)

    sound = {"at": "0s", "for": "1s", "target": ("backup",), "fault": Sound()}
    r.experiment.steps += (Step.model_validate(sound),)
    r.injector.inject(1)
    r.injector.inject(0)
    with pytest.raises(HealFailed, match=r"clumsy.*when it was healed, broke: ValueError: no such"):
        r.injector.heal_all()
    assert healed


def test_a_dial_that_two_faults_need_is_kept_until_both_heals_were_felt():
    r = rig()
    r.experiment.steps = (*r.experiment.steps, *r.experiment.steps)
    r.network["open"] = False
    for n in (0, 1):
        r.injector.inject(n)
        r.injector.heal(n)
    pump(r, lambda: False)  # neither is felt yet
    r.network["open"] = True
    assert pump(r, r.injector.all_felt)
    assert all(found.felt_healed_ns for found in r.injector.records())


def test_what_was_done_is_undone_though_the_evidence_breaks(monkeypatch):
    r = rig()
    r.injector.inject(0)
    assert r.lab.identity(r.lab.node("a")) is None
    monkeypatch.setattr(r.dials, "restart", lambda _dials: {}["gone"])
    with pytest.raises(KeyError):
        r.injector.heal(0)
    assert r.lab.identity(r.lab.node("a")) is not None


def test_what_nobody_outside_can_feel_has_bitten_when_it_was_read_back():
    class Inside(Kill):
        @contextmanager
        def inject(self, lab, targets):
            with super().inject(lab, targets) as hold:
                hold.outside, hold.dials = False, ()
                yield hold

    r = rig(Inside())
    r.injector.inject(0)
    assert pump(r, lambda: record(r).bitten_ns)
    assert record(r).bitten_ns == record(r).verified_ns
    assert ("bitten" in {event for _, event, _ in r.injector.news()}) is True
