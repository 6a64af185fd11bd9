"""Histories of several nodes that serve at once: what each answers is written down by the test."""

from __future__ import annotations

import numpy as np

from chaoskit.history.history import FaultRecord, History, Stream, Window
from chaoskit.history.records import Op, Outcome, empty

MS = 1_000_000
NS = 1_000 * MS
RATE, SHARDS = 100.0, 4
FAULT = 4 * NS
HEALED = 6 * NS
SERVERS = ("", "node-a", "node-b", "node-c")


def history_of(act, *, shards=0, spread=False, end=9 * NS):
    """A comb of appends; ``act(due, shard)`` gives server (0: refused) and latency in ms."""
    step = int(NS / RATE)
    dues = np.arange(0, end, step, dtype=np.int64)
    records = empty(dues.size)
    for k, (row, due) in enumerate(zip(records, dues.tolist(), strict=True)):
        key = k % SHARDS + 1 if shards else 0
        server, took = act(due, key)
        row["op"], row["key"], row["server"], row["client"] = Op.APPEND, key, server, 1
        row["due_ns"] = row["sent_ns"] = due
        row["done_ns"] = due + int(took * MS)
        row["outcome"] = Outcome.OK if server else Outcome.FAIL_DEFINITE
    records["token"] = np.arange(1, dues.size + 1)
    fault = FaultRecord(
        0, "kill", "node-b", ("node-b",), FAULT, FAULT, FAULT, FAULT, HEALED, HEALED, HEALED
    )
    stream = Stream("write", "write", RATE, "kept", 100 * MS, 200 * MS)
    return History(
        records, (stream,), ("",), SERVERS, ("", "client"), (), (fault,), Window(0, 0, end), {}, (),
        notes={"sharing": {"spread": spread, "shards": shards}},
    )  # fmt: skip


def taken_over(due, shard):
    """Shard 2 is out for 600 ms and shard 3 for 200; then node-c has what node-b had."""
    out = {2: 600, 3: 200}.get(shard, 0) * MS
    if shard in (2, 3):
        if FAULT <= due < FAULT + out:
            return 0, 1
        return (2 if due < FAULT else 3), 1
    return 1, 1


def spread_out(due, _shard):
    """Three in turn; node-b is gone from the fault to its heal, with one request lost."""
    turn = due // (10 * MS)
    if FAULT <= due < HEALED:
        return (0, 5) if due == FAULT else ((1, 3)[turn % 2], 2)
    return turn % 3 + 1, 1


def orphan(due, shard):
    """Shard 2 never has an owner again."""
    return (0, 1) if shard == 2 and due >= FAULT else (1, 1)
