"""What is stored: registers, and a log of tokens. Pure data, one order of writes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from chaoskit.reference.messages import Entry, Op

__all__ = ["Store"]


class Store:
    """Registers and log after the first ``seq`` writes.

    A dict keeps the order of insertion; a register is taken out and put in again when it is
    written, so that the last ones in ``kv`` are the last ones written and a copy can go on from
    where it was.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.kv: dict[str, tuple[int, int, int]] = {}  # key → value, version, seq
        self.tokens: array[int] = array("Q")

    def apply(self, op: Op) -> int:
        """Execute the next write; the new version of the register, or the length of the log."""
        seq, key, value = op
        self.seq = seq
        if not key:
            self.tokens.append(value)
            return len(self.tokens)
        before = self.kv.pop(key, None)
        version = before[1] + 1 if before else 1
        self.kv[key] = (value, version, seq)
        return version

    def read(self, key: str) -> tuple[int | None, int]:
        """Value and version of a register; (None, 0) if it was never written."""
        entry = self.kv.get(key)
        return (entry[0], entry[1]) if entry else (None, 0)

    def entries_after(self, seq: int) -> list[Entry]:
        """Every register written after write ``seq``, in the order of their last writes."""
        found: list[Entry] = []
        for key in reversed(self.kv):
            value, version, written = self.kv[key]
            if written <= seq:
                break
            found.append((key, value, version, written))
        found.reverse()
        return found

    def fill(self, tokens: Iterable[int], entries: Iterable[Entry]) -> None:
        """Take in a piece of somebody else's state."""
        self.tokens.extend(tokens)
        for key, value, version, seq in entries:
            self.kv.pop(key, None)
            self.kv[key] = (value, version, seq)
