"""What a node has executed, on its disk before anybody is told: a log that only grows.

One thread writes and syncs, everything that came meanwhile in one go; the event loop never waits
for a disk. ``trouble`` says when the disk has not taken what it was given: a node that goes on
all the same is a primary that nobody replaces and that serves nobody.

The log is not read again: a node that starts anew begins blank and copies from its peer.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from chaoskit.reference.settings import BadSettings
from chaoskit.reference.store import Store

__all__ = ["Durable", "Told"]

Told = Callable[[bool], None]
"""Called once: True when it is on the disk, False when that cannot be waited for any longer."""

_AGAIN_S = 0.1
_NAME = "writes.log"


class Durable:
    """The log of one node in ``folder``. Everything but the thread's own work is for the loop.

    Raises ``BadSettings`` if that is no folder that can be written to.
    """

    def __init__(self, folder: Path, patience_s: float) -> None:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise BadSettings(f"CHAOSKIT_DATA={folder}: not a folder that can be written to")
        self._path, self._patience_s = folder / _NAME, patience_s
        self._store: Store | None = None
        self._seq = self._tokens = 0  # of that store: what was taken so far
        self._taken = self._synced = 0  # records
        self._since = 0.0  # when the oldest record was taken that is not on the disk
        self._waiting: deque[tuple[int, Told]] = deque()
        self._loop = asyncio.get_running_loop()
        # Shared with the thread, under the condition.
        self._changed = threading.Condition()
        self._records: list[tuple[int, bytes]] = []
        self._error = ""
        self._over = False
        self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
        self._thread.start()

    def take(self, store: Store) -> None:
        """Whatever the store holds that was not taken yet is to be written."""
        if store is not self._store:
            self._store, self._seq, self._tokens = store, 0, 0
        if (store.seq, len(store.tokens)) == (self._seq, self._tokens):
            return
        record = {
            "seq": store.seq,
            "tokens": store.tokens[self._tokens :].tolist(),
            "registers": store.entries_after(self._seq),
        }
        self._seq, self._tokens = store.seq, len(store.tokens)
        if self._taken == self._synced:
            self._since = time.monotonic()
        self._taken += 1
        with self._changed:
            self._records.append((self._taken, json.dumps(record).encode() + b"\n"))
            self._changed.notify()

    def after(self, told: Told) -> None:
        """Tell when everything that was taken so far is on the disk; at once if it is."""
        if self._taken == self._synced:
            told(True)
        else:
            self._waiting.append((self._taken, told))

    def trouble(self) -> str:
        """Why nobody should rely on this disk now; empty if all is well."""
        with self._changed:
            if self._error:
                return self._error
        waited = time.monotonic() - self._since if self._taken != self._synced else 0.0
        return "nothing was synced for too long" if waited > self._patience_s else ""

    def give_up(self) -> None:
        """Tell all who wait that it cannot be waited for."""
        while self._waiting:
            self._waiting.popleft()[1](False)

    def close(self) -> None:
        """End the thread as soon as the disk lets it; for tests."""
        with self._changed:
            self._over = True
            self._changed.notify()

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        at, file = 0, -1
        batch: list[tuple[int, bytes]] = []
        while True:
            with self._changed:
                while not (batch or self._records or self._over):
                    self._changed.wait()
                if self._over:
                    break
                batch, self._records = batch + self._records, []
            try:
                if file < 0:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                    file = os.open(self._path, flags, 0o600)
                at = _written(file, b"".join(data for _, data in batch), at)
            except OSError as error:
                self._failed(error.strerror or str(error))
                continue
            upto, batch = batch[-1][0], []
            self._failed("")
            try:
                self._loop.call_soon_threadsafe(self._done, upto)
            except RuntimeError:
                break  # the loop has ended
        if file >= 0:
            os.close(file)

    def _failed(self, said: str) -> None:
        with self._changed:
            self._error = said
            if said and not self._over:
                self._changed.wait(_AGAIN_S)

    def _done(self, upto: int) -> None:
        self._synced, self._since = upto, time.monotonic()
        while self._waiting and self._waiting[0][0] <= upto:
            self._waiting.popleft()[1](True)


def _written(file: int, data: bytes, at: int) -> int:
    """Write all of it there and sync; where it ends. What a failed write left is overwritten."""
    end = at + len(data)
    while at < end:
        at += os.pwrite(file, data[len(data) - (end - at) :], at)
    os.fdatasync(file)
    return end
