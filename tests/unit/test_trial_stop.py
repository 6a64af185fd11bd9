"""A load that is told to stop may take as long as its requests may, and some time for itself."""

from types import SimpleNamespace

import pytest

from chaoskit.trial import _Trial


class Child:
    """Answers after so long that only whoever waits for it hears it."""

    def __init__(self, takes_s):
        self.takes_s, self.sent = takes_s, []

    def alive(self):
        return True

    def send(self, message):
        self.sent.append(message)


@pytest.mark.parametrize(("timeout_s", "takes_s", "alive"), [(30, 35, True), (0.2, 35, False)])
def test_the_load_has_its_timeout_and_ten_seconds(monkeypatch, timeout_s, takes_s, alive):
    trial = object.__new__(_Trial)
    marks = []
    trial.setup = SimpleNamespace(say=lambda *_: None)
    trial.experiment = SimpleNamespace(load=SimpleNamespace(timeout_s=timeout_s))
    trial.load, trial.load_alive = Child(takes_s), True
    trial.marks = SimpleNamespace(load=marks.append)

    def tell(child, message, _event, within_s):
        child.send(message)
        return {"event": "stopped"} if within_s >= child.takes_s else None

    monkeypatch.setattr(trial, "_tell", tell)
    trial._stop_load()
    assert trial.load.sent == [{"do": "stop"}]
    assert marks == [alive]
