"""Request records: packed as they end, written to disk ten times a second.

A client that is killed takes at most the last :data:`FLUSH_EVERY_S` of records with it, because
what was written is in the kernel's hands. Nothing is synced: the machine itself is trusted.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from chaoskit.history.history import Stream

__all__ = ["FLUSH_EVERY_S", "FORMAT", "Recorder"]

FLUSH_EVERY_S = 0.1
FORMAT = "<qqqQQIIHHHBBBBHI"
"""``chaoskit.history.records.REQUEST`` as a struct format; a test holds the two together."""

_MOST_STRINGS = 4096
_TOO_MANY = "other (too many different texts)"


class _Ids:
    """Texts numbered in order of appearance; 0 is "none"."""

    def __init__(self) -> None:
        self.texts = [""]
        self._ids = {"": 0}

    def of(self, text: str) -> tuple[int, bool]:
        """The text's number, and whether it is new."""
        found = self._ids.get(text)
        if found is not None:
            return found, False
        if len(self.texts) >= _MOST_STRINGS and text != _TOO_MANY:
            return self.of(_TOO_MANY)  # a number has two bytes, and this is somebody's defect
        self._ids[text] = len(self.texts)
        self.texts.append(text)
        return self._ids[text], True


class Recorder:
    """Appends records to one file and keeps the texts that they number in another.

    ``add`` costs about two microseconds and never touches the disk; ``flush`` does. Both raise
    ``OSError`` only from ``flush``. Not for use by several threads at once, except ``flush``.
    """

    def __init__(
        self,
        requests: str | Path,
        strings: str | Path,
        clients: Sequence[str],
        streams: Sequence[Stream],
    ) -> None:
        self.written = 0  # records handed over by add
        self._strings = Path(strings)
        self._streams = [asdict(stream) for stream in streams]
        self._errors, self._servers, self._clients = _Ids(), _Ids(), _Ids()
        self._client_ids = [self._clients.of(client)[0] for client in clients]
        self._dirty = True
        self._buffer = bytearray()
        self._pack = struct.Struct(FORMAT).pack
        for place in (Path(requests), self._strings):
            place.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(
            requests, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        self.flush()

    def add(
        self,
        *,
        due_ns: int,
        sent_ns: int,
        done_ns: int,
        op: int,
        outcome: int,
        stream: int,
        client: int = 0,
        token: int = 0,
        seen: int = 0,
        key: int = 0,
        epoch: int = 0,
        error: str = "",
        server: str = "",
        attempt: int = 0,
        flags: int = 0,
    ) -> None:
        """Take one record; it is on disk after the next ``flush``."""
        error_id = server_id = 0
        if error:
            error_id, new = self._errors.of(error)
            self._dirty |= new
        if server:
            server_id, new = self._servers.of(server)
            self._dirty |= new
        self._buffer += self._pack(
            due_ns,
            sent_ns,
            done_ns,
            token & 0xFFFFFFFFFFFFFFFF,
            seen & 0xFFFFFFFFFFFFFFFF,
            key & 0xFFFFFFFF,
            epoch & 0xFFFFFFFF,
            error_id,
            server_id,
            self._client_ids[client],
            op,
            outcome,
            stream,
            min(attempt, 255),
            flags,
            0,
        )
        self.written += 1

    def flush(self) -> None:
        """Write out what was added; first the texts, so that no record names an unknown one."""
        if self._dirty:
            self._dirty = False
            self._write_strings()
        if self._buffer:
            data, self._buffer = self._buffer, bytearray()
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """Flush and close; closing twice is silent."""
        if self._fd >= 0:
            self._dirty = True
            self.flush()
            os.close(self._fd)
            self._fd = -1

    def _write_strings(self) -> None:
        text = json.dumps(
            {
                "errors": self._errors.texts,
                "servers": self._servers.texts,
                "clients": self._clients.texts,
                "streams": self._streams,
            },
            indent=1,
        )
        beside = self._strings.with_name(f".{self._strings.name}.{os.getpid()}")
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(self._strings)
