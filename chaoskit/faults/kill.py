"""``kill``: every process of the node dies at once.

Open connections are reset at once, which is the mildest way to lose a primary and the one that
detectors are tuned for; compare ``partition``. New connections depend on what is left of the node:
in the sandbox lab its network stays and refuses them, in Docker the address goes with the container
and they meet silence.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from pydantic import Field, field_validator

from chaoskit.capabilities import Kills
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.dials import dial

__all__ = ["Kill"]

_GONE_WITHIN_S = 5.0  # SIGKILL takes milliseconds; a process in uninterruptible sleep may take more


class Kill(FaultModel):
    """Sends a signal to every process of the target; healed by starting it again."""

    kind: ClassVar[str] = "kill"
    needs: ClassVar[frozenset[str]] = frozenset({"kill"})
    summary: ClassVar[str] = "the node's processes die at once; healed by starting it again"

    signal: str = Field(
        "SIGKILL",
        description="Signal that ends the node. The fault is verified when no process is left.",
        examples=["SIGKILL", "SIGTERM"],
    )

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str) -> str:
        name = value if value.startswith("SIG") else f"SIG{value}"
        if name not in signals.Signals.__members__:
            raise ValueError(f"unknown signal '{value}'; write a name such as SIGKILL or SIGTERM")
        return name

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there is decided by this fault alone."""
        return frozenset({Claim("life")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Kill every target; verified once the lab finds no incarnation of any of them."""
        kills = cast("Kills", lab)
        number = signals.Signals[self.signal].value
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials, detail=f"{self.signal} to every process")
        try:
            for node in targets.nodes:
                kills.kill(node, number)
            hold.acknowledged_ns = now_ns()
            gone = wait_until(
                lambda: all(lab.identity(node) is None for node in targets.nodes),
                within_s=_GONE_WITHIN_S,
                every_s=0.001,
            )
            hold.verified_ns = now_ns() if gone else None
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            _start_all(lab, targets)
            hold.healed_ns = now_ns()


def _start_all(lab: Lab, targets: Targets) -> None:
    """Start every target that does not run, going on past one that fails."""
    problems = []
    for node in targets.nodes:
        try:
            if lab.identity(node) is None:
                cast("Kills", lab).start(node)
        except LabError as error:
            problems.append(f"{node.name}: {error}")
    if problems:
        raise HealFailed("could not start again: " + "; ".join(problems))
