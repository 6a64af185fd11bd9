"""The measuring comb: requests are due, not sent when there is time.

Slot *k* of a stream is due at ``start + phase + k / rate``; the schedule is absolute and is never
moved. Every arrival is carried on its own, so none waits for the one before. A slot that is
found too late, or for which there is no room, is not sent and is recorded as such: the comb never
catches up in a burst, because that burst would be an overload of our own making.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from chaoskit.history.history import Stream
from chaoskit.history.records import LATE
from chaoskit.load.alarm import Alarm

__all__ = ["FULL", "GROUPED_FROM", "GROUP_NS", "LATE_NS", "Comb", "Dispatcher", "phases"]

LATE_NS = 50_000_000
"""A slot later than this, or than one interval where that is longer, is not sent any more."""

FULL = "not sent: too many requests in flight"
"""What stands in the record of a slot that was not sent, if not ``LATE``."""

GROUP_NS = 1_000_000
GROUPED_FROM = 2_000.0
"""Above so many slots a second, of all combs together, they are issued in groups this far apart.

Waking up twice for a request, once to send it and once for the answer, costs more processor time
than everything else about it. Up to that rate each slot is issued on its own.
"""

_LEAST_ROOM = 64


def phases(streams: Sequence[Stream]) -> list[int]:
    """How far each comb is shifted, ns: evenly over the shortest interval, so none coincide."""
    shortest = 1e9 / max(stream.rate for stream in streams)
    return [int(shortest * index / len(streams)) for index in range(len(streams))]


class Comb:
    """The schedule and the running counts of one stream."""

    __slots__ = (
        "bad",
        "due",
        "in_flight",
        "index",
        "last_ok_ns",
        "late_ns",
        "next_ns",
        "not_sent",
        "ok",
        "phase_ns",
        "room",
        "shed",
        "slot",
        "start_ns",
        "step_ns",
        "stream",
    )

    def __init__(self, stream: Stream, index: int, phase_ns: int = 0) -> None:
        self.stream, self.index, self.phase_ns = stream, index, phase_ns
        self.step_ns = 1e9 / stream.rate
        self.late_ns = max(int(self.step_ns), LATE_NS)
        # Every operation ends at its timeout, so this is twice what an open loop can ever need.
        self.room = _LEAST_ROOM + 2 * math.ceil(stream.rate * stream.timeout_ns / 1e9)
        self.slot = self.start_ns = self.next_ns = 0
        self.shed: tuple[int, int, float] | None = None
        self.due = self.ok = self.bad = self.not_sent = self.in_flight = self.last_ok_ns = 0

    def begin(self, at_ns: int) -> None:
        """Slot 0 is due at ``at_ns`` plus the comb's phase."""
        self.start_ns = self.next_ns = at_ns + self.phase_ns
        self.slot = 0

    def thin(self, slot: int, due_ns: int) -> bool:
        """Whether a slot is not due after all, because the load was dropped for a while.

        Evenly: of any n slots in a row, ``share`` times n are left, up to one.
        """
        if self.shed is None or not self.shed[0] <= due_ns < self.shed[1]:
            return False
        return int((slot + 1) * self.shed[2]) == int(slot * self.shed[2])

    def take(self) -> tuple[int, int]:
        """Number and due time of the next slot; the one after becomes the next."""
        slot, due_ns = self.slot, self.next_ns
        self.slot = slot + 1
        # From the start each time: adding steps up would add up their rounding as well.
        self.next_ns = self.start_ns + int((slot + 1) * self.step_ns)
        self.due += 1
        return slot, due_ns


class Dispatcher:
    """Walks several combs at once. ``issue`` must not block; ``skip`` records what is not sent.

    ``skip`` is called with the comb, slot, due time, a phrase why, and how late it was found.
    """

    def __init__(
        self,
        combs: Sequence[Comb],
        issue: Callable[[Comb, int, int], None],
        skip: Callable[[Comb, int, int, str, int], None],
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.combs = tuple(combs)
        self._issue, self._skip = issue, skip
        self._alarm: Alarm | None = None
        self._now_ns = now_ns
        close = sum(comb.stream.rate for comb in combs) > GROUPED_FROM
        self.group_ns = GROUP_NS if close else 0

    def begin(self, at_ns: int) -> None:
        """Set every comb to its first slot."""
        for comb in self.combs:
            comb.begin(at_ns)

    def next_ns(self) -> int:
        """When the next slot of any comb is due."""
        return min(comb.next_ns for comb in self.combs)

    def step(self) -> None:
        """Issue, or skip, everything that is due by now."""
        now = self._now_ns()
        for comb in self.combs:
            while comb.next_ns <= now:
                slot, due_ns = comb.take()
                if comb.thin(slot, due_ns):
                    comb.due -= 1
                    continue
                late = now - due_ns
                if late > comb.late_ns:
                    self._skip(comb, slot, due_ns, LATE, late)
                elif comb.in_flight >= comb.room:
                    self._skip(comb, slot, due_ns, FULL, late)
                else:
                    comb.in_flight += 1
                    self._issue(comb, slot, due_ns)

    def start(self) -> None:
        """Let the event loop call ``step`` whenever something is due, until ``stop``."""
        self._alarm = Alarm()
        self._alarm.call(self._gone_off)
        self._alarm.set(self.next_ns())

    def _gone_off(self) -> None:
        woke_ns = self._now_ns()
        self.step()
        if self._alarm is not None:
            self._alarm.set(max(self.next_ns(), woke_ns + self.group_ns))

    def stop(self) -> None:
        """Issue no more; stopping twice is silent."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.close()
