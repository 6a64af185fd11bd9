"""``cpu``: the node gets so much processor time and no more.

All its processes together run for a quota of each period and stand still for the rest of it, as
under a container's CPU limit or on a host that is oversold. It answers, only late and in bursts;
what it does by the clock, heartbeats and leases among it, is late as well. That is the slow primary
that no detector declares dead. A node that never needs more than it is left does not feel it: the
kernel's count of throttled periods is the evidence, and without one the trial is INVALID.

The quota is one of a control group (version 1 or 2): the container's own in Docker, one of ours in
the sandbox lab, where the node's processes are moved into it and back. Both need root.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from chaoskit import resources
from chaoskit.contracts import Claim, FaultModel, Hold, Lab, Targets
from chaoskit.faults.limiting import limited
from chaoskit.units import PositiveSeconds, format_duration

__all__ = ["Cpu"]

_LEAST_US = 1000  # the kernel's own bounds on quota and period
_MOST_US = 1_000_000


class Cpu(FaultModel):
    """Limits processor time."""

    kind: ClassVar[str] = "cpu"
    needs: ClassVar[frozenset[str]] = frozenset({"limit"})
    summary: ClassVar[str] = (
        "the node gets little processor time; healed by the quota that it had before"
    )

    cpus: Annotated[float, Field(ge=0.001, le=1024, allow_inf_nan=False)] = Field(
        description="How many processors' worth of time all its processes share: 0.1 is a tenth of "
        "one.",
        examples=[0.1, 0.5],
    )
    period_s: PositiveSeconds = Field(
        0.1,
        alias="period",
        description="The quota is counted anew after this, from 1ms to 1s: a long period makes "
        "long pauses.",
        examples=["100ms", "1s"],
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not _LEAST_US <= self.period_us <= _MOST_US:
            raise ValueError("period: from 1ms to 1s")
        if self.quota_us < _LEAST_US:
            raise ValueError(
                f"cpus: {self.cpus:g} of a period of {format_duration(self.period_s)} is less than "
                "1ms, the least that the kernel can count; take more, or a longer period"
            )
        return self

    @property
    def period_us(self) -> int:
        """In whole microseconds."""
        return round(self.period_s * 1e6)

    @property
    def quota_us(self) -> int:
        """What is left of each period, in whole microseconds."""
        return round(self.cpus * self.period_us)

    def features(self) -> frozenset[str]:
        """The controller."""
        return frozenset({"cgroup-cpu"})

    def claims(self) -> frozenset[Claim]:
        """Its quota; one that stands still by another fault would not use it up."""
        return frozenset({Claim("cpu"), Claim("run", share=True)})

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Set the quota; verified by reading it back, bitten when the kernel has throttled."""
        limits = [resources.Cpu(node, self.quota_us, self.period_us) for node in targets.nodes]
        names = ", ".join(node.name for node in targets.nodes)
        detail = (
            f"{names}: {self.quota_us / 1000:g} ms of processor time in every "
            f"{format_duration(self.period_s)}"
        )
        with limited(lab, targets, limits, detail) as hold:
            yield hold
