"""Faults of third parties: they stand where ours stand, and run only when they are named."""

import sys
import types
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from chaoskit import registry
from chaoskit.contracts import FaultModel
from chaoskit.units import Seconds


class Stall(FaultModel):
    """A third party's fault."""

    kind: ClassVar[str] = "stall"
    needs: ClassVar[frozenset[str]] = frozenset({"pause"})
    delay: Seconds

    def inject(self, lab, targets):
        raise NotImplementedError


class Colliding(Stall):
    kind: ClassVar[str] = "colliding"
    target: str = ""


def plant(monkeypatch, *entries):
    installed = registry._entries()
    monkeypatch.setattr(registry, "_entries", lambda: (*installed, *entries))


@pytest.fixture
def acme(monkeypatch):
    module = types.SimpleNamespace(Stall=Stall, Colliding=Colliding, NotOne=dict)
    monkeypatch.setitem(sys.modules, "acme", module)
    names = {"stall": "Stall", "odd": "NotOne", "colliding": "Colliding", "gone": "Gone"}
    plant(monkeypatch, *(EntryPoint(n, f"acme:{v}", "chaoskit.faults") for n, v in names.items()))


STEP = "{at: 3s, fault: kill, target: primary, for: 4s, signal: SIGKILL}"


def test_a_third_partys_fault_stands_where_ours_stand(files, acme):
    found = files.with_change(STEP, "{at: 3s, fault: stall, target: primary, delay: 200ms}")
    assert found.steps[0].fault == Stall(delay="200ms")
    assert (
        "17:52: delay: a duration needs a unit"
        in files.problems(STEP, "{at: 3s, fault: stall, target: primary, delay: 2}")[0]
    )
    assert (
        "'delay' is missing" in files.problems(STEP, "{at: 3s, fault: stall, target: primary}")[0]
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [("odd", "is not a FaultModel"), ("colliding", "field 'target'"), ("gone", "cannot be loaded")],
)
def test_a_plug_in_that_is_none_is_one_sentence(files, acme, name, said):
    assert said in files.problems(STEP, f"{{at: 3s, fault: {name}, target: primary}}")[0]


def test_a_plug_in_that_is_not_named_is_not_imported(files, tmp_path, monkeypatch):
    (tmp_path / "planted_plug_in.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    plant(monkeypatch, EntryPoint("p", "planted_plug_in:P", "chaoskit.faults"))
    files.load()
    assert "planted_plug_in" not in sys.modules
    assert "cannot be loaded" in files.problems("fault: kill", "fault: p")[0]


def test_templates_in_an_experiment_are_plain_text(files):
    found = files.with_change(
        "question: When the primary is killed, are clients served again?",
        "question: '{{ 7*7 }} ${HOME} $(id)'",
    )
    assert found.question == "{{ 7*7 }} ${HOME} $(id)"
