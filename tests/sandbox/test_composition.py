"""Steps that wait, a matrix, the lever: as a user runs them, in the sandbox lab."""

import json
import re
from pathlib import Path

import pytest
from support import Running, chaoskit

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
NS = 1_000_000_000


def faults(ran):
    return ran.trial()["faults"]


def test_a_candidate_is_struck_while_it_takes_over(run_until_valid):
    file = ROOT / "experiments" / "active-passive-kill-during-promotion.yaml"
    ran = run_until_valid(file, "--lab", "sandbox")
    assert ran.code == 0, ran.err
    first, second = faults(ran)
    assert (first["fault"], second["fault"]) == ("partition", "kill")
    assert {first["node"], second["node"]} == {"node-a", "node-b"}
    # 150 ms after the first bad request, which comes within a request's interval of the cut and
    # after the way of the news: above the delay, and well below any detector that is due.
    later_ms = (second["commanded_ns"] - first["commanded_ns"]) / 1e6
    assert 150 <= later_ms < 400, later_ms
    assert ran.trial()["metrics"]["lost_writes"]["count"] == 0


def test_what_a_step_waits_for_and_does_not_come_makes_the_trial_invalid(experiment, tmp_path):
    steps = (
        "[{at: 3s, fault: noop, for: 1s}, "
        "{when: role backup -> primary, within: 1s, fault: noop, for: 1s%s}]"
    )
    file = experiment(steps=steps % "", run_for="6s", thresholds="[lost_writes == 0]")
    ran = chaoskit("run", file, "--lab", "sandbox", "--trials", 1, out=tmp_path / "out")
    assert ran.code == 3
    reasons = [r for t in ran.result["trials"] for r in t["invalid_because"]]
    assert any("step 2 waited for 'role backup -> primary'" in reason for reason in reasons)
    file = experiment(
        steps=steps % ", optional: true", run_for="6s", thresholds="[lost_writes == 0]"
    )
    ran = chaoskit("run", file, "--lab", "sandbox", "--trials", 1, out=tmp_path / "optional")
    trial = ran.trial()
    assert not any("waited for" in reason for reason in trial["invalid_because"])
    assert any("waited for" in note for note in trial["notes"])


LADDER = "active-passive-pause-ladder.yaml"


def test_a_short_ladder_never_below_always_above_in_one_table(tmp_path):
    out = tmp_path / "out"
    cells = [arg for cell in ("0.25x", "0.5x", "2x") for arg in ("--cell", f"pause={cell}")]
    for attempt in range(3):
        chaoskit(
            "run", ROOT / "experiments" / LADDER, "--lab", "sandbox", "--trials", 1, *cells,
            out=out / str(attempt),
        )  # fmt: skip
        folder = out / str(attempt) / LADDER.removesuffix(".yaml") / "latest"
        table = json.loads((folder / "matrix.json").read_text("utf-8"))
        if all(cell["failed_over"]["n"] for cell in table["cells"]):
            break
    shares = [cell["failed_over"] for cell in table["cells"]]
    assert [share["k"] / share["n"] for share in shares] == [0, 0, 1]
    assert table["left_out"] == 5
    assert (table["verdict"], table["exit_code"]) == ("PASS", 0), table["sentence"]
    page = (folder / "matrix.html").read_text("utf-8")
    assert page.count("<circle") >= 3
    for cell in table["cells"]:
        run = json.loads((folder / cell["folder"] / "run.json").read_text("utf-8"))
        assert run["cell"] == cell["at"]
        assert re.fullmatch(r"[0-9a-f]{64}", run["plan"])
    again = chaoskit("judge", folder)
    assert again.code == 0, again.err
    assert json.loads((folder / "matrix.json").read_text("utf-8")) == table


def test_the_lever_ends_a_run_as_aborted_with_everything_healed(experiment, tmp_path):
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    file = experiment(steps="[{at: 3s, fault: pause, target: primary, for: 60s}]", run_for="70s")
    run = Running(file, "--lab", "sandbox", "--trials", 1, out=tmp_path / "out", env=env)
    run.wait_for("pause -> node-a")
    pulled = chaoskit("halt", "on", "fire", env=env)
    assert pulled.code == 0, pulled.err
    assert "no fault is on" in pulled.out
    assert run.finish(within_s=30) == 4
    (folder,) = [p for p in (tmp_path / "out" / "short").iterdir() if not p.is_symlink()]
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["verdict"] == "ABORTED"
    assert "on fire" in result["ending"]
    assert chaoskit("heal", env=env).out.strip() == "nothing to heal"
