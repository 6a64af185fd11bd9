"""Requests by column: every row once, in the order that measurements want, mapped or not."""

import numpy as np
import pytest

from chaoskit.history.reader import read_trial
from chaoskit.history.records import REQUEST
from chaoskit.history.simulated import Scenario, simulate, store
from chaoskit.measure.metrics import measure_trial
from chaoskit.measure.table import Table, joined, sorted_once
from chaoskit.measure.view import View

TWO = (("write", "write", "kept"), ("read", "read", "kept"))


@pytest.fixture(scope="module")
def history():
    return simulate(Scenario(streams=TWO, baseline_s=1.0, after_s=1.0))[0]


def test_each_stream_is_sorted_by_due_and_every_column_keeps_its_rows_together(history):
    table = Table(history.requests, 2)
    for index in (0, 1):
        ours = history.requests[history.requests["stream"] == index]
        expected = ours[np.argsort(ours["due_ns"])]
        rows = table.stream(index)
        for name in REQUEST.names:
            assert (rows.column(name) == expected[name]).all(), name
        middle = rows.low + rows.size // 2
        assert table.record_at(middle) == expected[rows.size // 2]


def test_rows_of_no_known_stream_are_kept_at_the_end_and_belong_to_nobody(history):
    records = history.requests.copy()
    strange = np.arange(0, records.size, 7)
    records["stream"][strange] = 9
    table = Table(records, 2)
    assert len(table) == records.size
    assert (table.column("stream")[-strange.size :] == 9).all()
    assert table.stream(1).high == records.size - strange.size


def test_the_order_of_records_that_were_due_together_does_not_depend_on_their_order(history):
    records = history.requests.copy()
    records["due_ns"] -= records["due_ns"] % 50_000_000  # ten at a time
    shuffled = records[np.random.default_rng(3).permutation(records.size)]
    one, other = Table(records, 2), Table(shuffled, 2)
    for name in ("due_ns", "sent_ns", "done_ns", "token", "outcome"):
        assert (one.column(name) == other.column(name)).all(), name


def test_a_part_holds_what_was_due_in_it(history):
    rows = Table(history.requests, 2).stream(0)
    due = rows.column("due_ns")
    start, end = int(due[10]), int(due[20])
    assert rows.due_between(start, end).column("due_ns").tolist() == due[10:20].tolist()
    assert rows.due_between(end, start).column("due_ns").size == 0


def test_rows_that_are_picked_keep_their_order_and_can_be_picked_from_again(history):
    rows = Table(history.requests, 2).stream(1)
    chosen = rows.column("token") % 3 == rows.column("due_ns") % 3
    picked = rows.picked(chosen)
    again = picked.picked(np.arange(picked.size) % 2 == 0)
    for name in ("due_ns", "client", "key"):
        assert picked.column(name).tolist() == rows.column(name)[chosen].tolist()
        assert again.column(name).tolist() == rows.column(name)[chosen][::2].tolist()
    assert (picked.size, again.size) == (np.count_nonzero(chosen), (picked.size + 1) // 2)


def test_a_part_of_a_track_has_its_share_of_the_rate_and_no_part_is_none(history):
    track = View(history).headline
    part = track.part(np.arange(len(track)) % 4 == 0)
    assert part.stream.rate == pytest.approx(track.stream.rate / 4, rel=0.01)
    assert part.due.tolist() == track.due[::4].tolist()
    assert track.part(np.zeros(len(track), dtype=bool)) is None


def test_what_is_looked_at_once_is_that_column_and_not_kept(history):
    table = Table(history.requests, 2)
    rows = np.arange(0, len(table), 3)
    once = table.once("seen", rows)
    assert "seen" not in table._columns
    assert once.tolist() == table.column("seen")[rows].tolist() == table.once("seen")[rows].tolist()


def test_records_that_are_mapped_from_a_file_come_to_the_same(history, tmp_path):
    store(tmp_path / "01", history)
    stored = read_trial(tmp_path / "01")
    assert measure_trial(stored) == measure_trial(history)
    assert (stored.requests == history.requests).all(), "they can still be read afterwards"


def test_what_is_sorted_is_not_copied_and_what_is_not_is_sorted():
    values = np.array([1, 2, 2, 5])
    assert sorted_once(values) is values
    assert sorted_once(values[::-1]).tolist() == [1, 2, 2, 5]


@pytest.mark.parametrize("seed", range(20))
def test_two_that_are_in_order_are_joined_as_a_set_would(seed):
    draw = np.random.default_rng(seed)
    one, other = (
        np.unique(draw.integers(0, 60, size=draw.integers(0, 50))).astype(np.uint64)
        for _ in range(2)
    )
    found = joined(one, other)
    assert found.tolist() == sorted({*one.tolist(), *other.tolist()})
    assert found.dtype == np.uint64
    assert joined(one, one.copy()) is one, "nothing is copied where both are alike"
