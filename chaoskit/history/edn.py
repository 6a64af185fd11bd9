"""A trial as Jepsen writes histories: one operation a line, for Knossos, Elle and their like.

A process there does one thing at a time, and one that does not know how its operation ended is
never heard of again. Our clients hold many operations at once, so each operation is given to the
lowest process that is free.

::

    {:index 0, :time 1021, :type :invoke, :process 0, :f :write, :value [3 281474976710657]}
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chaoskit.history.history import FRONTDOOR, History
from chaoskit.history.records import Op, Outcome

__all__ = ["Entry", "keyed", "lines", "log", "nemesis", "of_key", "registers", "transactions"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. ``key`` None: the operation has no register. ``time`` ns from the load's start."""

    time: int
    kind: str  # invoke, ok, fail, info
    process: int | str
    f: str
    key: int | None
    value: object  # None, a number or a list of numbers
    error: str = ""


def registers(history: History) -> list[Entry]:
    """Writes and reads of registers, in the order of their times.

    A read without an answer has failed: it changed nothing. What was not sent never happened.
    Reads past the front door are no client's, and left out: a node may answer such by design.
    """
    records = history.requests
    chosen = np.isin(records["op"], (int(Op.PUT), int(Op.GET))) & (records["key"] != 0)
    chosen &= ~np.isin(records["stream"], history.pinned)
    return _entries(history, records[chosen & (records["outcome"] != Outcome.NOT_SENT)])


def log(history: History) -> list[Entry]:
    """Appends to the log, and what was there at the end, as often as it was there."""
    records = history.requests
    chosen = (records["op"] == Op.APPEND) & (records["outcome"] != Outcome.NOT_SENT)
    found = _entries(history, records[chosen])
    final = history.finals.get(FRONTDOOR)
    if final is None:
        return found
    zero, window = history.window.load_start_ns, history.window
    last = max((entry.time for entry in found), default=0)
    at = max(last + 1, (window.final_read_ns or window.observe_end_ns) - zero)
    held = np.repeat(final.tokens, final.counts.astype(np.int64)).tolist()
    reader = 1 + max((e.process for e in found if isinstance(e.process, int)), default=-1)
    return [
        *found,
        Entry(at, "invoke", reader, "read", None, None),
        Entry(at + 1, "ok", reader, "read", None, held),
    ]


def nemesis(history: History) -> list[Entry]:
    """Faults, as Jepsen notes them: each going in and coming out is a pair of entries."""
    zero, found = history.window.load_start_ns, []
    for fault in history.faults:
        moments = [(f"start-{fault.fault}", fault.commanded_ns, fault.acknowledged_ns)]
        if fault.heal_commanded_ns is not None and fault.healed_ns is not None:
            moments.append((f"stop-{fault.fault}", fault.heal_commanded_ns, fault.healed_ns))
        for f, begun, ended in moments:
            whom = ", ".join(fault.nodes)
            found += [Entry(t - zero, "info", "nemesis", f, None, whom) for t in (begun, ended)]
    return found


def of_key(entries: Iterable[Entry], key: int) -> list[Entry]:
    """One register by itself, for checkers that know no keys."""
    return [entry for entry in entries if entry.key == key]


def lines(entries: Iterable[Entry], value: Callable[[Entry], str] | None = None) -> Iterator[str]:
    """Each entry as a line, in order of time; what begins at a moment is before what ends then."""
    say = value or _plain
    order = sorted(entries, key=lambda e: (e.time, e.kind != "invoke"))
    for index, entry in enumerate(order):
        process = entry.process if isinstance(entry.process, int) else f":{entry.process}"
        error = f", :error {_text(entry.error)}" if entry.error else ""
        yield (
            f"{{:index {index}, :time {entry.time}, :type :{entry.kind}, :process {process}, "
            f":f :{entry.f}, :value {say(entry)}{error}}}\n"
        )


def transactions(entries: Iterable[Entry]) -> Iterator[str]:
    """The same as transactions of one step each, which is what Elle's ``rw-register`` reads."""
    renamed = (
        Entry(e.time, e.kind, e.process, "txn", e.key, (e.f, e.value), e.error) for e in entries
    )
    return lines(renamed, _step)


def keyed(entry: Entry) -> str:
    """``[key value]``, as Jepsen's independent tests have it."""
    return _plain(entry) if entry.key is None else f"[{entry.key} {_plain(entry)}]"


def _step(entry: Entry) -> str:
    assert isinstance(entry.value, tuple)  # noqa: S101 - only made by ``transactions``
    f, value = entry.value
    return f"[[:{'w' if f == 'write' else 'r'} {entry.key} {'nil' if value is None else value}]]"


def _plain(entry: Entry) -> str:
    if entry.value is None:
        return "nil"
    if isinstance(entry.value, list):
        return f"[{' '.join(map(str, entry.value))}]"
    return _text(entry.value) if isinstance(entry.value, str) else str(entry.value)


def _text(text: str) -> str:
    """JSON's strings are EDN's, but for escaped characters beyond the first plane: none is."""
    return json.dumps(text, ensure_ascii=False)


_KINDS = {
    int(Outcome.OK): "ok",
    int(Outcome.OK_LATE): "ok",
    int(Outcome.FAIL_DEFINITE): "fail",
    int(Outcome.AMBIGUOUS): "info",
}


def _entries(history: History, records: np.ndarray[Any, Any]) -> list[Entry]:
    zero = history.window.load_start_ns
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    hired = 0
    found: list[Entry] = []
    order = np.lexsort([records[n] for n in ("token", "seen", "key", "done_ns", "sent_ns")])
    for row in records[order]:
        begun, ended = int(row["sent_ns"]), int(row["done_ns"])
        while busy and busy[0][0] < begun:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            process = heapq.heappop(free)
        else:
            process, hired = hired, hired + 1
        read = row["op"] == Op.GET
        f = "read" if read else "add" if row["op"] == Op.APPEND else "write"
        kind = _KINDS.get(int(row["outcome"]), "info")
        kind = "fail" if read and kind == "info" else kind
        if kind != "info":
            heapq.heappush(busy, (ended, process))
        key = int(row["key"]) or None
        asked = None if read else int(row["token"])
        got = (int(row["seen"]) or None) if read and kind == "ok" else asked
        name = int(row["error"])
        error = history.errors[name] if name < len(history.errors) else ""
        found.append(Entry(begun - zero, "invoke", process, f, key, asked))
        found.append(Entry(ended - zero, kind, process, f, key, got, error))
    return found
