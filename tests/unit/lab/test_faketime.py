"""The file that shifts a clock: ours is known from others', and what was there comes back."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from chaoskit.contracts import Node
from chaoskit.errors import LabError
from chaoskit.lab.faketime import ClockFile, Shift, opted_in, restore_clock, shift_text
from chaoskit.lab.process import identity_of

NODE = Node("a", "198.18.0.2")
GOOD = {
    "FAKETIME_TIMESTAMP_FILE": "/tmp/faketime",
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


def test_every_offset_is_written_in_the_same_length():
    texts = [shift_text("r1", s) for s in (0, 1, -1, 3600.25, -0.001, 315360000, -315360000)]
    assert len({len(text) for text in texts}) == 1
    assert texts[3].splitlines() == ["# chaoskit_r1", "+0000003600.250000"]


@pytest.fixture
def shift(tmp_path):
    def make(before=None, run="r1"):
        path = tmp_path / "faketime"
        if before is not None:
            path.write_text(before)
        return path, Shift(NODE, run, str(path), before, 60.0)

    return make


@pytest.mark.parametrize("before", [None, "+0", "+0\n"])
def test_what_stood_there_comes_back(shift, before):
    path, one = shift(before)
    with ClockFile(identity_of(os.getpid())) as place:
        one.refuse(place)
        one.put(place)
        assert one.stands(place)
        assert path.read_text() == shift_text("r1", 60.0)
        one.move(place, 61.0)
        assert path.read_text() == shift_text("r1", 61.0)
        assert one.stands(place)
        one.take(place)
        assert not one.stands(place)
    assert (path.read_text() if path.exists() else None) == before


@pytest.mark.parametrize("theirs", ["+5", "@2020-01-01 00:00:00", ""])
def test_somebody_elses_shift_is_not_touched(shift, theirs):
    path, one = shift(theirs)
    with ClockFile(identity_of(os.getpid())) as place:
        with pytest.raises(LabError, match="not touched"):
            one.refuse(place)
        one.take(place)
    assert path.read_text() == theirs


def test_the_undo_of_another_run_takes_nothing(shift):
    path, one = shift()
    who = identity_of(os.getpid())
    with ClockFile(who) as place:
        one.put(place)
    assert restore_clock(who, str(path), "r2", "") is False
    assert path.exists()
    assert restore_clock(who, str(path), "r1", "") is True
    assert not path.exists()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "faketime").symlink_to(tmp_path / "victim")
    with ClockFile(identity_of(os.getpid())) as place:
        for path in (tmp_path / "link" / "faketime", tmp_path / "faketime"):
            with pytest.raises(LabError, match="cannot be written"):
                Shift(NODE, "r1", str(path), None, 1.0).put(place)
    assert list((tmp_path / "real").iterdir()) == []
    assert (tmp_path / "victim").read_text() == "mine"


def test_whoever_reads_meanwhile_sees_nothing_half_done(shift):
    """libfaketime ends a program that finds the file empty, or a line that is no time."""
    path, one = shift()
    texts = {shift_text("r1", 60.0), "+0\n"}
    seen, over = set(), threading.Event()

    def read():
        while not over.is_set():
            try:
                seen.add(path.read_text())
            except FileNotFoundError:
                seen.add(None)

    reader = threading.Thread(target=read)
    with ClockFile(identity_of(os.getpid())) as place:
        reader.start()
        try:
            for _ in range(2000):
                one.put(place)
                place.write(str(path), "+0\n")
                place.remove(str(path))
        finally:
            over.set()
            reader.join()
    assert texts <= seen, "it looked often enough to see both"
    assert seen <= {*texts, None}
    assert list(path.parent.iterdir()) == [], "nothing is left beside it"


def test_a_file_that_is_mounted_there_is_written_to(shift, monkeypatch):
    path, one = shift("+0\n")

    def busy(*_args, **_more):
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(os, "rename", busy)
    with ClockFile(identity_of(os.getpid())) as place:
        one.put(place)
        assert path.read_text() == shift_text("r1", 60.0)
        one.take(place)
    assert path.read_text() == "+0\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no FAKETIME_TIMESTAMP_FILE in its environment"),
        ({**GOOD, "FAKETIME_NO_CACHE": "0"}, "needs FAKETIME_NO_CACHE=1"),
        ({k: v for k, v in GOOD.items() if "MONO" not in k}, "needs FAKETIME_DONT_FAKE_MONOTONIC"),
        ({**GOOD, "LD_PRELOAD": ""}, "runs without libfaketime"),
    ],
)
def test_a_service_that_did_not_opt_in_is_told_what_it_lacks(environment, said):
    argv = [sys.executable, "-I", "-S", "-c", "print(1, flush=True); input()"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        process.stdout.readline()
        try:
            with pytest.raises(LabError, match=said):
                opted_in(identity_of(process.pid), "a")
        finally:
            process.kill()
