"""When the engine has the load shed: once, after the last heal, at a moment known beforehand."""

import json

import pytest

from chaoskit import shedding
from chaoskit.errors import BadInput
from chaoskit.experiment.loader import load_experiment
from chaoskit.experiment.metastability import MetastabilitySpec
from chaoskit.history.history import FaultRecord
from chaoskit.history.writer import Marks

S = 1_000_000_000
SPEC = MetastabilitySpec.model_validate(
    {"grace": "1s", "after": "4s", "shed": {"to": "40%", "for": "3s"}}
)


class Bench:
    """A clock turned by hand; what the load was told, what was marked."""

    def __init__(self, folder, monkeypatch, spec=SPEC):
        self.now, self.told, self.faults = 0, [], []
        monkeypatch.setattr(shedding, "now_ns", lambda: self.now)
        self.path = folder / "marks.jsonl"
        with Marks(self.path) as marks:
            self.shedding = shedding.Shedding(spec, marks)

    def look(self, at_s):
        self.now = int(at_s * S)
        with Marks(self.path) as marks:
            self.shedding.marks = marks
            self.shedding.look(lambda: self.faults, self.told.append)

    def fault(self, healed_s):
        healed = None if healed_s is None else int(healed_s * S)
        self.faults.append(
            FaultRecord(0, "kill", "primary", ("a",), 1, 2, 3, 4, healed, healed, healed)
        )

    def notes(self):
        marks = map(json.loads, self.path.read_text("utf-8").splitlines())
        return {m["key"]: m["value"] for m in marks if m["kind"] == "note"}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_the_load_is_told_ahead_of_the_moment_and_once(bench):
    bench.fault(10)
    bench.fault(12)
    bench.look(16.5)
    assert bench.told == []
    bench.look(16.9)
    bench.look(17.1)
    facts = {"from_ns": 17 * S, "until_ns": 20 * S, "share": 0.4}
    assert bench.told == [{"do": "shed", **facts}]
    assert bench.notes() == {
        "metastability": {"grace_s": 1.0, "below": 0.1, "after_s": 4.0},
        "shed": facts,
    }


def test_nothing_is_shed_while_a_fault_is_in_force_or_none_has_come(bench):
    bench.look(100)
    bench.fault(10)
    bench.fault(None)
    bench.look(101)
    assert bench.told == []
    assert "shed" not in bench.notes()


def test_a_moment_that_was_missed_is_not_in_the_past(bench):
    bench.fault(10)
    bench.look(50)
    assert bench.told[0]["from_ns"] > 50 * S


def test_without_shed_the_terms_are_noted_and_nothing_else(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, MetastabilitySpec.model_validate({"after": "7s"}))
    bench.fault(10)
    bench.look(100)
    assert bench.told == []
    assert bench.notes()["metastability"]["after_s"] == 7.0


def test_without_the_block_nothing_happens(tmp_path, monkeypatch):
    bench = Bench(tmp_path, monkeypatch, None)
    bench.fault(10)
    bench.look(100)
    assert (bench.told, bench.notes()) == ([], {})


# ---------------------------------------------------------------- in an experiment's file


def written(folder, block, run_for=None):
    text = (
        "chaoskit: 1\nname: some\nquestion: Does it get up again?\n"
        "stack: compose.yaml\nload: {user: http-kv}\n"
        "steps:\n  - {at: 4s, fault: kill, target: primary, for: 2s}\n"
        f"metastability: {block}\nthresholds: [metastable == 0]\n"
    )
    text += f"run_for: {run_for}\n" if run_for else ""
    (folder / "compose.yaml").write_text(
        "services:\n  a:\n    command: x\n    labels:\n      chaoskit.role: primary\n"
        "      chaoskit.endpoint: http://:80\n"
    )
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_a_run_lasts_as_long_as_it_takes_to_tell(tmp_path):
    found = load_experiment(written(tmp_path, "{grace: 1s, after: 4s, shed: {for: 3s}}"))
    assert found.run_for_s == 4 + 2 + 5 + 1 + 4 + 3 + 5
    assert found.metastability.shed.to == 0.5


def test_a_run_that_is_too_short_is_refused_at_its_place(tmp_path):
    path = written(tmp_path, "{grace: 1s, after: 4s, shed: {for: 3s}}", run_for="12s")
    with pytest.raises(BadInput, match=r"some.yaml:\d+:\d+: run_for: must reach 19s"):
        load_experiment(path)
    assert load_experiment(written(tmp_path, "{grace: 1s, after: 4s}", run_for="16s"))


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("{shed: {to: 100%}}", "between 0% and 100%"),
        ("{shed: {to: 0%}}", "between 0% and 100%"),
        ("{after: 0s}", "after"),
        ("{below: 200%}", "below"),
        ("{shed: {until: 3s}}", "until"),
    ],
)
def test_bad_terms_are_refused(tmp_path, block, sentence):
    with pytest.raises(BadInput, match=sentence):
        load_experiment(written(tmp_path, block))


def test_a_step_that_owes_no_bite_is_not_waited_for(bench):
    bench.fault(healed_s=10)
    approval = FaultRecord(
        1, "approve", "primary", ("b",), 1, 2, 3, None, None, None, None, must_bite=False
    )
    bench.faults.append(approval)
    bench.look(at_s=15)
    assert [command["do"] for command in bench.told] == ["shed"]


KILL = "{at: 4s, fault: kill, target: primary, for: 2s}"


@pytest.mark.parametrize(
    ("steps", "place", "fault"),
    [
        (["{at: 4s, fault: kill, target: primary}"], "7:5", "kill"),
        ([KILL, "{when: served again, fault: pause, target: a, optional: true}"], "8:5", "pause"),
        (["{at: 4s, choose: [{fault: kill, target: a}, {fault: kill, target: a, for: 1s}]}"],
         "7:23", "kill"),
        ([KILL, "{at: 7s, fault: crash-loop, target: a, times: 2}"], "8:5", "crash-loop"),
    ],
)  # fmt: skip
def test_a_load_that_would_never_be_shed_is_refused_where_the_step_stands(
    tmp_path, steps, place, fault
):
    path = written(tmp_path, "{grace: 1s, after: 4s, shed: {for: 3s}}")
    listed = "".join(f"  - {step}\n" for step in steps)
    path.write_text(path.read_text().replace(f"  - {KILL}\n", listed))
    with pytest.raises(BadInput) as said:
        load_experiment(path)
    assert str(said.value).startswith(f"{path}:{place}: 'for' is missing: without it {fault} is")
    path.write_text(path.read_text().replace(", shed: {for: 3s}", ""))
    assert load_experiment(path), "without 'shed' it is no matter"


@pytest.mark.parametrize(
    "step",
    ["{at: 5s, fault: noop}", "{at: 7s, fault: restart, target: a, down: 500ms}"],
)
def test_steps_that_do_not_bite_or_end_by_themselves_need_no_for(tmp_path, step):
    path = written(tmp_path, "{grace: 1s, after: 4s, shed: {for: 3s}}")
    path.write_text(path.read_text().replace(f"  - {KILL}\n", f"  - {KILL}\n  - {step}\n"))
    assert len(load_experiment(path).steps) == 2
