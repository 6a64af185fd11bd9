"""A trial's folder, written and read back; and what hostile or torn files come to."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from chaoskit.errors import BadInput
from chaoskit.history.reader import read_trial
from chaoskit.history.records import REQUEST
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.history.writer import Marks, close_requests


@pytest.fixture
def trial(tmp_path):
    history, _ = simulate(Scenario(outage_s=0.1, baseline_s=0.2, after_s=0.2))
    store(tmp_path / "01", history)
    return tmp_path / "01", history


def test_what_was_written_is_read_back(trial):
    folder, written = trial
    found = read_trial(folder)
    assert np.array_equal(found.requests, written.requests)
    for name in ("streams", "errors", "servers", "clients", "observations", "faults", "window"):
        assert getattr(found, name) == getattr(written, name), name
    for name in ("nodes", "incidents", "poll_every_ns", "tick_lag_ns", "alive_at_end", "notes"):
        assert getattr(found, name) == getattr(written, name), name
    assert set(found.finals) == {"frontdoor", "node-a", "node-b"}
    assert np.array_equal(found.finals["node-a"].tokens, written.finals["node-a"].tokens)
    assert found.finals["node-a"].counts.dtype == np.uint64


def test_places_that_hold_the_same_are_held_once_and_what_differs_is_kept(trial):
    folder, _ = trial
    table = np.array([[7, 1], [8, 1], [9, 1]], dtype=np.uint64)
    twice, other = table.copy(), table.copy()
    twice[1, 1], other[2, 0] = 2, 10
    for place, rows in {"a": table, "b": table, "c": twice, "d": other}.items():
        np.save(folder / "final" / f"{place}.npy", rows)
    found = read_trial(folder).finals
    for place, rows in {"a": table, "b": table, "c": twice, "d": other}.items():
        assert found[place].tokens.tolist() == rows[:, 0].tolist(), place
        assert found[place].counts.tolist() == rows[:, 1].tolist(), place
        assert found[place].counts.dtype == np.uint64
    assert found["a"].tokens is found["b"].tokens is found["c"].tokens
    assert found["a"].tokens is not found["d"].tokens


def test_every_kind_of_mark_is_read_back(trial):
    folder, _ = trial
    with Marks(folder / "marks.jsonl") as marks:
        marks.incident("node-b was restarted by somebody else")
        marks.tick(7)
        marks.load(False)
        marks.note("kernel", "6.1")
    found = read_trial(folder)
    assert found.incidents == ("node-b was restarted by somebody else",)
    assert (found.tick_lag_ns, found.alive_at_end) == (7, False)
    assert found.notes == {"kernel": "6.1"}


def test_a_later_record_of_the_same_step_replaces_the_earlier(trial):
    folder, written = trial
    with Marks(folder / "marks.jsonl") as marks:
        marks.fault(type(written.faults[0])(**{**asdict(written.faults[0]), "problem": "x"}))
    found = read_trial(folder)
    assert [f.problem for f in found.faults] == ["x"]


def test_marks_are_on_disk_as_soon_as_they_are_made(tmp_path):
    marks = Marks(tmp_path / "new" / "marks.jsonl")
    marks.incident("now")
    assert json.loads((tmp_path / "new" / "marks.jsonl").read_text())["text"] == "now"
    marks.close()
    marks.close()


def test_a_torn_last_record_is_left_out_when_records_are_closed(tmp_path):
    raw, npy = tmp_path / "requests.raw", tmp_path / "requests.npy"
    raw.write_bytes(b"\1" * (3 * REQUEST.itemsize + 17))
    assert close_requests(raw, npy) == 3
    assert np.load(npy, allow_pickle=False).shape == (3,)
    assert np.load(npy, allow_pickle=False).dtype == REQUEST
    assert sorted(p.name for p in tmp_path.iterdir()) == ["requests.npy"]


def test_no_record_at_all_is_an_empty_history(tmp_path):
    (tmp_path / "requests.raw").write_bytes(b"")
    assert close_requests(tmp_path / "requests.raw", tmp_path / "requests.npy") == 0
    assert np.load(tmp_path / "requests.npy", allow_pickle=False).shape == (0,)


def test_records_that_nobody_closed_are_read_and_the_tear_is_noted(tmp_path):
    history, _ = simulate(Scenario(outage_s=0.1, baseline_s=0.2, after_s=0.2))
    store(tmp_path, history, closed=False)
    with (tmp_path / "requests.raw").open("ab") as file:
        file.write(b"torn")
    found = read_trial(tmp_path)
    assert np.array_equal(found.requests, history.requests)
    assert found.cut_short == "the last record of requests.raw was torn (4 bytes)"
    assert found.cut_short in found.notes["reading"]


def test_an_npy_file_cut_short_keeps_its_whole_records(trial):
    folder, written = trial
    path = folder / "requests.npy"
    path.write_bytes(path.read_bytes()[:-100])
    found = read_trial(folder)
    assert found.requests.size == written.requests.size - 2
    assert found.cut_short == found.notes["reading"][0]
    size = written.requests.size
    assert found.cut_short == f"requests.npy was cut short: {size - 2} of {size} records are there"
    assert (found.complete, written.complete) == (False, True)


@pytest.mark.parametrize("name", ["observations.jsonl", "marks.jsonl"])
def test_a_torn_last_line_is_left_out_and_noted(trial, name):
    folder, _ = trial
    with (folder / name).open("a") as file:
        file.write('{"kind": "incident", "te')
    assert read_trial(folder).notes["reading"] == [f"the last line of {name} was torn"]


def test_fields_and_marks_of_a_newer_version_are_passed_by(trial):
    folder, _ = trial
    with (folder / "marks.jsonl").open("a") as file:
        file.write('{"kind": "comet", "tail": 3}\n')
    with (folder / "observations.jsonl").open("a") as file:
        line = {
            "node": "n",
            "question": "role",
            "sent_ns": 1,
            "done_ns": 2,
            "value": None,
            "new": 1,
        }
        file.write(json.dumps(line) + "\n")
    assert read_trial(folder).observations[-1].node == "n"


def _set(name, text):
    return lambda folder: (folder / name).write_text(text)


def _add(name, line):
    def change(folder):
        with (folder / name).open("a") as file:
            file.write(line + "\n")

    return change


def _npy(name, array):
    return lambda folder: np.save(folder / name, array, allow_pickle=True)


def _time(value):
    def change(folder):
        records = np.load(folder / "requests.npy", allow_pickle=False)
        records["done_ns"][3] = value
        np.save(folder / "requests.npy", records)

    return change


HOSTILE = {
    "a time before time": (_time(-1), "a time that no clock shows"),
    "a time after all clocks": (_time(1 << 62), "a time that no clock shows"),
    "no marks": (lambda f: (f / "marks.jsonl").unlink(), "marks.jsonl: missing"),
    "no window": (_set("marks.jsonl", ""), "did not reach its end"),
    "no strings": (lambda f: (f / "strings.json").unlink(), "strings.json: not readable"),
    "no requests": (lambda f: (f / "requests.npy").unlink(), "no record of any request"),
    "garbage npy": (_set("requests.npy", "hello"), "not a readable npy"),
    "pickle": (_npy("requests.npy", np.array([{}], dtype=object)), "not records of chaoskit"),
    "other dtype": (_npy("requests.npy", np.zeros(3)), "not records of chaoskit"),
    "two dimensions": (_npy("requests.npy", np.zeros((2, 2), REQUEST)), "not records of chaoskit"),
    "odd final": (_npy("final/node-a.npy", np.zeros((2, 3), np.uint64)), "two columns"),
    "float final": (_npy("final/node-a.npy", np.zeros((2, 2))), "two columns"),
    "pickled final": (_npy("final/x.npy", np.array([{}], dtype=object)), "not a readable npy"),
    "strings a list": (_set("strings.json", "[]"), "must be an object"),
    "strings deep": (_set("strings.json", "{" * 20), "not readable as JSON"),
    "servers not text": (
        _set("strings.json", '{"servers": [1], "streams": [{}]}'),
        "servers must be a list of strings",
    ),
    "no streams": (_set("strings.json", "{}"), "at least one stream"),
    "stream incomplete": (_set("strings.json", '{"streams": [{"name": "w"}]}'), "has no op"),
    "mark not an object": (_add("marks.jsonl", "[1]"), "must be a JSON object"),
    "mark not JSON": (_add("marks.jsonl", "{x}"), "not JSON"),
    "mark deep": (_add("marks.jsonl", "[" * 100_000), "not JSON"),
    "mark without text": (_add("marks.jsonl", '{"kind": "incident"}'), "needs text"),
    "fault not an object": (_add("marks.jsonl", '{"kind": "fault", "fault": 3}'), "JSON object"),
    "observation without node": (_add("observations.jsonl", "{}"), "Observation has no node"),
    "time is text": (
        _add("observations.jsonl", '{"node": "a", "question": "role", "sent_ns": "1"}'),
        "sent_ns of Observation cannot be '1'",
    ),
    "time beyond 64 bits": (
        _add(
            "observations.jsonl", '{"node": "a", "question": "role", "sent_ns": ' + "9" * 30 + "}"
        ),
        "sent_ns of Observation cannot be",
    ),
    "time is a truth value": (
        _add("observations.jsonl", '{"node": "a", "question": "role", "sent_ns": true}'),
        "sent_ns of Observation cannot be",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_one_sentence(trial, case):
    folder, _ = trial
    change, says = HOSTILE[case]
    change(folder)
    with pytest.raises(BadInput) as caught:
        read_trial(folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change", [{"rate": 0}, {"rate": float("nan")}, {"deadline_ns": 0}, {"timeout_ns": 1}]
)
def test_a_stream_that_cannot_be_is_refused(trial, change):
    folder, _ = trial
    held = json.loads((folder / "strings.json").read_text())
    held["streams"][0].update(change)
    (folder / "strings.json").write_text(json.dumps(held))
    with pytest.raises(BadInput, match="stream 'write' needs"):
        read_trial(folder)
