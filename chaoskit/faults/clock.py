"""``clock``: the node's time of day is wrong: it jumps, or runs too fast or too slow.

What leases, time stamps, certificates and "last writer wins" are built on. Intervals and time-outs
that are measured as they should be (CLOCK_MONOTONIC) do not notice; that is the question.

All containers of a machine have one time of day and no namespace gives them another, so a service
has to be started with libfaketime (Debian: package libfaketime; in Docker in the service's image).
It opts in with the label ``chaoskit.clock: faketime`` and in its environment::

    LD_PRELOAD: /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
    FAKETIME_TIMESTAMP_FILE: /tmp/faketime       # a file of the node's own that need not exist
    FAKETIME_NO_CACHE: "1"                       # a shift is noticed at once
    FAKETIME_DONT_FAKE_MONOTONIC: "1"            # intervals stay as they are

Programs that are linked statically, or ask the kernel past the C library (Go), cannot be reached.
Before 0.9.11 libfaketime makes ``clock_nanosleep`` with an absolute time fail, which is what
``time.sleep`` of Python 3.11 and later calls: see whether the service runs with it at all.
Verified by what a program in the node reads, before, while it is on and afterwards. Drift is made
of small steps, some twenty a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar, Self, cast

from pydantic import Field, model_validator

from chaoskit.clock import NS, now_ns, wait_until
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Node, Targets
from chaoskit.errors import HealFailed
from chaoskit.faults.limiting import every, refuse_own
from chaoskit.resources import ClockShift, ShiftsClock
from chaoskit.units import Ratio, Seconds, format_duration, format_ratio

__all__ = ["Clock", "Way"]

_LEAST_S, _MOST_S = 0.2, 10 * 365 * 86400.0
_READ_S = 5.0
_NEAR_S = 0.5  # a clock that is as far off as this by a reading is right, or as wrong as it should


class Way(StrEnum):
    """Which way it is wrong."""

    AHEAD = "ahead"
    BEHIND = "behind"


class Clock(FaultModel):
    """Shifts the time of day."""

    kind: ClassVar[str] = "clock"
    needs: ClassVar[frozenset[str]] = frozenset({"clock"})
    labels: ClassVar[frozenset[str]] = frozenset({"chaoskit.clock"})
    summary: ClassVar[str] = "the node's time of day is wrong; healed by setting it right at once"

    jump_s: Seconds = Field(
        0.0,
        alias="jump",
        description="By how much it is wrong from the beginning: 0, or from 200ms to ten years.",
        examples=["1h", "300s"],
    )
    drift: Ratio = Field(
        0.0,
        description="How much more it is wrong with every second that passes: 10% is 100 ms each.",
        examples=["10%"],
    )
    way: Way = Field(
        Way.AHEAD, description="'ahead' (fast) or 'behind' (slow).", examples=["behind"]
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not self.jump_s and not self.drift:
            raise ValueError("jump or drift: one of them, or both, must be more than 0")
        if self.jump_s and not _LEAST_S <= self.jump_s <= _MOST_S:
            raise ValueError("jump: 0, or from 200ms to ten years")
        return self

    def features(self) -> frozenset[str]:
        """The library, where it would have to be on this machine."""
        return frozenset({"libfaketime"})

    def claims(self) -> frozenset[Claim]:
        """Its clock; its processes must be there all the while."""
        return frozenset({Claim("clock"), Claim("life", share=True), Claim("run", share=True)})

    def offset_s(self, after_s: float) -> float:
        """By how much it is ahead of the right time, so long after the fault began."""
        size = self.jump_s + self.drift * after_s
        return size if self.way is Way.AHEAD else -size

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Shift the clocks; verified by reading them, a drift only before the heal."""
        refuse_own(targets)
        clocks = cast("ShiftsClock", lab)
        right = {node: clocks.clock_offset(node) for node in targets.nodes}
        hold = Hold(now_ns(), 0, None, detail=self._said(targets))
        hold.outside = False
        began = hold.commanded_ns
        handle = clocks.shift_clock([ClockShift(n, self.offset_s(0.0)) for n in targets.nodes])
        try:
            hold.acknowledged_ns = now_ns()
            verified = clocks.clock_shifted(handle)
            if self.jump_s:  # a drift has to add up first: it is read before the heal
                verified = verified and self._reads(clocks, right, began)
            hold.verified_ns = now_ns() if verified else None
            hold.in_force = lambda: clocks.clock_shifted(handle)
            if self.drift:
                hold.tend = every(lambda: clocks.move_clock(handle, self._now(began)))
            yield hold
            if self.drift:
                clocks.move_clock(handle, self._now(began))
            if not (clocks.clock_shifted(handle) and self._reads(clocks, right, began)):
                hold.verified_ns = None
                hold.detail += "; the clock was not as wrong as it should be before the heal"
        finally:
            hold.heal_commanded_ns = now_ns()
            clocks.unshift_clock(handle)
            _see_right(clocks, right)
            hold.healed_ns = now_ns()

    def _now(self, began_ns: int) -> float:
        return self.offset_s((now_ns() - began_ns) / NS)

    def _reads(self, clocks: ShiftsClock, right: dict[Node, float], began_ns: int) -> bool:
        """Whether a program in each node reads what it should: nearer to that than to the truth."""

        def look() -> bool:
            for node, before in right.items():
                wanted = self._now(began_ns) if self.drift else self.offset_s(0.0)
                off = clocks.clock_offset(node) - before - wanted
                if abs(off) > min(_NEAR_S, abs(wanted) / 2):
                    return False
            return True

        return bool(wait_until(look, within_s=_READ_S, every_s=0.01))

    def _said(self, targets: Targets) -> str:
        names = ", ".join(node.name for node in targets.nodes)
        said = [format_duration(self.jump_s)] if self.jump_s else []
        said += [f"{format_ratio(self.drift)} of the time that passes"] if self.drift else []
        return f"{names}: the clock is {self.way.value} by {' and '.join(said)}"


def _see_right(clocks: ShiftsClock, right: dict[Node, float]) -> None:
    for node, before in right.items():

        def look(node: Node = node, before: float = before) -> bool:
            return abs(clocks.clock_offset(node) - before) < _NEAR_S

        if not wait_until(look, within_s=_READ_S, every_s=0.01):
            raise HealFailed(f"the clock of {node.name} does not read right after the heal")
