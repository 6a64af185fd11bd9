"""``explain`` and ``doctor``: whatever is installed, by whomever."""

import json
import subprocess
import sys

import pytest
from support import chaoskit

from chaoskit import registry
from chaoskit.doctor import _faults
from chaoskit.errors import BadInput, Refused
from chaoskit.experiment.catalogue import METRICS
from chaoskit.experiment.steps import fault_class, read_step
from chaoskit.experiment.targets import wrong_kind
from chaoskit.explaining import explained
from chaoskit.halting import halted, lift, pull, refuse_if_halted
from chaoskit.lab.needs import FEATURES
from chaoskit.yaml_source import parse_yaml


@pytest.mark.parametrize("name", sorted(registry.names("chaoskit.faults")))
def test_every_fault_is_explained_with_keys_defaults_needs_undo_and_an_example(name):
    found = explained(f"fault:{name}")
    cls = fault_class(name)
    assert [key.name for key in found.keys] == [
        info.alias or field for field, info in cls.model_fields.items()
    ]
    assert all(key.required or key.default for key in found.keys)
    assert all(key.description for key in found.keys), "each field needs a description"
    assert found.needs == tuple(sorted(cls.needs))
    assert found.undo
    assert f"fault: {name}" in found.example
    problems = []
    step = read_step(parse_yaml(found.example, "example", problems), problems)
    assert not problems, "the example is a step as it stands"
    assert [wrong_kind(word, cls.strikes, name) for word in step.target] == [None] * len(
        step.target
    )


@pytest.mark.parametrize("group", ["loads", "probes", "labs"])
def test_everything_else_that_is_installed_says_what_it_is_without_being_run(group):
    for name in registry.names(f"chaoskit.{group}"):
        found = explained(f"{group.removesuffix('s')}:{name}")
        assert found.kind == group.removesuffix("s")
        assert len(found.what) > 10
        assert "see chaoskit" not in found.what


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_explained(name):
    assert explained(f"metric:{name}").what


def test_an_unknown_name_gets_a_hint_and_an_ambiguous_one_the_ways_out():
    with pytest.raises(BadInput, match="did you mean 'partition'"):
        explained("partiton")
    with pytest.raises(BadInput, match=r"explain load:.*|nothing"):
        explained("load:kill")
    with pytest.raises(BadInput, match=r"explain fault:latency or chaoskit explain metric:latency"):
        explained("latency")
    ran = chaoskit("explain", "nothing-like-it")
    assert (ran.code, "Traceback" in ran.err) == (2, False)


def test_explaining_imports_nothing_heavy():
    code = (
        "import sys; from chaoskit.explaining import explained; "
        "[explained(n) for n in ('load:http-kv', 'probe:http', 'lab:docker', 'kill')]; "
        "print([m for m in ('locust', 'gevent', 'docker', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_doctor_says_what_is_there_and_what_would_help():
    ran = chaoskit("doctor", "--json")
    told = json.loads(ran.out)
    assert ran.code == (0 if told["able"] else 4)
    labs = {c["area"]: c["ok"] for c in told["checks"] if c["name"].startswith("the ")}
    assert set(labs) == {"sandbox", "docker"}
    assert told["able"] is any(labs.values())
    assert all(check["said"] for check in told["checks"])


@pytest.mark.parametrize("lacks", [True, False])
def test_a_fault_whose_feature_the_kernel_lacks_is_not_called_possible(monkeypatch, lacks):
    assert "netem" in FEATURES
    monkeypatch.setattr(
        "chaoskit.doctor.feature", lambda name: "no" if lacks and name == "netem" else None
    )
    checks = {(c.name, c.ok): c.said for c in _faults("sandbox")}
    possible = checks["faults", True].split(", ")
    assert {"bandwidth", "loss"} <= set(possible)
    assert ("latency" in possible) is not lacks
    assert (checks.get(("fault latency", False)) == "needs netem, see above") is lacks


def test_what_is_listed_says_what_it_is_and_imports_no_fault():
    code = (
        "import sys; from click.testing import CliRunner; from chaoskit.cli import cli; "
        "print(CliRunner().invoke(cli, ['list', 'faults']).output); "
        "print([m for m in sys.modules if m.startswith('chaoskit.faults.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line and line[0] != "["}
    assert set(rows) == set(registry.names("chaoskit.faults"))
    assert all(len(line.split()) > 3 for line in rows.values() if " chaoskit " in line)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_doctor_exits_4_where_the_lab_that_is_asked_about_is_missing(tmp_path):
    ran = chaoskit("doctor", "--lab", "docker", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert ran.code == 4
    assert "MISSING the docker lab" in ran.out
    assert "none.sock" in ran.out
    remote = chaoskit("doctor", "--lab", "docker", env={"DOCKER_HOST": "tcp://192.0.2.1:2375"})
    assert remote.code == 4
    assert "Traceback" not in remote.err


# ---------------------------------------------------------------- the lever


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "chaoskit"


def test_the_lever_blocks_until_it_is_lifted_and_says_why(state):
    refuse_if_halted()
    pull("the database is on fire")
    assert halted() == "the database is on fire"
    with pytest.raises(Refused, match=r"on fire.*--lift"):
        refuse_if_halted()
    assert lift()
    assert not lift()
    refuse_if_halted()


@pytest.mark.parametrize("make", ["touch", "folder", "link"])
def test_whatever_is_called_halt_halts(state, make):
    state.mkdir()
    path = state / "HALT"
    if make == "touch":
        path.touch()
    elif make == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nowhere")
    assert halted()


def test_a_halted_machine_starts_nothing(state, tmp_path):
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    env = {"XDG_STATE_HOME": str(tmp_path)}
    assert chaoskit("halt", "for", "a", "test", env=env).code == 0
    out = tmp_path / "out"
    noop = root / "experiments" / "active-passive-noop.yaml"
    ran = chaoskit("run", noop, "--lab", "sandbox", out=out, env=env)
    assert ran.code == 2
    assert "for a test" in ran.err
    assert not out.exists()
    up = chaoskit("lab", "up", noop, "--lab", "sandbox", env=env)
    assert up.code == 2
    assert "for a test" in up.err
    assert chaoskit("halt", "--lift", env=env).code == 0
