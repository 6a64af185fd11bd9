"""What a node stores, and how writes that were made in different places become one state.

The order in which writes of different origins arrive does not matter, and one that arrives twice
changes nothing: two nodes that have the same writes hold the same registers and the same set of
tokens.
"""

from __future__ import annotations

from array import array

from chaoskit.reference.active_active.messages import Op, Vector

__all__ = ["Merged"]


class Merged:
    """Registers: the last writer wins, by (hybrid counter, origin). Log: union of all tokens.

    The counter of a write is one more than every counter that its node had seen: a write made in
    knowledge of another wins over it. Of two made without knowledge of each other one wins, the
    same one everywhere, and the other is gone although it was acknowledged; the log keeps both.
    """

    def __init__(self) -> None:
        self.counter = 0
        self.logs: dict[str, list[Op]] = {}
        self.kv: dict[str, tuple[int, str, int]] = {}  # key → counter, origin, value
        self.tokens: array[int] = array("Q")

    def vector(self) -> Vector:
        """How many writes of each origin are here."""
        return {origin: len(log) for origin, log in self.logs.items()}

    def make(self, origin: str, key: str, value: int) -> int:
        """A client's write, made here; its number among those of ``origin``."""
        self._add(origin, (self.counter + 1, key, value))
        return len(self.logs[origin])

    def take(self, origin: str, first: int, ops: tuple[Op, ...]) -> None:
        """Writes from elsewhere. What is here already is passed by; what leaves a gap as well."""
        have = len(self.logs.get(origin, ()))
        if first > have + 1:
            return
        for counter, key, value in ops[have + 1 - first :]:
            self._add(origin, (int(counter), str(key), int(value)))

    def after(self, origin: str, have: int, most: int) -> tuple[Op, ...]:
        """The next writes of an origin for somebody who has ``have`` of them."""
        return tuple(self.logs.get(origin, ())[have : have + most])

    def covers(self, vector: Vector) -> bool:
        """Whether everything that ``vector`` counts is here."""
        return all(len(self.logs.get(o, ())) >= count for o, count in vector.items())

    def read(self, key: str) -> tuple[int | None, int]:
        """Value and counter of a register; (None, 0) if it was never written."""
        entry = self.kv.get(key)
        return (entry[2], entry[0]) if entry else (None, 0)

    def _add(self, origin: str, op: Op) -> None:
        counter, key, value = op
        self.logs.setdefault(origin, []).append(op)
        self.counter = max(self.counter, counter)
        if not key:
            self.tokens.append(value)
            return
        held = self.kv.get(key)
        if held is None or (counter, origin) > held[:2]:
            self.kv[key] = (counter, origin, value)
