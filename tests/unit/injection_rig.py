"""An injector on a lab and a network that answer as they are told to."""

import random
from types import SimpleNamespace

from unit.fakelab import FakeLab

from chaoskit.clock import now_ns, wait_until
from chaoskit.experiment.model import Step
from chaoskit.faults.kill import Kill
from chaoskit.injection import Injector
from chaoskit.instruments import DialBoard, RoleBoard


class DialChild:
    """Answers at once with what ``network`` says about source and target."""

    def __init__(self, source, network):
        self.source, self.network, self.answers = source, network, []

    def send(self, question):
        outcome = "open" if self.network["open"] else "silent"
        moment = now_ns()
        self.answers.append(
            {"id": question["id"], "outcome": outcome, "sent_ns": moment, "done_ns": moment}
        )

    def receive(self, _timeout_s):
        return self.answers.pop(0) if self.answers else None

    def close(self):
        pass


def rig(fault=None, *, max_targets=None, target=("primary",), lab=None):
    lab = lab or FakeLab()
    network = {"open": True}
    lab.spawn = lambda place, _argv: DialChild(place.name, network)
    roles = RoleBoard([], {"a": "primary", "b": "backup", "w": "witness"})
    step = Step.model_validate(
        {"at": "0s", "for": "1s", "target": target, "fault": fault or Kill()}
    )
    experiment = SimpleNamespace(steps=(step,), max_targets=max_targets)
    incidents = []
    dials = DialBoard(lab)
    injector = Injector(
        experiment, lab, roles, dials, random.Random(1), incidents.append, lambda *_: None
    )
    return SimpleNamespace(
        experiment=experiment,
        lab=lab,
        network=network,
        dials=dials,
        injector=injector,
        incidents=incidents,
    )


def pump(rig, until):
    def look():
        rig.dials.pump()
        rig.injector.feel()
        return until()

    return wait_until(look, within_s=2.0, every_s=0.005)


def record(rig):
    (found,) = rig.injector.records()
    return found
