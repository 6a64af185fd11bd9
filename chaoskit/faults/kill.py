"""``kill``: the node's processes die at once, or one of them does.

Open connections are reset at once, which is the mildest way to lose a primary and the one that
detectors are tuned for; compare ``partition``. New connections depend on what is left of the node:
in the sandbox lab its network stays and refuses them, in Docker the address goes with the container
and they meet silence. ``stop`` asks first; ``crash-loop`` does it again and again.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from pydantic import Field, field_validator

from chaoskit.capabilities import Kills, Processes
from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import OBSERVER, Claim, FaultModel, Hold, Lab, Targets
from chaoskit.errors import HealFailed, LabError
from chaoskit.faults.dials import dial
from chaoskit.faults.ending import GONE_WITHIN_S, all_gone, signal_name, start_all
from chaoskit.faults.named import find, matches

__all__ = ["Kill"]


class Kill(FaultModel):
    """Sends a signal to the target's processes, or to one of them; healed by starting again."""

    kind: ClassVar[str] = "kill"
    needs: ClassVar[frozenset[str]] = frozenset({"kill"})
    summary: ClassVar[str] = "the node's processes die at once; healed by starting it again"

    signal: str = Field(
        "SIGKILL",
        description="Signal that ends it. The fault is verified when the process is gone, so one "
        "that the program survives makes the trial INVALID.",
        examples=["SIGKILL", "SIGTERM", "SIGSEGV"],
    )
    process: str | None = Field(
        None,
        min_length=1,
        description="Only processes of this name, program or command line (globs allowed), while "
        "the others live on; the whole node if not said. Healed when there is one again: if the "
        "service has not seen to that itself, by starting the node anew.",
        examples=["postgres", "postgres: checkpointer*"],
    )

    @field_validator("signal")
    @classmethod
    def _known(cls, value: str) -> str:
        return signal_name(value)

    def claims(self) -> frozenset[Claim]:
        """Whether its processes are there is decided by this fault alone."""
        return frozenset({Claim("life")})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Kill every target; verified once the lab finds no incarnation of any of them."""
        number = signals.Signals[self.signal].value
        if self.process is not None:
            with self._one_process(_acts(lab), lab, targets, self.process) as hold:
                yield hold
            return
        observer = lab.node(OBSERVER)
        dials = tuple(d for node in targets.nodes for d in dial(observer, node))
        hold = Hold(now_ns(), 0, None, dials, detail=f"{self.signal} to every process")
        try:
            hold.acknowledged_ns = max(
                [cast("Kills", lab).kill(node, number) for node in targets.nodes]
            )
            hold.verified_ns = now_ns() if all_gone(lab, targets.nodes) else None
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            start_all(lab, targets.nodes)
            hold.healed_ns = now_ns()

    @contextmanager
    def _one_process(
        self, acts: Processes, lab: Lab, targets: Targets, pattern: str
    ) -> Iterator[Hold]:
        """Only what is named: that the very process is gone is the evidence.

        What the node makes of it is the system's answer: it may serve on, come back or end.
        """
        number = signals.Signals[self.signal].value
        meant = find(acts, targets.nodes, pattern)
        who = ", ".join(f"{p.name} ({p.pid}) of {node.name}" for node, p in meant)
        hold = Hold(now_ns(), 0, None, detail=f"{self.signal} to {who}")
        hold.outside, hold.may_end = False, True
        try:
            for node, process in meant:
                acts.signal_process(node, process, number)
            hold.acknowledged_ns = now_ns()
            gone = wait_until(
                lambda: not any(acts.runs(process) for _, process in meant),
                within_s=GONE_WITHIN_S,
                every_s=0.001,
            )
            hold.verified_ns = now_ns() if gone else None
            yield hold
        finally:
            hold.heal_commanded_ns = now_ns()
            _end_where_it_did_not_come_back(lab, targets, pattern)
            start_all(lab, targets.nodes)
            hold.healed_ns = now_ns()


def _acts(lab: Lab) -> Processes:
    if not isinstance(lab, Processes):
        raise LabError(f"the {lab.name} lab cannot reach a single process of a node")
    return lab


def _end_where_it_did_not_come_back(lab: Lab, targets: Targets, pattern: str) -> None:
    for node in targets.nodes:
        if lab.identity(node) is None:
            continue
        try:
            there = _acts(lab).processes(node)
            if not any(matches(pattern, process) for process in there):
                cast("Kills", lab).kill(node, signals.SIGKILL)
        except LabError as error:
            if lab.identity(node) is not None:
                raise HealFailed(f"{node.name} could not be made whole: {error}") from error
