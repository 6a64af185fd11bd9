"""How long an operator takes: a fixed time, or one drawn from a distribution by the run's seed.

::

    reaction: 800ms
    reaction: {normal: {mean: 2s, sd: 500ms}}            never below 0
    reaction: {lognormal: {median: 2s, sigma: 0.5}}      sigma of the logarithm
    reaction: {uniform: {from: 1s, to: 5s}}
"""

from __future__ import annotations

import math
import random
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from chaoskit.units import DURATION_PATTERN, PositiveSeconds, Seconds, format_duration

__all__ = ["Reaction", "ReactionTime"]

_KINDS = ("fixed", "normal", "lognormal", "uniform")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class _Normal(_Frozen):
    """Gauss; what would be below zero is zero."""

    mean: Seconds
    sd: Seconds


class _LogNormal(_Frozen):
    """Most answer at about the median, some much later: what reaction times look like."""

    median: PositiveSeconds
    sigma: Annotated[float, Field(gt=0, le=5)]


class _Uniform(_Frozen):
    """Every time between the two is as likely."""

    low: Seconds = Field(alias="from")
    high: Seconds = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> _Uniform:
        if self.high < self.low:
            raise ValueError("from is later than to")
        return self


class ReactionTime(_Frozen):
    """Exactly one of its fields is set."""

    fixed: Seconds | None = None
    normal: _Normal | None = None
    lognormal: _LogNormal | None = None
    uniform: _Uniform | None = None

    @model_validator(mode="after")
    def _one(self) -> ReactionTime:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            raise ValueError("give one of normal, lognormal, uniform, or a duration such as 800ms")
        return self

    @model_serializer
    def _written(self) -> Any:
        """As a file says it."""
        if self.fixed is not None:
            return format_duration(self.fixed)
        if self.normal:
            facts = {"mean": self.normal.mean, "sd": self.normal.sd}
            return {"normal": {k: format_duration(v) for k, v in facts.items()}}
        if self.lognormal:
            median = format_duration(self.lognormal.median)
            return {"lognormal": {"median": median, "sigma": self.lognormal.sigma}}
        low, high = (self.uniform.low, self.uniform.high) if self.uniform else (0.0, 0.0)
        return {"uniform": {"from": format_duration(low), "to": format_duration(high)}}

    def draw(self, rng: random.Random) -> float:
        """Seconds; the same for the same state of ``rng``."""
        if self.normal:
            return max(0.0, rng.gauss(self.normal.mean, self.normal.sd))
        if self.lognormal:
            return rng.lognormvariate(math.log(self.lognormal.median), self.lognormal.sigma)
        if self.uniform:
            return rng.uniform(self.uniform.low, self.uniform.high)
        return self.fixed or 0.0


def _plain(value: object) -> object:
    return value if isinstance(value, dict | ReactionTime) else {"fixed": value}


_DURATION = {"type": ["string", "integer"], "pattern": DURATION_PATTERN}
_SCHEMA = {
    "anyOf": [
        _DURATION,
        *(
            {
                "type": "object",
                "properties": {
                    kind: {
                        "type": "object",
                        "properties": dict(fields),
                        "required": list(fields),
                        "additionalProperties": False,
                    }
                },
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, fields in (
                ("normal", {"mean": _DURATION, "sd": _DURATION}),
                ("lognormal", {"median": _DURATION, "sigma": {"type": "number"}}),
                ("uniform", {"from": _DURATION, "to": _DURATION}),
            )
        ),
    ]
}

Reaction = Annotated[ReactionTime, BeforeValidator(_plain), WithJsonSchema(_SCHEMA)]
"""A reaction time as a field of a fault."""
