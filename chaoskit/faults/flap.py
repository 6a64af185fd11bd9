"""``flap``: a link that goes down and up again, as with a bad plug or a confused switch.

With a period near the detection time it is what makes systems fail over and back, again and again.
Each time down is a cut like that of ``partition``, made and read back anew. After ``count`` times
it stays up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self, cast

from pydantic import Field, field_validator, model_validator

from chaoskit.capabilities import Action, Cut, Cuts, Direction
from chaoskit.clock import NS, now_ns
from chaoskit.contracts import CLIENT, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.errors import NotInjected
from chaoskit.faults.cutting import EVERYBODY, cuts_from, prove
from chaoskit.names import Names
from chaoskit.units import PositiveSeconds, Ratio, format_duration, format_ratio

__all__ = ["Flap"]

_SHORTEST_S = 0.02  # a cut takes milliseconds to make and to read back


class Flap(FaultModel):
    """Cuts the target off and joins it again, over and over."""

    kind: ClassVar[str] = "flap"
    needs: ClassVar[frozenset[str]] = frozenset({"cut"})
    summary: ClassVar[str] = "the link goes down and up, over and over; healed by leaving it up"

    period_s: PositiveSeconds = Field(
        1.0,
        alias="period",
        description="From one time down to the next.",
        examples=["500ms", "2s"],
    )
    duty: Ratio = Field(
        0.5, description="Which part of the period it is down.", examples=["50%", "20%"]
    )
    count: int | None = Field(
        None,
        ge=1,
        le=100_000,
        title="Count",
        description="How many times it goes down; then it stays up. Unsaid: until healed.",
        examples=[3],
    )
    from_: Names = Field(
        (EVERYBODY,),
        alias="from",
        min_length=1,
        description="The other side: services, roles, 'client', or 'everybody' (all other "
        "services and the client; never the observer unless it is named).",
        examples=[["backup", "witness"]],
    )
    direction: Direction = Field(
        Direction.BOTH,
        description="'both', or one way as seen from the target: 'receive' or 'send'.",
        examples=["receive"],
    )
    action: Action = Field(
        Action.DROP,
        description="'drop' (silence), 'reject' (TCP reset) or 'unreachable' (ICMP).",
        examples=["reject"],
    )

    @field_validator("count", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("count: a whole number")  # noqa: TRY004 - pydantic's own error
        return value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        down_s = self.period_s * self.duty
        if down_s < _SHORTEST_S or self.period_s - down_s < _SHORTEST_S:
            raise ValueError(
                f"period and duty: it must be down, and up, for {format_duration(_SHORTEST_S)} at "
                f"least; these make {down_s * 1000:.0f} ms down, "
                f"{(self.period_s - down_s) * 1000:.0f} ms up"
            )
        return self

    def selectors(self) -> Mapping[str, tuple[str, ...]]:
        """The other side is resolved when the fault is injected."""
        return {} if self.from_ == (EVERYBODY,) else {"from": self.from_}

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Everything that is tried while it flaps."""
        fails, works = prove(lab, self._cuts(lab, targets))
        return (*fails, *works)

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Down for the first time when this returns, read back; the rest as time goes by."""
        cuts = self._cuts(lab, targets)
        if not cuts:
            raise NotInjected("there is nobody whose link to the target could flap")
        dials, spared = prove(lab, cuts)
        link = _Link(cast("Cuts", lab), cuts, self)
        hold = Hold(now_ns(), 0, None, dials, spared, detail=self._said(cuts))
        try:
            link.down()
            hold.acknowledged_ns = now_ns()
            hold.verified_ns = now_ns() if link.is_down() else None
            hold.tend = link.tend
            yield hold
            hold.detail += f"; {link.downs} times down, {link.late_ns / 1e6:.0f} ms late at worst"
        finally:
            hold.heal_commanded_ns = now_ns()
            link.up()
            hold.healed_ns = now_ns()

    def _cuts(self, lab: Lab, targets: Targets) -> tuple[Cut, ...]:
        return cuts_from(lab, targets, Cut(lab.node(CLIENT), (), self.direction, self.action))

    def _said(self, cuts: tuple[Cut, ...]) -> str:
        peers = ", ".join(peer.name for peer in cuts[0].peers)
        names = ", ".join(cut.node.name for cut in cuts)
        return (
            f"the link of {names} to {peers} is down {format_ratio(self.duty)} of every "
            f"{format_duration(self.period_s)}"
        )


@dataclass
class _Link:
    """The state of the link, and when it changes next."""

    lab: Cuts
    cuts: tuple[Cut, ...]
    fault: Flap
    handle: str | None = None
    downs: int = 0
    began_ns: int = 0
    late_ns: int = 0

    def down(self) -> None:
        """Cut it. Raises ``LabError``; it is up then."""
        self.handle = self.lab.cut(self.cuts)
        self.began_ns = self.began_ns or now_ns()
        self.downs += 1

    def up(self) -> None:
        """Join it. Idempotent. Raises ``HealFailed``."""
        if self.handle is not None:
            self.lab.join(self.handle)
            self.handle = None

    def is_down(self) -> bool:
        """Ask the kernel."""
        return self.handle is not None and self.lab.in_force(self.handle)

    def tend(self) -> bool:
        """Change it if that is due. Moments count from the first, so lateness does not add up."""
        period_ns = int(self.fault.period_s * NS)
        if self.handle is not None:
            due_ns = self.began_ns + (self.downs - 1) * period_ns + int(period_ns * self.fault.duty)
            change = self.up
        elif self.fault.count is None or self.downs < self.fault.count:
            due_ns = self.began_ns + self.downs * period_ns
            change = self.down
        else:
            return False
        late_ns = now_ns() - due_ns
        if late_ns >= 0:
            change()
            self.late_ns = max(self.late_ns, late_ns)
        return False
