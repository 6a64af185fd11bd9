"""Loading an experiment: what comes out of a good file, and every problem of a bad one."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from chaoskit.errors import BadInput
from chaoskit.experiment.loader import load_experiment, source_line
from chaoskit.load.config import MOST_CLIENTS

SHIPPED = sorted((Path(__file__).resolve().parents[3] / "experiments").glob("*.yaml"))


# ---------------------------------------------------------------- a good file


def test_a_file_may_ask_for_as_many_clients_as_the_load_takes_and_no_more(files):
    assert files.with_change("200/s", f"200/s\n  clients: {MOST_CLIENTS}").load.clients == 100
    problems = files.problems("200/s", f"200/s\n  clients: {MOST_CLIENTS + 1}")
    assert problems == [f"12:12: load.clients: must be at most {MOST_CLIENTS}"]


def test_a_good_file_becomes_frozen_data(files):
    found = files.load()
    assert (found.name, found.seed, found.max_targets, found.run_for_s) == ("good", 7, 2, 12.0)
    assert (found.load.rate, found.load.read_rate(), found.load.deadline_s) == (200, 200, 0.1)
    kill, cut = found.steps
    assert (kill.at_s, kill.for_s, kill.target, kill.fault.kind, kill.line) == (
        3,
        4,
        ("primary",),
        "kill",
        17,
    )
    assert (cut.target, cut.fault.model_dump(by_alias=True)["from"]) == (
        ("node-b", "not primary"),
        ("client",),
    )
    assert [t.text for t in found.thresholds] == [
        "failover_time < 5s",
        "latency.p99@recovered < 2 x baseline",
        "P(failover_time > 5s) <= 10%",
        "dropped_requests <= 2%",
    ]
    assert [t.line for t in found.thresholds] == [26, 27, 28, 29]
    assert found.thresholds[3].because == "SLO-114"
    with pytest.raises(ValidationError):
        found.name = "other"


def test_an_experiment_remembers_where_it_came_from(files, good_text):
    found = files.load(load__rate="50/s")
    assert (found.path, found.source, found.overrides) == (
        files.path,
        good_text,
        {"load.rate": "50/s"},
    )


def test_a_step_prints_as_one_phrase(files):
    kill, cut = files.load().steps
    assert str(kill) == "3s: kill primary for 4s"
    assert str(cut) == "9s: partition node-b, not primary from=client action=reject for 500ms"


def test_what_is_not_said_follows_the_defaults(files):
    found = files.load(
        "chaoskit: 1\nname: good\nquestion: Why?\nstack: compose.yaml\nload: {user: http-kv}\n"
        "steps: [{at: 3s, fault: kill, target: any, for: 4s}]\nthresholds: [lost_writes == 0]\n"
    )
    load = found.load
    assert (load.rate, load.new_connections, load.deadline_s, load.timeout_s, load.warmup_s) == (
        200,
        0.1,
        0.1,
        0.2,
        1,
    )
    assert (found.probes.every_s, found.run_for_s, found.profile, found.repeat.vary) == (
        0.05,
        12,
        "smoke",
        ("at",),
    )
    assert found.gates.baseline_s == 3


@pytest.mark.parametrize(
    ("profile", "trials"), [("smoke", 3), ("pr", 10), ("nightly", 30), ("certificate", 59)]
)
def test_the_profile_says_how_many_trials_unless_the_file_does(files, profile, trials):
    text = files.load().source.replace("profile: smoke", f"profile: {profile}")
    assert files.load(text).repeat.trials == 3
    assert files.load(text.replace("trials: 3, ", "")).repeat.trials == trials


def test_a_timeout_that_is_not_said_is_never_below_the_deadline(files):
    found = files.with_change("  deadline: 100ms\n  timeout: 200ms\n", "  deadline: 1s\n")
    assert found.load.timeout_s == 1


def test_noop_needs_no_target_and_a_real_fault_does(files):
    found = files.with_change(
        "{at: 3s, fault: kill, target: primary, for: 4s, signal: SIGKILL}", "{at: 3s, fault: noop}"
    )
    assert found.steps[0].target == ()
    assert files.problems("target: primary, for: 4s, signal", "for: 4s, signal") == [
        "17:5: 'target' is missing: whom kill strikes, e.g. primary"
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_experiment_that_ships_is_good(path):
    assert load_experiment(path).name == path.stem


def test_a_locustfile_is_found_beside_the_experiment_and_is_not_run(files):
    line = "  warmup: 1s\n  options: {locustfile: mine.py}\n"
    assert "there is no file" in files.problems("  warmup: 1s\n", line)[0]
    (files.path.parent / "mine.py").write_text("raise SystemExit('ran')")
    found = files.with_change("  warmup: 1s\n", line)
    assert found.load.options["locustfile"] == str(files.path.parent / "mine.py")


# ---------------------------------------------------------------- one thing wrong

WRONG = [
    ("chaoskit: 1", "chaoskit: 2", "2:11: chaoskit: must be 1, not '2'"),
    ("chaoskit: 1", "chaoskit: true", "2:11: chaoskit: must be a whole number"),
    ("name: good", "name: other", "3:7: name: must be the file's name without its ending, 'good'"),
    (
        "name: good",
        "name: ../../etc",
        "3:7: name: '../../etc' must be made of small letters, digits and dashes, at most 63",
    ),
    ("name: good", "name: 3", "3:7: name: must be a text; put quotes around '3'"),
    ("profile: smoke", "profil: smoke", "7:1: unknown key 'profil'; did you mean 'profile'?"),
    (
        "rate: 200/s",
        "rate: 200",
        "11:9: load.rate: a rate needs a unit of time; write '200/s' or '200/min'",
    ),
    ("rate: 200/s", "rate: 20000/s", "11:9: load.rate: must be more than 0 and at most 10000/s"),
    ("rate: 200/s", "rate: 0", "11:9: load.rate: must be more than 0 and at most 10000/s"),
    (
        "rate: 200/s",
        "rate: 5/s\n  clients: 8",
        (
            "12:12: load.clients: 8 clients share 5 requests a second; "
            "each has to be due at least once a second for its outages to be seen"
        ),
    ),
    (
        "rate: 200/s",
        "rate: 200/s\n  clients: 0",
        "12:12: load.clients: must be at least 1",
    ),
    (
        "user: http-kv",
        "user: http-vk",
        "10:9: load.user: no load 'http-vk' is installed; did you mean 'http-kv'?",
    ),
    (
        "timeout: 200ms",
        "timeout: 50ms",
        "14:12: load.timeout: 50ms is shorter than the deadline of 100ms; an answer could never be late",
    ),
    (
        "timeout: 200ms",
        "timout: 200ms",
        "14:3: unknown key 'timout' in load; did you mean 'timeout'?",
    ),
    ("at: 3s,", "at: 3,", "17:10: at: a duration needs a unit; write '3s' or '3ms'"),
    ("at: 3s,", "at: -3s,", "17:10: at: a duration cannot be negative: '-3s'"),
    ("for: 4s,", "for: 0,", "17:49: for: must be longer than 0"),
    ("fault: kill", "fault: kil", "17:21: unknown fault 'kil'; did you mean 'kill'?"),
    ("fault: kill", "falt: kill", "17:5: 'fault' is missing; is 'falt' meant?"),
    (
        "signal: SIGKILL",
        "signal: SIGNOPE",
        "17:61: signal: unknown signal 'SIGNOPE'; write a name such as SIGKILL or SIGTERM",
    ),
    (
        "signal: SIGKILL",
        "sgnal: SIGKILL",
        "17:53: unknown key 'sgnal' for fault kill; did you mean 'signal'?",
    ),
    (
        "signal: SIGKILL",
        "tagret: x",
        "17:53: unknown key 'tagret' for fault kill; did you mean 'target'?",
    ),
    (
        "target: primary",
        "target: primry",
        "17:35: target: nothing in the stack is called 'primry'; did you mean 'primary'?",
    ),
    (
        "target: primary",
        "target: service:nod-a",
        "17:35: target: no service 'nod-a' in the stack; did you mean 'node-a'?",
    ),
    (
        "target: primary",
        "target: witness",
        "17:35: target: no service of the stack can be witness: its roles are backup and primary (label chaoskit.role)",
    ),
    (
        "target: primary",
        "target: client",
        "17:35: target: client is the lab's own node; kill cannot strike it",
    ),
    (
        "target: primary",
        "target: not all",
        "17:35: target: 'not all' is nobody in particular; write e.g. not primary",
    ),
    (
        '"not primary"',
        '"not nod-a"',
        "20:22: target: nothing in the stack is called 'nod-a'; did you mean 'node-a'?",
    ),
    (
        "from: [client]",
        "from: [clint]",
        "21:12: from: nothing in the stack is called 'clint'; did you mean 'client'?",
    ),
    (
        "action: reject",
        "action: rejet",
        "22:13: action: must be 'drop', 'reject' or 'unreachable', not 'rejet'; did you mean 'reject'?",
    ),
    (
        "run_for: 12s",
        "run_for: 9500ms",
        "24:10: run_for: must reach past the end of every step; the one in line 18 ends at 9.5s",
    ),
    ("run_for: 12s", "run_for: 25h", "24:10: run_for: must be at most 1d"),
    (
        "- failover_time < 5s",
        "- failover_time < 5",
        "26:21: a duration needs a unit; write '5s' or '5ms'",
    ),
    (
        "- failover_time < 5s",
        "- 'failover_tim < 5s'",
        "26:6: unknown metric 'failover_tim'; did you mean 'failover_time'?",
    ),
    (
        "- failover_time < 5s",
        "- failover_time@outage < 5s",
        "26:18: failover_time takes no @phase; dropped_requests, error_rate, availability or latency do",
    ),
    ("- failover_time < 5s", "- [x]", "26:5: a threshold is a text like failover_time < 5s"),
    (
        "target: primary",
        "target: {role: primary}",
        "17:35: target: must be a name or a list of names, not a mapping",
    ),
    ("target: primary", "target: 7", "17:35: target: must be a name or a list of names, not '7'"),
    ("max: 2%", "max: fast", "29:37: 'fast' is not a value; write e.g. 0 or 2%"),
    ("max: 2%", "mox: 2%", "29:32: unknown key 'mox'; did you mean 'max'?"),
    ("trials: 3", "trials: 0", "30:18: repeat.trials: must be at least 1"),
    ("trials: 3", "trials: 2.5", "30:18: repeat.trials: must be a whole number, not '2.5'"),
    ("vary: [at]", "vary: [to]", "30:28: repeat.vary.0: must be 'at', not 'to'"),
    ("seed: 7", "seed: .nan", "31:7: '.nan' is not a number that can be used"),
    ("seed: 7", "seed: -1", "31:7: seed: must be at least 0"),
    (
        "probes: {every: 50ms}",
        "probes: {every: 1ms}",
        "8:17: probes.every: must be between 5ms and 1m",
    ),
    (
        "probes: {every: 50ms}",
        "probes: 50ms",
        "8:9: probes: must be a mapping of keys to values, not '50ms'",
    ),
    ("tags: [failover, smoke]", "tags: failover", "5:7: tags: must be a list, not 'failover'"),
    (
        "question: When the primary is killed, are clients served again?",
        "question: ''",
        "4:11: question: must have at least 1 character",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[f"{new} " for _, new, _ in WRONG])
def test_a_mistake_is_said_at_its_place(files, old, new, said):
    found = files.problems(old, new)
    assert said in found
    # One mistake, one or (a wrong key that was required) two sentences.
    assert len(found) <= 2


@pytest.mark.parametrize(
    "key", ["chaoskit", "name", "question", "stack", "load", "steps", "thresholds"]
)
def test_a_missing_key_is_named(files, good_text, key):
    lines, skipping = [], False
    for line in good_text.splitlines():
        skipping = line.startswith(key + ":") or (skipping and line.startswith(" "))
        lines += [] if skipping else [line]
    with pytest.raises(BadInput, match=f"'{key}' is missing"):
        files.load("\n".join(lines))


def test_an_empty_list_of_steps_or_thresholds_is_refused(files, good_text):
    head = good_text[: good_text.index("steps:")]
    with pytest.raises(BadInput) as said:
        files.load(head + "steps: []\nthresholds: []\n")
    assert [p.sentence for p in said.value.problems] == [
        "steps: must have at least 1 entry",
        "thresholds: must have at least 1 entry",
    ]


def test_no_sentence_speaks_pydantic(files):
    for old, new, _ in WRONG:
        for said in files.problems(old, new):
            assert not any(
                word in said for word in ("Input should", "Value error", "pydantic", "ctx", "type=")
            ), said


def test_all_problems_of_a_file_and_of_its_stack_come_at_once_and_in_order(files, good_text):
    files.compose.write_text("services:\n  node-a:\n    comand: x\n    image: y\n")
    text = good_text
    for old, new in (
        ("rate: 200/s", "rate: 5"),
        ("kill", "kil"),
        ("seed: 7", "seed: x"),
        ("failover_time < 5s\n", "failover < 5s\n"),
        ("name: good", "name: bad"),
    ):
        text = (
            text.replace(old, new, 1)
            if old != "kill"
            else text.replace("fault: kill", "fault: kil")
        )
    with pytest.raises(BadInput) as said:
        files.load(text)
    found = [(Path(p.file).name, p.line) for p in said.value.problems]
    assert found == [("compose.yaml", 3), *(("good.yaml", n) for n in (3, 11, 17, 26, 31))]


def test_the_stack_file_must_be_there(files):
    assert "there is no file" in files.problems("stack: compose.yaml", "stack: compos.yaml")[0]


def test_a_folder_as_stack_names_the_file_in_it(files):
    assert "did you mean" in files.problems("stack: compose.yaml", "stack: .")[0]


def test_a_stack_that_nobody_can_connect_to_is_refused(files):
    files.compose.write_text(
        "services:\n  node-a: {command: [x], labels: {chaoskit.role: primary}}\n  node-b: {command: [x], labels: {chaoskit.role: backup}}\n"
    )
    with pytest.raises(BadInput, match="no service says where clients connect"):
        files.load()


def test_a_bad_label_of_the_stack_is_reported_with_the_experiment(files):
    files.compose.write_text(files.compose.read_text().replace("misses=3", "miss=3"))
    with pytest.raises(
        BadInput, match=r"compose\.yaml:8:26: chaoskit\.detector of node-a: unknown key 'miss'"
    ):
        files.load()


@pytest.mark.parametrize("text", ["[]", "- a", "x", "3"])
def test_a_file_that_is_no_mapping_is_refused(files, text):
    with pytest.raises(BadInput, match="a mapping of keys"):
        files.load(text)


def test_a_missing_file_is_one_problem(tmp_path):
    with pytest.raises(BadInput, match=r"none\.yaml:1:1: cannot be read: No such file"):
        load_experiment(tmp_path / "none.yaml")


def test_the_line_of_a_problem_can_be_shown(files):
    assert source_line(files.path, 3) == "name: good"
    assert source_line(files.path, 999) is None


# ---------------------------------------------------------------- start-up


def test_loading_an_experiment_imports_nothing_heavy(files):
    code = (
        "import sys; from pathlib import Path\nfrom chaoskit.experiment.loader import load_experiment\n"
        f"load_experiment(Path({str(files.path)!r}))\n"
        "print(sorted({'numpy', 'pandas', 'docker', 'locust', 'gevent', 'requests', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
