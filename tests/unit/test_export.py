"""``chaoskit export``: what is written is the whole history, and others can read it."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from chaoskit.cli import cli
from chaoskit.history import edn
from chaoskit.history.frames import COLUMNS
from chaoskit.history.reader import read_trial
from chaoskit.history.records import Flag, Op, Outcome
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.measure.wgl import NEVER, Budget, Decision, RegisterOp, decide

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example"
BOTH = (("write", "write", "kept"), ("read", "read", "kept"))


def call(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two trials: one that lost requests in silence, one that was refused some."""
    folder = tmp_path_factory.mktemp("runs") / "some" / "20260101T000000Z-1"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE / "run.json", folder / "run.json")
    for n, style in enumerate(("drop", "refuse"), start=1):
        scenario = Scenario(style, streams=BOTH, registers=3, seed=n)
        store(folder / "trials" / f"{n:02d}", simulate(scenario)[0])
    (folder.parent / "latest").symlink_to(folder.name)
    return folder


def exported(run, form, out):
    done = call("export", run, "--format", form, "-o", out)
    assert done.exit_code == 0, done.output
    files = [Path(line) for line in done.output.split()]
    assert files
    assert all(path.is_file() for path in files)
    return files


# ---------------------------------------------------------------- tables


def rows_of(path):
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


def record_of(row, history):
    """A row back as the record it came from."""

    def number(name):
        return int(row[name]) if row[name] not in ("", None) else 0

    flags = [Flag[name.upper()] for name in row["flags"].split("|") if name]
    streams = [stream.name for stream in history.streams]
    return {
        **{n: number(n) for n in ("due_ns", "sent_ns", "done_ns", "token", "seen", "key", "epoch", "attempt")},
        "op": Op[row["op"].upper()],
        "outcome": Outcome[row["outcome"].upper()],
        "stream": streams.index(row["stream"]),
        "server": history.servers.index(row["server"]),
        "client": history.clients.index(row["client"]),
        "error": history.errors.index(row["error"]),
        "flags": sum(map(int, flags)),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_is_the_whole_record_and_can_be_read_back(run, form, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    files = exported(run, form, tmp_path)
    assert [path.name for path in files] == [f"requests-0{n}.{form}" for n in (1, 2)]
    for n, path in enumerate(files, start=1):
        history = read_trial(run / "trials" / f"{n:02d}")
        rows = rows_of(path)
        assert tuple(rows[0]) == COLUMNS
        assert {int(row["trial"]) for row in rows} == {n}
        found = [record_of(row, history) for row in rows]
        dues = [record["due_ns"] for record in found]
        assert dues == sorted(dues)
        names = [n for n in history.requests.dtype.names if n != "spare"]
        told = sorted(tuple(int(record[name]) for name in names) for record in found)
        stored = sorted(tuple(int(row[name]) for name in names) for row in history.requests)
        assert told == stored


def test_what_was_not_sent_has_no_times(tmp_path, run):
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / "trials" / "01" / "requests.npy"
    requests = np.load(path)
    requests["outcome"][7], requests["sent_ns"][7], requests["done_ns"][7] = Outcome.NOT_SENT, 0, 0
    np.save(path, requests)
    rows = rows_of(exported(folder, "csv", tmp_path / "out")[0])
    (row,) = [r for r in rows if r["outcome"] == "not_sent"]
    assert (row["sent_ns"], row["done_ns"]) == ("", "")
    assert int(row["due_ns"]) == requests["due_ns"][7]


def test_parquet_is_refused_where_its_library_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = call("export", run, "--format", "parquet", "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "chaoskit[parquet]" in done.output
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- Jepsen's histories


LINE = re.compile(
    r"\{:index (\d+), :time (-?\d+), :type :(invoke|ok|fail|info), :process (:?\w+), "
    r":f :([\w-]+), :value (.*?)(?:, :error (\"(?:[^\"\\]|\\.)*\"))?\}"
)


def parsed(path):
    found = []
    for n, line in enumerate(path.read_text("utf-8").splitlines()):
        match = LINE.fullmatch(line)
        assert match, line
        assert int(match[1]) == n
        found.append((int(match[2]), match[3], match[4], match[5], match[6]))
    return found


def well_formed(entries):
    """Times rise; a process does one thing at a time, and none after it lost track."""
    times = [entry[0] for entry in entries]
    assert times == sorted(times)
    under_way, gone = {}, set()
    for time, kind, process, f, value in entries:
        if process == ":nemesis":
            assert kind == "info"
            continue
        assert process not in gone
        if kind == "invoke":
            assert process not in under_way
            under_way[process] = (time, f, value)
        else:
            assert under_way.pop(process)[1] == f
            if kind == "info":
                gone.add(process)
    assert not under_way
    return gone


def test_processes_do_one_thing_at_a_time_and_are_gone_when_they_lose_track(run, tmp_path):
    files = exported(run, "edn", tmp_path)
    lost = {path.relative_to(tmp_path): well_formed(parsed(path)) for path in files}
    assert lost[Path("01/registers.edn")]  # requests dropped in silence
    assert not lost[Path("02/registers.edn")]  # every one refused
    kinds = {entry[1] for entry in parsed(tmp_path / "02" / "registers.edn")}
    assert kinds == {"invoke", "ok", "fail", "info"}  # info: the nemesis alone


def told(entries, split):
    """Operations of a history as a checker of registers understands them."""
    begun, found = {}, []
    for time, kind, process, f, value in entries:
        if process == ":nemesis":
            continue
        if kind == "invoke":
            begun[process] = time
            continue
        key, number = split(value)
        if kind == "fail" or (kind == "info" and f == "read"):
            continue
        end = time if kind == "ok" else NEVER
        found.append((key, RegisterOp(begun[process], end, f == "write", number)))
    return found


def pair(value):
    key, number = value.strip("[]").split()
    return int(key), 0 if number == "nil" else int(number)


def stored_ops(history):
    zero, found = history.window.load_start_ns, []
    for row in history.requests:
        write = row["op"] == Op.PUT
        answered = row["outcome"] in (Outcome.OK, Outcome.OK_LATE)
        if not row["key"] or not (answered or (write and row["outcome"] == Outcome.AMBIGUOUS)):
            continue
        op = RegisterOp(
            int(row["sent_ns"]) - zero, int(row["done_ns"]) - zero if answered else NEVER,
            bool(write), int(row["token"] if write else row["seen"]),
        )  # fmt: skip
        found.append((int(row["key"]), op))
    return found


def order(pair):
    key, op = pair
    return key, op.begun, op.ended, op.write, op.value


def test_registers_are_told_completely_and_a_checker_agrees(run, tmp_path):
    exported(run, "edn", tmp_path)
    for n in (1, 2):
        history = read_trial(run / "trials" / f"{n:02d}")
        found = told(parsed(tmp_path / f"{n:02d}" / "registers.edn"), pair)
        assert sorted(found, key=order) == sorted(stored_ops(history), key=order)
        for key in (1, 2, 3):
            ops = [op for k, op in found if k == key]
            assert decide(ops, 0, Budget(10**6)) is Decision.OK
            alone = parsed(tmp_path / f"{n:02d}" / "registers" / f"{key}.edn")
            well_formed(alone)
            single = told(alone, lambda v: (0, 0 if v == "nil" else int(v)))
            assert sorted(map(order, single)) == sorted(order((0, op)) for op in ops)


def test_transactions_say_the_same_for_elle(run, tmp_path):
    exported(run, "edn", tmp_path)
    registers = [e for e in parsed(tmp_path / "01" / "registers.edn") if e[2] != ":nemesis"]
    steps = parsed(tmp_path / "01" / "registers-txn.edn")
    well_formed(steps)
    assert len(steps) == len(registers)
    for (time, kind, process, f, value), (*same, txn, step) in zip(registers, steps, strict=True):
        assert (same, txn) == ([time, kind, process], "txn")
        assert step == f"[[:{'w' if f == 'write' else 'r'} {value.strip('[]')}]]"


def test_the_log_is_a_set_with_a_last_read(run, tmp_path):
    exported(run, "edn", tmp_path)
    history = read_trial(run / "trials" / "01")
    entries = [e for e in parsed(tmp_path / "01" / "log.edn") if e[2] != ":nemesis"]
    adds = {int(e[4]) for e in entries if e[3] == "add" and e[1] == "ok"}
    read = [int(token) for token in entries[-1][4].strip("[]").split()]
    assert entries[-1][1:4:2] == ("ok", "read")
    assert read == history.finals["frontdoor"].tokens.tolist()
    assert adds <= set(read)  # nothing was lost in this trial


def test_faults_are_the_nemesis(run, tmp_path):
    exported(run, "edn", tmp_path)
    entries = parsed(tmp_path / "01" / "registers.edn")
    found = [(e[3], e[4]) for e in entries if e[2] == ":nemesis"]
    assert found == [("start-kill", '"node-a"')] * 2 + [("stop-kill", '"node-a"')] * 2


def test_a_message_with_quotes_stays_one_string():
    entry = edn.Entry(1, "fail", 0, "write", 1, 2, 'said "no"\nand left \\ ü')
    (line,) = edn.lines([entry], edn.keyed)
    assert line.count("\n") == 1
    assert r'"said \"no\"\nand left \\ ü"' in line


# ---------------------------------------------------------------- folders


def test_an_experiments_folder_stands_for_its_newest_run(run, tmp_path):
    by_parent = exported(run.parent, "csv", tmp_path / "a")
    by_link = exported(run.parent / "latest", "csv", tmp_path / "b")
    direct = exported(run, "csv", tmp_path / "c")
    contents = {tuple(p.read_bytes() for p in files) for files in (by_parent, by_link, direct)}
    assert len(contents) == 1


def test_without_a_folder_it_goes_into_the_run(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    done = call("export", folder, "--format", "csv")
    assert done.exit_code == 0
    assert (folder / "export" / "requests-01.csv").is_file()


@pytest.mark.parametrize("what", ["nothing", "empty", "file"])
def test_what_is_no_run_is_refused_in_one_sentence(tmp_path, what):
    path = tmp_path / what
    if what == "empty":
        path.mkdir()
    elif what == "file":
        path.write_text("x", encoding="utf-8")
    done = call("export", path)
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert "no stored run" in done.output


def test_a_folder_that_cannot_be_written_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    done = call("export", run, "-o", tmp_path / "file" / "out")
    assert done.exit_code == 2
    assert done.output.startswith("cannot write to")


def cut_short(trial):
    marks = trial / "marks.jsonl"
    lines = [line for line in marks.read_text("utf-8").splitlines() if '"window"' not in line]
    marks.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_trials_that_were_cut_short_are_left_out(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    cut_short(folder / "trials" / "02")
    assert [p.name for p in exported(folder, "csv", tmp_path / "a")] == ["requests-01.csv"]
    cut_short(folder / "trials" / "01")
    done = call("export", folder, "-o", tmp_path / "b")
    assert done.exit_code == 2
    assert "no finished trial" in done.output
