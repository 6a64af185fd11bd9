"""What an experiment says of a system that stays down after the fault is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chaoskit.units import PositiveSeconds, Ratio, Seconds

__all__ = ["MetastabilitySpec", "ShedSpec"]

_LOOKED_AT_AFTER_S = 5.0


def _between(value: float) -> float:
    if not 0 < value < 1:
        sentence = "must be between 0% and 100%, both excluded"
        raise PydanticCustomError("chaoskit", "{sentence}", {"sentence": sentence})
    return value


_Share = Annotated[Ratio, AfterValidator(_between)]


class ShedSpec(BaseModel):
    """The load is dropped for a while, once, and restored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: _Share = Field(0.5, title="To", description="So much of the load is left meanwhile.")
    for_s: PositiveSeconds = Field(20.0, alias="for", title="For", description="How long.")


class MetastabilitySpec(BaseModel):
    """When a system that stays degraded after heal counts as metastable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grace_s: Seconds = Field(
        5.0, alias="grace", title="Grace", description="After the last heal; not looked at."
    )
    below: _Share = Field(
        0.1, title="Below", description="So much less goodput than the baseline is degraded."
    )
    after_s: PositiveSeconds = Field(
        60.0, alias="after", title="After", description="Degraded for so long: suspected."
    )
    shed: ShedSpec | None = Field(
        None,
        title="Shed",
        description="Then the load is dropped and restored; only then it ended: confirmed.",
        examples=[{"to": "50%", "for": "20s"}],
    )

    def terms(self) -> Mapping[str, float]:
        """What measuring needs of it; seconds and a share."""
        return {"grace_s": self.grace_s, "below": self.below, "after_s": self.after_s}

    def takes_s(self) -> float:
        """How long a trial goes on after the last heal to tell."""
        shed = self.shed.for_s if self.shed else 0.0
        return self.grace_s + self.after_s + shed + _LOOKED_AT_AFTER_S
