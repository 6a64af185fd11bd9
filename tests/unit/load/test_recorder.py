"""The record format, the texts beside it, and what is on disk when."""

import json
import struct

import numpy as np

from chaoskit.history.history import Stream
from chaoskit.history.records import REQUEST
from chaoskit.load.recorder import FORMAT, Recorder

STREAMS = (Stream("write", "write", 200.0, "kept", 100_000_000, 200_000_000),)


def recorder(folder):
    return Recorder(folder / "requests.raw", folder / "strings.json", ["client"], STREAMS)


def one(target, **columns):
    target.add(
        **{"due_ns": 1, "sent_ns": 2, "done_ns": 3, "op": 1, "outcome": 1, "stream": 0} | columns
    )


def test_the_struct_format_is_the_dtype_column_by_column(tmp_path):
    assert struct.calcsize(FORMAT) == REQUEST.itemsize
    values = (-1, 2, 3, 2**64 - 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
    row = np.frombuffer(struct.pack(FORMAT, *values), dtype=REQUEST)[0]
    assert tuple(int(v) for v in row.item()) == values
    with np.testing.assert_raises(AssertionError):  # a swapped pair would be noticed
        swapped = struct.pack("<qqqQQIIHHHBBBBHI", *values[:7], *values[8:6:-1], *values[9:])
        assert tuple(np.frombuffer(swapped, dtype=REQUEST)[0].item()) == values


def test_every_column_arrives_where_it_belongs(tmp_path):
    target = recorder(tmp_path)
    one(
        target,
        due_ns=11,
        sent_ns=12,
        done_ns=13,
        op=3,
        outcome=4,
        stream=0,
        token=2**64 - 1,
        seen=2**63,
        key=7,
        epoch=9,
        error="HTTP 504",
        server="node-a",
        attempt=2,
        flags=6,
    )
    target.close()
    row = np.fromfile(tmp_path / "requests.raw", dtype=REQUEST)[0]
    texts = json.loads((tmp_path / "strings.json").read_text())
    assert (row["due_ns"], row["sent_ns"], row["done_ns"]) == (11, 12, 13)
    assert (row["op"], row["outcome"], row["attempt"], row["flags"]) == (3, 4, 2, 6)
    assert (row["token"], row["seen"], row["key"], row["epoch"]) == (2**64 - 1, 2**63, 7, 9)
    assert texts["errors"] == ["", "HTTP 504"]
    assert texts["errors"][row["error"]] == "HTTP 504"
    assert texts["servers"][row["server"]] == "node-a"
    assert texts["clients"][row["client"]] == "client"
    assert Stream(**texts["streams"][0]) == STREAMS[0]


def test_nothing_is_written_before_a_flush_and_texts_are_there_before_records_that_use_them(
    tmp_path,
):
    target = recorder(tmp_path)
    one(target, error="new text")
    assert (tmp_path / "requests.raw").stat().st_size == 0
    target.flush()
    assert (tmp_path / "requests.raw").stat().st_size == 64
    assert "new text" in json.loads((tmp_path / "strings.json").read_text())["errors"]
    one(target)
    target.flush()
    assert (tmp_path / "requests.raw").stat().st_size == 128
    assert target.written == 2
    target.close()
    target.close()


def test_an_endless_stream_of_different_texts_does_not_overflow_their_numbers(tmp_path):
    target = recorder(tmp_path)
    for number in range(5000):
        one(target, error=f"error {number}")
    target.close()
    rows = np.fromfile(tmp_path / "requests.raw", dtype=REQUEST)
    texts = json.loads((tmp_path / "strings.json").read_text())["errors"]
    assert len(texts) < 4200
    assert texts[rows["error"][10]] == "error 10"
    assert texts[rows["error"][-1]].startswith("other")


def test_an_answer_too_large_for_its_column_is_cut_instead_of_ending_the_load(tmp_path):
    target = recorder(tmp_path)
    one(target, epoch=2**40 + 5, seen=2**70 + 6, attempt=999)
    target.close()
    row = np.fromfile(tmp_path / "requests.raw", dtype=REQUEST)[0]
    assert (row["epoch"], row["seen"], row["attempt"]) == (5, 6, 255)
