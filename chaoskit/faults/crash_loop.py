"""``crash-loop``: the node dies, is started, and dies again, until it is healed.

What a supervisor makes of a node that cannot live: up for a moment, down again. A detector that
takes each start for a recovery promotes it, or hands back to it, again and again.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Self, cast

from pydantic import Field, model_validator

from chaoskit.capabilities import Kills
from chaoskit.clock import NS, now_ns
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.faults.dials import dial
from chaoskit.faults.ending import all_gone, start_all
from chaoskit.units import PositiveSeconds, format_duration

__all__ = ["CrashLoop"]


class CrashLoop(FaultModel):
    """SIGKILL, a start after ``down``, and again ``every`` so often; healed by a last start."""

    kind: ClassVar[str] = "crash-loop"
    needs: ClassVar[frozenset[str]] = frozenset({"kill"})
    summary: ClassVar[str] = "the node dies again and again; healed by starting it for good"

    every_s: PositiveSeconds = Field(
        1.0,
        alias="every",
        description="From one kill to the next; where starting takes longer, as soon as it runs.",
        examples=["1s"],
    )
    down_s: PositiveSeconds = Field(
        0.3,
        alias="down",
        description="How long it is down each time; shorter than 'every'.",
        examples=["300ms"],
    )
    times: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="How often it dies; until the step's 'for' is over if not said.",
        examples=[5],
    )

    @model_validator(mode="after")
    def _up_for_a_moment(self) -> Self:
        if self.down_s >= self.every_s:
            raise ValueError(
                f"down: {format_duration(self.down_s)} must be shorter than every: "
                f"{format_duration(self.every_s)}, or the node is never up"
            )
        return self

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there is decided by this fault alone."""
        return frozenset({Claim("life")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Kill every target, and go on from there; each death is verified."""
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials, detail=f"dies every {format_duration(self.every_s)}")
        loop = _Loop(self, lab, targets)
        try:
            hold.acknowledged_ns = loop.strike()
            loop.see_them_gone()
            hold.verified_ns = now_ns() if loop.problem is None else None
            hold.tend = loop.tend
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            start_all(lab, targets.nodes)
            hold.healed_ns = now_ns()
            hold.detail = f"died {loop.deaths} times, seen to be gone each time"
            if loop.problem is not None:
                hold.verified_ns, hold.detail = None, loop.problem


class _Loop:
    """Where in the loop the targets are; they die and start together."""

    def __init__(self, fault: CrashLoop, lab: Lab, targets: Targets) -> None:
        self._fault, self._lab, self._nodes = fault, lab, targets.nodes
        self._last_ns = 0
        self._down = False
        self._runs: dict[str, str | None] = {}  # the incarnations that we have started
        self.deaths = 0
        self.problem: str | None = None

    def strike(self) -> int:
        """Kill all of them; when the last was told to end."""
        told_ns = self._last_ns = now_ns()
        self._down = True
        for node in self._nodes:
            now = self._lab.identity(node)
            if node.name in self._runs and now != self._runs[node.name]:
                how = "had ended" if now is None else "had been started anew"
                self.problem = f"{node.name} {how} by itself before death {self.deaths + 1}"
            if now is not None:
                told_ns = cast("Kills", self._lab).kill(node, signals.SIGKILL)
        self.deaths += 1
        return told_ns

    def see_them_gone(self) -> None:
        """Note it where that death did not come; to ask an engine takes its time."""
        if not all_gone(self._lab, self._nodes):
            self.problem = f"death {self.deaths} could not be verified: a process is left"

    def tend(self) -> bool:
        """Do what is due; True if anything was."""
        since_ns = now_ns() - self._last_ns
        if self._down and since_ns >= self._fault.down_s * NS:
            self._down = False
            start_all(self._lab, self._nodes)
            self._runs = {node.name: self._lab.identity(node) for node in self._nodes}
            return True
        over = self._fault.times is not None and self.deaths >= self._fault.times
        if not self._down and not over and since_ns >= self._fault.every_s * NS:
            self.strike()
            self.see_them_gone()
            return True
        return False
