"""What the engine writes while a trial runs: marks, and the closing of the raw requests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from chaoskit.history.history import FaultRecord, Window
from chaoskit.history.records import REQUEST

__all__ = ["Marks", "close_requests"]


class Marks:
    """``marks.jsonl``: one line for everything that the engine did, flushed as it is written.

    A later mark of a kind that there is one of (window, nodes, poll, tick, load) replaces the
    earlier one when it is read back.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, kind: str, **facts: object) -> None:
        self._file.write(json.dumps({"kind": kind, **facts}, default=str) + "\n")
        self._file.flush()

    def fault(self, record: FaultRecord) -> None:
        """A fault from command to heal; a later record of the same step replaces it."""
        self._write("fault", fault=asdict(record))

    def window(self, window: Window) -> None:
        """The stretches of the trial."""
        self._write("window", **asdict(window))

    def nodes(self, names: Sequence[str]) -> None:
        """The services that hold data: a final read is owed from each."""
        self._write("nodes", nodes=list(names))

    def incident(self, sentence: str) -> None:
        """Something went wrong with the harness; the trial will be invalid because of it."""
        self._write("incident", text=sentence)

    def poll(self, every_ns: int) -> None:
        """How often each probe asks."""
        self._write("poll", every_ns=every_ns)

    def tick(self, worst_ns: int) -> None:
        """How late the harness's own heartbeat was at worst."""
        self._write("tick", worst_ns=worst_ns)

    def load(self, alive_at_end: bool) -> None:
        """Whether the load was still running when it was told to stop."""
        self._write("load", alive_at_end=alive_at_end)

    def note(self, key: str, value: object) -> None:
        """A fact for the report; JSON."""
        self._write("note", key=key, value=value)

    def close(self) -> None:
        """Closing twice is silent."""
        self._file.close()


def close_requests(raw: Path, npy: Path) -> int:
    """Turn raw records into an ``.npy`` file and remove them. Returns the number of records.

    A record torn at the end is left out. The file appears complete or not at all, and is copied
    in pieces, so that a long run needs no memory.
    """
    count = raw.stat().st_size // REQUEST.itemsize
    part = npy.with_name(npy.name + ".part")
    with raw.open("rb") as source, part.open("wb") as target:
        header = {
            "descr": np.lib.format.dtype_to_descr(REQUEST),
            "fortran_order": False,
            "shape": (count,),
        }
        np.lib.format.write_array_header_1_0(target, header)
        start = target.tell()
        shutil.copyfileobj(source, target, 1 << 20)
        target.truncate(start + count * REQUEST.itemsize)
        target.flush()
        os.fsync(target.fileno())
    part.replace(npy)
    raw.unlink()
    return count
