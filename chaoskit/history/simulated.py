"""Histories with a known truth, for tests of whatever measures: ours and a third party's.

A simulated pair loses its primary at a moment that is known to the nanosecond and is back at
another. Everything is drawn from a seed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chaoskit.clock import NS
from chaoskit.history.history import (
    FRONTDOOR,
    FaultRecord,
    FinalRead,
    History,
    Observation,
    Stream,
    Window,
)
from chaoskit.history.records import Flag, Op, Outcome, empty
from chaoskit.history.writer import Marks, close_requests

__all__ = ["Scenario", "Style", "Truth", "simulate", "store"]

Style = Literal["refuse", "stall", "drop", "503"]

_Times = np.ndarray[Any, np.dtype[np.int64]]

_ERRORS = ("", "refused", "timeout", "503")
_SERVERS = ("", "node-a", "node-b")


@dataclass(frozen=True)
class Scenario:
    """What happens in the simulated trial; seconds and requests a second.

    ``outage_s`` 0 makes it a trial in which nothing happens. ``float("inf")``: never comes back.
    """

    style: Style = "refuse"
    outage_s: float = 1.0
    rate: float = 200.0
    deadline_s: float = 0.1
    timeout_s: float = 0.2
    latency_s: float = 0.002
    lag_s: float = 0.0  # each request is sent up to so much late
    baseline_s: float = 3.5
    after_s: float = 3.0
    streams: tuple[tuple[str, str, str], ...] = (("write", "write", "kept"),)  # name, op, how
    fails_over: bool = True  # node-b takes over; else node-a comes back by itself
    bites: bool = True  # False: the fault is a noop
    poll_s: float = 0.05
    pinned: float = 0.0  # a second, writes to each node itself (and reads, if there are registers)
    registers: int = 0  # so many are put (every fifth write) and read, linearizably
    clients: int = 1  # so many take the slots of each comb in turn
    seed: int = 1


@dataclass(frozen=True)
class Truth:
    """When service was really out, ns; the same moment twice if it never was."""

    begin_ns: int
    end_ns: int

    @property
    def outage_s(self) -> float:
        """How long service was really out."""
        return (self.end_ns - self.begin_ns) / NS


def simulate(scenario: Scenario) -> tuple[History, Truth]:
    """A complete, valid trial in which just that happened, and when it really did."""
    rng = np.random.default_rng(scenario.seed)
    start = int(rng.integers(1, 10**12))
    base = start + NS // 2
    begin = base + int((scenario.baseline_s + rng.random() / scenario.rate) * NS)
    back = scenario.outage_s < float("inf")
    observed = scenario.outage_s if back else 3.0
    truth = Truth(begin, begin + int(scenario.outage_s * NS) if back else 1 << 62)
    end = begin + int((observed + scenario.after_s) * NS)
    streams = tuple(
        Stream(
            name,
            op,
            scenario.rate,
            connections,
            int(scenario.deadline_s * NS),
            int(scenario.timeout_s * NS),
        )
        for name, op, connections in scenario.streams
    )
    parts = [_requests(scenario, comb, truth, (start, end), rng) for comb in enumerate(streams)]
    if scenario.pinned:
        ops = ("write", "read") if scenario.registers else ("write",)
        streams += tuple(_pinned_stream(scenario, n, op) for op in ops for n in _SERVERS[1:])
        combs = list(enumerate(streams))[len(scenario.streams) :]
        parts += [_pinned(scenario, comb, truth, (start, end)) for comb in combs]
    records = np.concatenate([records for records, _, _ in parts])
    tokens = np.sort(np.concatenate([executed for _, executed, _ in parts]))
    _read_registers(records, np.concatenate([at for _, _, at in parts]))
    counts = np.ones(tokens.size, dtype=np.uint64)
    records = records[rng.permutation(records.size)]
    places = (FRONTDOOR, "node-a", "node-b")
    history = History(
        requests=records,
        streams=streams,
        errors=_ERRORS,
        servers=_SERVERS,
        clients=_names(scenario.clients),
        observations=_observations(scenario, truth, (start, end)),
        faults=(_fault(scenario, truth, end),),
        window=Window(start, base, end, end + NS),
        finals={place: FinalRead(place, tokens, counts) for place in places},
        nodes=("node-a", "node-b"),
        poll_every_ns=int(scenario.poll_s * NS),
    )
    return history, truth


def _requests(
    scenario: Scenario,
    comb: tuple[int, Stream],
    truth: Truth,
    span: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.uint64]], _Times]:
    """Records of one comb, the log's tokens that the system really has, and when each took effect.

    0 for what never took effect.
    """
    index, stream = comb
    size = int((span[1] - span[0]) / NS * stream.rate)
    records = empty(size)
    due = span[0] + (np.arange(size) * (NS / stream.rate)).astype(np.int64)
    sent = due + (rng.random(size) * scenario.lag_s * NS).astype(np.int64)
    way = (scenario.latency_s * NS * (0.75 + 0.5 * rng.random(size)) / 2).astype(np.int64)
    arrived = sent + way
    out = (arrived >= truth.begin_ns) & (arrived < truth.end_ns)
    done, gave_up = arrived + way, sent + stream.timeout_ns
    outcome = np.full(size, int(Outcome.OK))
    error = np.zeros(size, dtype=np.int64)
    executed = ~out
    if scenario.style in ("refuse", "503"):
        outcome[out] = Outcome.FAIL_DEFINITE
        error[out] = _ERRORS.index("refused" if scenario.style == "refuse" else "503")
    else:
        if scenario.style == "stall":
            done = np.where(out, truth.end_ns + way, done)
            executed = np.ones(size, dtype=bool) if truth.end_ns < span[1] else ~out
        lost = out & ((done >= gave_up) if scenario.style == "stall" else out)
        done = np.where(lost, gave_up, done)
        outcome[lost] = Outcome.AMBIGUOUS
        error[lost] = _ERRORS.index("timeout")
        records["flags"][lost] = int(Flag.TIMED_OUT)
    late = (outcome == Outcome.OK) & (done - due > stream.deadline_ns)
    outcome[late] = Outcome.OK_LATE
    answered = (outcome == Outcome.OK) | (outcome == Outcome.OK_LATE)
    moved = scenario.fails_over and truth.end_ns > truth.begin_ns
    server = np.where(moved & (done >= truth.end_ns), 2, 1)
    records["due_ns"], records["sent_ns"], records["done_ns"] = due, sent, done
    records["outcome"], records["error"], records["stream"] = outcome, error, index
    records["server"] = np.where(answered, server, 0)
    slot = np.arange(size)
    records["client"], records["attempt"] = slot % scenario.clients + 1, 1
    writes = stream.op == "write"
    records["op"] = int(Op.APPEND if writes else Op.SCAN)
    if writes:
        records["token"] = np.arange(size, dtype=np.uint64) + np.uint64((index + 1) << 32)
    if scenario.registers:
        turn = slot // scenario.clients + slot % scenario.clients  # each begins elsewhere
        put = turn % 5 == 0 if writes else np.ones(size, dtype=bool)
        records["op"][put] = int(Op.PUT if writes else Op.GET)
        number = turn // 5 if writes else turn
        records["key"] = np.where(put, number % scenario.registers + 1, 0)
    in_log = executed & (records["op"] == Op.APPEND)
    effect = np.where(executed, np.where(out, np.maximum(truth.end_ns, arrived), arrived), 0)
    return records, records["token"][in_log].astype(np.uint64), effect


def _pinned_stream(scenario: Scenario, node: str, op: str) -> Stream:
    timeout, deadline = int(scenario.timeout_s * NS), int(scenario.deadline_s * NS)
    rate = scenario.pinned
    name = f"pinned:{node}" if op == "write" else f"pinned-read:{node}"
    return Stream(name, op, rate, "kept", deadline, timeout, pinned=node)


def _pinned(
    scenario: Scenario, comb: tuple[int, Stream], truth: Truth, span: tuple[int, int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.uint64]], _Times]:
    """Records of who asks past the front door: its node says 503 while it is not in office."""
    index, stream = comb
    size = int((span[1] - span[0]) / NS * stream.rate)
    records = empty(size)
    due = span[0] + (np.arange(size) * (NS / stream.rate)).astype(np.int64)
    half = int(scenario.latency_s * NS / 2)
    moved = scenario.fails_over and truth.end_ns > truth.begin_ns
    before, after = due + half < truth.begin_ns, due + half >= truth.end_ns
    first = stream.pinned == _SERVERS[1]
    office = before | (after & ~np.bool_(moved)) if first else after & np.bool_(moved)
    records["due_ns"] = records["sent_ns"] = due
    records["done_ns"] = due + 2 * half
    records["outcome"] = np.where(office, int(Outcome.OK), int(Outcome.FAIL_DEFINITE))
    records["error"] = np.where(office, 0, _ERRORS.index("503"))
    records["server"], records["stream"] = _SERVERS.index(stream.pinned), index
    records["client"], records["attempt"], records["op"] = 1, 1, int(Op.APPEND)
    if stream.op == "read":
        records["op"], records["key"] = int(Op.GET), np.arange(size) % scenario.registers + 1
        return records, np.zeros(0, dtype=np.uint64), due + half
    records["token"] = np.arange(size, dtype=np.uint64) + np.uint64((index + 1) << 32)
    return records, records["token"][office].astype(np.uint64), np.zeros(size, dtype=np.int64)


def _read_registers(records: np.ndarray[Any, Any], effect: _Times) -> None:
    """Fill in what each answered GET read: the value that was there when it took effect."""
    put, get = records["op"] == Op.PUT, records["op"] == Op.GET
    rows = np.flatnonzero((put & (effect > 0)) | get)
    rows = rows[np.argsort(effect[rows], kind="stable")]
    rows = rows[np.argsort(records["key"][rows], kind="stable")]  # register by register
    key, places = records["key"][rows], np.arange(rows.size)
    latest = np.maximum.accumulate(np.where(put[rows], places, 0))  # the last write before
    there = put[rows[latest]] & (key[latest] == key)  # and one there was
    seen = np.where(there, records["token"][rows[latest]], 0)
    answered = np.isin(records["outcome"], (int(Outcome.OK), int(Outcome.OK_LATE)))
    reads = get[rows] & answered[rows]
    records["seen"][rows[reads]] = seen[reads]


def _names(clients: int) -> tuple[str, ...]:
    if clients == 1:
        return ("", "client")
    return ("", *(f"client/{n + 1}" for n in range(clients)))


def _fault(scenario: Scenario, truth: Truth, end: int) -> FaultRecord:
    """A kill of node-a that was healed long after, or a noop."""
    milli = NS // 1000
    healed = min(min(truth.end_ns, end) + NS, end - milli)
    return FaultRecord(
        step=0,
        fault="kill" if scenario.bites else "noop",
        target="primary",
        nodes=("node-a",),
        commanded_ns=truth.begin_ns - milli,
        acknowledged_ns=truth.begin_ns,
        verified_ns=truth.begin_ns + milli,
        bitten_ns=truth.begin_ns + 5 * milli if scenario.bites else None,
        heal_commanded_ns=healed - 10 * milli,
        healed_ns=healed,
        felt_healed_ns=healed if scenario.bites else None,
        must_bite=scenario.bites,
    )


def _observations(
    scenario: Scenario, truth: Truth, span: tuple[int, int]
) -> tuple[Observation, ...]:
    """Role polls of both nodes: the new primary is one 50 ms before clients get through."""
    every, milli = int(scenario.poll_s * NS), NS // 1000
    out = truth.end_ns > truth.begin_ns
    promoted = max(truth.begin_ns, truth.end_ns - 50 * milli)
    healed = truth.end_ns + NS
    seen: list[Observation] = []
    for shift, node in ((0, "node-a"), (every // 2, "node-b")):
        for at in range(span[0] + shift, span[1], every):
            down = out and node == "node-a" and truth.begin_ns <= at < healed
            moved = out and scenario.fails_over and at >= promoted
            role = "primary" if (node == "node-a") != moved else "backup"
            if node == "node-a" and down:
                seen.append(Observation(node, "role", at, at + milli, None, error="refused"))
            else:
                epoch = 2 if moved else 1
                seen.append(Observation(node, "role", at, at + milli, role, epoch))
    return tuple(seen)


def store(folder: Path, history: History, *, closed: bool = True) -> None:
    """Write a trial's folder as the engine and its children leave it.

    With ``closed`` False as a harness leaves it that was killed before it closed the records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "requests.raw"
    raw.write_bytes(history.requests.tobytes())
    if closed:
        close_requests(raw, folder / "requests.npy")
    strings = {
        "errors": history.errors,
        "servers": history.servers,
        "clients": history.clients,
        "streams": [asdict(stream) for stream in history.streams],
    }
    (folder / "strings.json").write_text(json.dumps(strings, indent=1) + "\n", encoding="utf-8")
    lines = [json.dumps(asdict(seen)) + "\n" for seen in history.observations]
    (folder / "observations.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "final").mkdir(exist_ok=True)
    for place, final in history.finals.items():
        table = np.column_stack([final.tokens, final.counts])
        np.save(folder / "final" / f"{place}.npy", table)
    with Marks(folder / "marks.jsonl") as marks:
        marks.nodes(history.nodes)
        marks.poll(history.poll_every_ns)
        marks.tick(history.tick_lag_ns)
        marks.load(history.alive_at_end)
        for key, value in history.notes.items():
            marks.note(key, value)
        for sentence in history.incidents:
            marks.incident(sentence)
        for fault in history.faults:
            marks.fault(fault)
        marks.window(history.window)
