"""The command line: what it says, where it says it, and with which code it ends."""

import json
import re
from pathlib import Path

import pytest
from support import chaoskit

ROOT = Path(__file__).resolve().parents[2]
GOOD = ROOT / "experiments" / "active-passive-kill.yaml"


def bad(tmp_path):
    text = GOOD.read_text("utf-8").replace("../compose", str(ROOT / "compose"))
    text = text.replace("fault: kill", "fault: kil").replace("rate: 200/s", "rte: 200/s")
    text = text.replace("client_outage < 2s", "client_outge < 2s")
    path = tmp_path / "active-passive-kill.yaml"
    path.write_text(text, "utf-8")
    return path


def test_every_problem_of_a_file_is_said_at_once_with_its_place_and_nothing_is_started(tmp_path):
    path = bad(tmp_path)
    for command in (["validate"], ["run", "--out", tmp_path / "out"]):
        ran = chaoskit(*command, path)
        assert ran.code == 2
        places = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): (.+)$", ran.err, re.MULTILINE)
        assert len(places) == 3, ran.err
        assert [int(line) for line, _, _ in places] == sorted(int(line) for line, _, _ in places)
        for word in ("kill", "rate", "client_outage"):
            assert f"did you mean '{word}'" in ran.err
        assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_problems_can_be_read_by_machines(tmp_path):
    path = bad(tmp_path)
    rows = json.loads(chaoskit("validate", "--format", "json", path).out)
    assert {row["file"] for row in rows} == {str(path)}
    assert all(row["line"] and row["column"] and row["sentence"] for row in rows)
    marks = chaoskit("validate", "--format", "github", path).out.splitlines()
    assert all(re.match(r"::error file=.+,line=\d+,col=\d+::", mark) for mark in marks)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["judge", "nowhere"], "nowhere"),
        (["rum"], "run"),
        (["run", GOOD, "--set", "load.rate"], "path=value"),
        (["run", GOOD, "--set", "load.rte=50/s"], "did you mean 'rate'"),
        (["run", GOOD, "--trials", "0"], "neither a number from 1 to 1000 nor 'auto'"),
        (["validate", ""], "the name of the file is empty"),
        (["plan", GOOD, "--cell", "3"], "the experiment has no matrix"),
        (["judge", GOOD], "is a file; name the folder of a stored run"),
        (["explain", "kil"], "did you mean 'kill'?"),
        (["list", "fault"], "faults"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_code_2(argv, said, tmp_path):
    ran = chaoskit(*argv)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_an_unforeseen_error_is_4_never_1(tmp_path):
    broken = "import chaoskit.registry as r; r.names = lambda g: 1 / 0; "
    import subprocess
    import sys

    code = broken + "from chaoskit.cli import main; main(['list', 'faults'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_bare_command_shows_a_few_commands_and_not_a_wall():
    ran = chaoskit()
    assert ran.code == 0
    assert 5 <= len(ran.out.strip().splitlines()) <= 10
    assert "chaoskit run" in ran.out


def test_the_schema_is_printed_and_can_be_written(tmp_path):
    path = tmp_path / "deep" / "schema.json"
    assert chaoskit("schema", "-o", path).code == 0
    assert json.loads(path.read_text("utf-8")) == json.loads(chaoskit("schema").out)
