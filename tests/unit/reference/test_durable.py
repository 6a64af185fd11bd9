"""The log of a node: groups, order, errors that pass, and a node that takes part in nothing."""

import asyncio
import errno
import json
import os
import threading
import time

import pytest
from reference_processes import A, B, Pair

from chaoskit.reference import durable
from chaoskit.reference.durable import Durable
from chaoskit.reference.settings import BadSettings
from chaoskit.reference.store import Store


class Disk:
    """Stands in for writing and syncing: can be held, or fail, and counts how often it was used."""

    def __init__(self, monkeypatch):
        self.ready, self.error, self.syncs = threading.Event(), 0, 0
        self.ready.set()
        self._real = durable._written
        monkeypatch.setattr(durable, "_written", self.written)

    def written(self, file, data, at):
        self.ready.wait(10)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.syncs += 1
        return self._real(file, data, at)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def write(store, *tokens):
    for token in tokens:
        store.apply((store.seq + 1, "", token))


async def until(look):
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def run(folder, body, patience_s=5.0):
    async def inner():
        log = Durable(folder, patience_s)
        try:
            await body(log)
        finally:
            log.close()
            log._thread.join(10)

    asyncio.run(inner())


def tokens_in(folder):
    lines = (folder / "writes.log").read_text().splitlines()
    return [token for line in lines for token in json.loads(line)["tokens"]]


def test_whoever_waits_is_told_in_order_and_only_when_it_is_on_the_disk(tmp_path, disk):
    async def body(log):
        store, told = Store(), []
        log.after(lambda good: told.append(("nothing", good)))
        assert told == [("nothing", True)]
        disk.ready.clear()
        for token in (7, 8, 9):
            write(store, token)
            log.take(store)
            log.after(lambda good, token=token: told.append((token, good)))
        await asyncio.sleep(0.05)
        assert len(told) == 1
        disk.ready.set()
        await until(lambda: len(told) == 4)
        assert told[1:] == [(7, True), (8, True), (9, True)]
        assert disk.syncs <= 2  # what came while the first was written went in one go

    run(tmp_path, body)
    assert tokens_in(tmp_path) == [7, 8, 9]


def test_an_error_is_said_and_when_it_passes_nothing_is_missing_or_there_twice(tmp_path, disk):
    async def body(log):
        store, told = Store(), []
        write(store, 1)
        log.take(store)
        await until(lambda: disk.syncs)
        disk.error = errno.ENOSPC
        write(store, 2)
        log.take(store)
        log.after(told.append)
        await until(log.trouble)
        assert log.trouble() == "No space left on device"
        assert told == []
        write(store, 3)
        log.take(store)
        disk.error = 0
        await until(lambda: not log.trouble() and told)
        assert told == [True]
        log.after(told.append)
        await until(lambda: told == [True, True])

    run(tmp_path, body)
    assert tokens_in(tmp_path) == [1, 2, 3]


def test_a_disk_that_says_nothing_is_trouble_after_the_patience_and_not_before(tmp_path, disk):
    async def body(log):
        store, told = Store(), []
        assert log.trouble() == ""
        disk.ready.clear()
        write(store, 1)
        log.take(store)
        log.after(told.append)
        assert log.trouble() == ""
        await until(log.trouble)
        assert "nothing was synced" in log.trouble()
        log.give_up()
        assert told == [False]
        disk.ready.set()
        await until(lambda: not log.trouble())
        assert told == [False]  # nobody is told twice

    run(tmp_path, body, patience_s=0.1)


def test_a_copy_of_somebody_elses_state_is_written_as_a_whole(tmp_path, disk):
    async def body(log):
        old, new = Store(), Store()
        write(old, 1)
        log.take(old)
        new.fill([5, 6], [("k", 9, 1, 2)])
        new.seq = 3
        log.take(new)
        log.take(new)
        told = []
        log.after(told.append)
        await until(lambda: told)

    run(tmp_path, body)
    lines = [json.loads(line) for line in (tmp_path / "writes.log").read_text().splitlines()]
    assert lines[-1] == {"seq": 3, "tokens": [5, 6], "registers": [["k", 9, 1, 2]]}
    assert len(lines) == 2


def test_a_folder_that_cannot_be_written_to_is_refused_at_once(tmp_path):
    async def body():
        Durable(tmp_path / "none", 1.0)

    with pytest.raises(BadSettings, match=r"CHAOSKIT_DATA=.*/none"):
        asyncio.run(body())


@pytest.mark.timeout(60)
def test_what_is_acknowledged_lies_on_the_disk_of_both_nodes(tmp_path):
    for name in (A, B):
        (tmp_path / name).mkdir()

    class WithDisks(Pair):
        def start(self, name):
            self.environment = {"CHAOSKIT_DATA": str(tmp_path / name)}
            super().start(name)

    with WithDisks(tmp_path) as pair:
        for token in range(1, 40):
            assert pair.ask(A, "POST", "/log", str(token), timeout=2)[0] == 200
            for name in (A, B):
                assert token in tokens_in(tmp_path / name)
