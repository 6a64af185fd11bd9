"""Reading a trial's folder back into a ``History``.

What a killed process leaves behind is tolerated and noted: a torn last line, a torn last record,
records that were not closed into ``.npy``. Records that are missing at the end are a fact of the
history, ``cut_short``: it is read, and not complete. Anything else that is wrong is one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from chaoskit.errors import BadInput
from chaoskit.history.history import (
    FaultRecord,
    FinalRead,
    History,
    NodeEvent,
    Observation,
    Stream,
    Window,
)
from chaoskit.history.records import REQUEST

__all__ = ["read_trial"]

T = TypeVar("T")
_LATEST_NS = 1 << 61  # 73 years after a start
_BLOCK = 1 << 15  # records
_LARGEST_JSON = 1 << 30  # bytes; a longer text file was not written by us


@dataclass
class _Notes:
    """What was tolerated while reading, as sentences; ``cut`` is that of lost request records."""

    said: list[str] = field(default_factory=list)
    cut: str = ""

    def lost(self, sentence: str) -> None:
        """Say that records of requests are missing."""
        self.cut = sentence
        self.said.append(sentence)


def read_trial(folder: Path) -> History:
    """Everything known about the trial in ``folder``.

    Raises ``BadInput`` with one sentence where a file is missing or is not what it should be.
    """
    notes = _Notes()
    marks = _Marked()
    for line, mark in _lines(folder / "marks.jsonl", notes):
        marks.take(folder / "marks.jsonl", line, mark)
    if marks.window is None:
        raise BadInput(f"{folder}: the trial did not reach its end (no window in marks.jsonl)")
    strings = _strings(folder / "strings.json")
    polls = folder / "observations.jsonl"
    observations = tuple(
        _build(polls, line, Observation, fields)
        for line, fields in _lines(polls, notes, missing_is_empty=True)
    )
    told = folder / "events.jsonl"
    events = tuple(
        _build(told, line, NodeEvent, fields)
        for line, fields in _lines(told, notes, missing_is_empty=True)
    )
    requests = _requests(folder, notes)
    return History(
        requests=requests,
        streams=strings.streams,
        errors=strings.errors,
        servers=strings.servers,
        clients=strings.clients,
        observations=observations,
        events=events,
        faults=tuple(marks.faults[step] for step in sorted(marks.faults)),
        window=marks.window,
        finals=_finals(folder / "final"),
        nodes=marks.nodes,
        incidents=tuple(marks.incidents),
        poll_every_ns=marks.poll_every_ns,
        tick_lag_ns=marks.tick_lag_ns,
        alive_at_end=marks.alive_at_end,
        cut_short=notes.cut,
        notes={**marks.notes, **({"reading": notes.said} if notes.said else {})},
    )


# ---------------------------------------------------------------- requests


def _requests(folder: Path, notes: _Notes) -> np.ndarray[Any, np.dtype[np.void]]:
    npy, raw = folder / "requests.npy", folder / "requests.raw"
    if npy.exists():
        return _plausible(npy, _npy(npy, REQUEST, notes))
    if not raw.exists():
        raise BadInput(f"{npy}: there is no record of any request")
    notes.said.append("requests.raw had not been closed into requests.npy")
    count, torn = divmod(raw.stat().st_size, REQUEST.itemsize)
    if torn:
        notes.lost(f"the last record of requests.raw was torn ({torn} bytes)")
    return _plausible(raw, np.fromfile(raw, dtype=REQUEST, count=count))


def _plausible(
    path: Path, records: np.ndarray[Any, np.dtype[np.void]]
) -> np.ndarray[Any, np.dtype[np.void]]:
    """Refuse times that no clock shows: their differences would overflow."""
    for start in range(0, records.size, _BLOCK):  # in pieces that a processor's cache holds
        block = records[start : start + _BLOCK]
        for name in ("due_ns", "sent_ns", "done_ns"):
            times = block[name]
            if not 0 <= int(times.min()) <= int(times.max()) < _LATEST_NS:
                raise BadInput(
                    f"{path}: {name} holds a time that no clock shows; the file is damaged"
                )
    return records


def _npy(path: Path, dtype: np.dtype[Any], notes: _Notes) -> np.ndarray[Any, Any]:
    """One column of ``dtype``; mapped, not read, because a long run is large."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise BadInput(f"{path}: npy format {version} is not one that chaoskit writes")
            shape, fortran, found = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(f"{path}: not a readable npy file ({_short(error)})") from error
    if found != dtype or len(shape) != 1 or fortran:
        raise BadInput(f"{path}: holds {found} of shape {shape}, not records of chaoskit")
    there = (path.stat().st_size - offset) // dtype.itemsize
    if there < shape[0]:
        notes.lost(f"{path.name} was cut short: {there} of {shape[0]} records are there")
    count = min(shape[0], there)
    if count == 0:
        return np.zeros(0, dtype=dtype)
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,))
    return mapped.view(np.ndarray)


def _finals(folder: Path) -> Mapping[str, FinalRead]:
    found: dict[str, FinalRead] = {}
    for path in sorted(folder.glob("*.npy")):
        try:
            table = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise BadInput(f"{path}: not a readable npy file ({_short(error)})") from error
        if table.ndim != 2 or table.shape[1] != 2 or table.dtype.kind not in "ui":
            raise BadInput(f"{path}: a final read has two columns of u8, token and multiplicity")
        found[path.stem] = _final(path.stem, table, found.values())
    return found


def _final(place: str, table: np.ndarray[Any, Any], others: Collection[FinalRead]) -> FinalRead:
    """Most places return the same, and everything once: that is held in memory but once."""
    tokens = np.ascontiguousarray(table[:, 0], dtype=np.uint64)
    tokens = next((o.tokens for o in others if np.array_equal(o.tokens, tokens)), tokens)
    counts = table[:, 1].astype(np.uint64, copy=False)
    once = bool((counts == 1).all())
    counts = np.broadcast_to(np.uint64(1), counts.shape) if once else np.ascontiguousarray(counts)
    return FinalRead(place, tokens, counts)


# ---------------------------------------------------------------- text files


@dataclass(frozen=True)
class _Strings:
    streams: tuple[Stream, ...]
    errors: tuple[str, ...]
    servers: tuple[str, ...]
    clients: tuple[str, ...]


def _strings(path: Path) -> _Strings:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not readable as JSON ({_short(error)})") from error
    if not isinstance(held, dict):
        raise BadInput(f"{path}: must be an object with errors, servers, clients and streams")
    names = {}
    for key in ("errors", "servers", "clients"):
        values = held.get(key, [""])
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise BadInput(f"{path}: {key} must be a list of strings")
        names[key] = tuple(values) or ("",)
    streams = held.get("streams")
    if not isinstance(streams, list) or not streams:
        raise BadInput(f"{path}: streams must be a list with at least one stream")
    built = tuple(_build(path, 1, Stream, s) for s in streams)
    for stream in built:
        if not 0 < stream.rate <= 1e6 or not 0 < stream.deadline_ns <= stream.timeout_ns:
            raise BadInput(
                f"{path}: stream {stream.name!r} needs a rate of at most 1e6/s and "
                "0 < deadline_ns <= timeout_ns"
            )
    return _Strings(built, names["errors"], names["servers"], names["clients"])


def _lines(
    path: Path, notes: _Notes, *, missing_is_empty: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line; a torn last line is left out and noted."""
    if not path.exists():
        if missing_is_empty:
            return
        raise BadInput(f"{path}: missing, so nothing is known about the trial")
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise BadInput(f"{path}: larger than 1 GiB; chaoskit did not write this")
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    notes.said.append(f"the last line of {path.name} was torn")
                    return
                yield number, _object(path, number, line)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({_short(error)})") from error


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        held = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}:{number}: not JSON ({_short(error)})") from error
    if not isinstance(held, dict):
        raise BadInput(f"{path}:{number}: must be a JSON object")
    return held


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


# ---------------------------------------------------------------- typed records

_INT, _TEXT = (int,), (str,)
_MAYBE_INT, _MAYBE_TEXT = (int, type(None)), (str, type(None))
_SHAPES: Mapping[type, Mapping[str, tuple[type, ...]]] = {
    Stream: {
        "name": _TEXT, "op": _TEXT, "rate": (int, float), "connections": _TEXT,
        "deadline_ns": _INT, "timeout_ns": _INT, "pinned": _TEXT,
    },
    Observation: {
        "node": _TEXT, "question": _TEXT, "sent_ns": _INT, "done_ns": _INT,
        "value": _MAYBE_TEXT, "epoch": _MAYBE_INT, "error": _MAYBE_TEXT,
    },
    NodeEvent: {
        "node": _TEXT, "t_ns": _INT, "event": _TEXT, "seen_ns": _INT, "detail": _TEXT,
        "epoch": _MAYBE_INT,
    },
    Window: {
        "load_start_ns": _INT, "baseline_start_ns": _INT, "observe_end_ns": _INT,
        "final_read_ns": _MAYBE_INT,
    },
    FaultRecord: {
        "step": _INT, "fault": _TEXT, "target": _TEXT, "nodes": (list,),
        "commanded_ns": _INT, "acknowledged_ns": _INT, "verified_ns": _MAYBE_INT,
        "bitten_ns": _MAYBE_INT, "heal_commanded_ns": _MAYBE_INT, "healed_ns": _MAYBE_INT,
        "felt_healed_ns": _MAYBE_INT, "detail": _TEXT, "params": (dict,),
        "must_bite": (bool,), "problem": _MAYBE_TEXT,
    },
}  # fmt: skip
_OPTIONAL = {
    "epoch", "error", "value", "final_read_ns", "detail", "params", "must_bite", "problem", "pinned"
}  # fmt: skip


def _build(path: Path, line: int, kind: type[T], fields: object) -> T:
    """``kind`` from a JSON object; fields that a newer version added are passed by."""
    what = kind.__name__
    if not isinstance(fields, dict):
        raise BadInput(f"{path}:{line}: {what} must be a JSON object")
    kept: dict[str, Any] = {}
    for name, types in _SHAPES[kind].items():
        if name not in fields:
            if name in _OPTIONAL:
                kept.update({"value": None} if name == "value" else {})
                continue
            raise BadInput(f"{path}:{line}: {what} has no {name}")
        value = fields[name]
        wrong = not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        if wrong or (isinstance(value, int) and not -_LATEST_NS < value < _LATEST_NS):
            raise BadInput(f"{path}:{line}: {name} of {what} cannot be {str(value)[:40]!r}")
        kept[name] = tuple(map(str, value)) if isinstance(value, list) else value
    return kind(**kept)


@dataclass
class _Marked:
    """What ``marks.jsonl`` says, line by line."""

    window: Window | None = None
    faults: dict[int, FaultRecord] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    incidents: list[str] = field(default_factory=list)
    poll_every_ns: int = 50_000_000
    tick_lag_ns: int = 0
    alive_at_end: bool = True
    notes: dict[str, Any] = field(default_factory=dict)

    def take(self, path: Path, line: int, mark: Mapping[str, Any]) -> None:
        """Keep one mark; kinds of a newer version are passed by."""
        kind = mark.get("kind")
        if kind == "fault":
            fault = _build(path, line, FaultRecord, mark.get("fault"))
            self.faults[fault.step] = fault
        elif kind == "window":
            self.window = _build(path, line, Window, mark)
        elif kind == "nodes":
            self.nodes = tuple(_typed(path, line, mark, "nodes", list))
        elif kind == "incident":
            self.incidents.append(_typed(path, line, mark, "text", str))
        elif kind == "poll":
            self.poll_every_ns = _typed(path, line, mark, "every_ns", int)
        elif kind == "tick":
            self.tick_lag_ns = _typed(path, line, mark, "worst_ns", int)
        elif kind == "load":
            self.alive_at_end = _typed(path, line, mark, "alive_at_end", bool)
        elif kind == "note":
            self.notes[_typed(path, line, mark, "key", str)] = mark.get("value")


def _typed(path: Path, line: int, mark: Mapping[str, Any], name: str, kind: type) -> Any:
    value = mark.get(name)
    if not isinstance(value, kind):
        raise BadInput(f"{path}:{line}: a {mark['kind']} mark needs {name}")
    return value
