"""One step of an experiment: when, whom, what, for how long, how often."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chaoskit.contracts import FaultModel
from chaoskit.experiment.trigger import Trigger, When
from chaoskit.names import Names
from chaoskit.units import PositiveSeconds, Seconds, format_duration
from chaoskit.yaml_source import Mark

__all__ = ["Again", "Step", "ends_s", "unfolded"]

_WITHIN_S = 10.0
_WITHIN_STEP_S = 2.0  # past the moment at which the other step is due to do it
MOST_OCCURRENCES = 1000
_NOWHERE = Mark("the experiment", 1, 1)  # of a step that no file says


def _complain(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("chaoskit", "{sentence}", {"sentence": sentence})


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise _complain("must be a whole number")
    return value


class Again(BaseModel):
    """A step that happens several times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_s: PositiveSeconds = Field(
        alias="every",
        title="Every",
        description="From one beginning to the next.",
        examples=["2s"],
    )
    times: Annotated[int, Field(ge=2, le=MOST_OCCURRENCES), BeforeValidator(_whole)] = Field(
        title="Times", description="How often in all.", examples=[5]
    )


class Step(BaseModel):
    """One fault: when, whom, for how long. Seconds from the end of warm-up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_s: Seconds | None = Field(
        None, alias="at", title="At", description="When, from the end of warm-up.", examples=["4s"]
    )
    when: When | None = Field(
        None,
        title="When",
        description="What it waits for, instead of 'at', once the steps before it are in force.",
        examples=["role backup -> primary", "first bad request", "step 1 healed"],
    )
    after_s: Seconds = Field(
        0.0,
        alias="after",
        title="After",
        description="How long after what it waited for.",
        examples=["50ms"],
    )
    within_s: PositiveSeconds | None = Field(
        None,
        alias="within",
        title="Within",
        description="How long it waits: 10s if not said, or 2s past the moment at which the other "
        "step is due. If it does not happen, the trial is invalid, unless the step is optional.",
        examples=["5s"],
    )
    optional: bool = Field(
        False,
        title="Optional",
        description="Whether the trial counts also if what the step waits for never happens: its "
        "'when', or a failover that is pending where the fault is 'approve'.",
        examples=[True],
    )
    for_s: PositiveSeconds | None = Field(
        None,
        alias="for",
        title="For",
        description="Healed after this; at the end if not said.",
        examples=["3s"],
    )
    target: Names = Field(
        (),
        title="Target",
        description="Roles or services, resolved at the moment of injection.",
        examples=[
            "primary",
            ["backup", "witness"],
            "service:db-1",
            "not primary",
            "any",
            "all",
            "minority",
            "majority",
        ],
    )
    repeat: Again | None = Field(
        None,
        title="Repeat",
        description="Once more and again: how often, and how far apart.",
        examples=[{"every": "2s", "times": 5}],
    )
    fault: SerializeAsAny[FaultModel]
    choose: tuple[SerializeAsAny[Step], ...] = Field(
        (),
        title="Choose",
        description="Instead of 'fault': several, of which the run's seed takes one each time.",
    )
    _mark: Mark | None = PrivateAttr(None)
    _when_mark: Mark | None = PrivateAttr(None)
    _origin: int = PrivateAttr(-1)

    @model_validator(mode="after")
    def _one_kind_of_time(self) -> Self:
        if self.at_s is None and self.when is None:
            raise _complain("'at' is missing: when, from the end of warm-up; or 'when'")
        if self.at_s is not None and self.when is not None:
            raise _complain("give either 'at' or 'when'")
        if self.when is None and (self.after_s or self.within_s):
            raise _complain("'after' and 'within' belong to a step with 'when'")
        if self.optional and self.when is None and not self._may_wait():
            raise _complain(
                "'optional' belongs to a step that waits: one with 'when', or one whose fault "
                "waits for the system (approve)"
            )
        if self.repeat is not None:
            longest = max((step.for_s or float("inf")) for step in self.alternatives())
            if longest >= self.repeat.every_s:
                raise _complain(
                    "a step that repeats needs a 'for' that is shorter than 'every', so that it "
                    "is healed before it comes again"
                )
        return self

    def _may_wait(self) -> bool:
        """Whether a fault of it waits; one that could not be read is complained of elsewhere."""
        faults = [one.fault for one in self.alternatives()]
        return any(fault.waits or type(fault) is FaultModel for fault in faults)

    @property
    def line(self) -> int:
        """Where it stands in the experiment file; 0 if it did not come from one."""
        return self._mark.line if self._mark else 0

    @property
    def place(self) -> Mark:
        """Where it stands in the experiment file, for problems that are found later."""
        return self._mark or _NOWHERE

    @property
    def when_place(self) -> Mark:
        """The same of its ``when``; of the step itself, where it has none."""
        return self._when_mark or self.place

    def standing_in(self, mark: Mark, when: Mark | None = None) -> Step:
        """The same step, once it is known where it, and its ``when``, stand."""
        self._mark, self._when_mark = mark, when
        return self

    @property
    def origin(self) -> int:
        """Which step of the file it came from, counted from 0; -1: it is not unfolded."""
        return self._origin

    def alternatives(self) -> tuple[Step, ...]:
        """Every step that this one may turn out to be: itself, where there is nothing to choose."""
        return self.choose or (self,)

    @property
    def waits_s(self) -> float:
        """How long a step with ``when`` waits, past the moment it starts to."""
        if self.within_s is not None:
            return self.within_s
        return _WITHIN_STEP_S if self.when and self.when.kind == "step" else _WITHIN_S

    def __str__(self) -> str:
        begin = f"when {self.when}" if self.when else format_duration(self.at_s or 0.0)
        if self.after_s:
            begin += f" and {format_duration(self.after_s)} more"
        again = self.repeat
        end = f" every {format_duration(again.every_s)}, {again.times} times" if again else ""
        return f"{begin}: {' or '.join(_what(step) for step in self.alternatives())}{end}"


def _what(step: Step) -> str:
    parameters = step.fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    said = "".join(f" {name}={_short(value)}" for name, value in parameters.items())
    whom = f" {', '.join(step.target)}" if step.target else ""
    how_long = f" for {format_duration(step.for_s)}" if step.for_s else ""
    return f"{step.fault.kind}{whom}{said}{how_long}"


def _short(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def ends_s(steps: Sequence[Step]) -> tuple[tuple[float, float], ...]:
    """Of each step the latest moment at which it can begin and end, from the end of warm-up.

    A step that waits does so from the latest beginning of those before it, of their last
    repetitions; it ends where its own last one is healed, or begins, where it has no ``for``.
    """
    found: list[tuple[float, float]] = []
    lasts: list[tuple[float, float]] = []  # the same of the last repetitions
    for step in steps:
        if step.when is None:
            begin = step.at_s or 0.0
        else:
            begin = _armed_s(step.when, lasts) + step.waits_s + step.after_s
        again = step.repeat
        last = begin + (again.every_s * (again.times - 1) if again else 0.0)
        end = last + max(one.for_s or 0.0 for one in step.alternatives())
        found.append((begin, end))
        lasts.append((last, end))
    return tuple(found)


def _armed_s(when: Trigger, before: Sequence[tuple[float, float]]) -> float:
    if when.kind == "step":
        if not 0 <= when.step < len(before):
            return 0.0  # a problem of its own, said by the checks
        return before[when.step][1 if when.event == "healed" else 0]
    return max((begin for begin, _ in before), default=0.0)


def unfolded(steps: Sequence[Step], rng: random.Random) -> tuple[Step, ...]:
    """The steps as one trial carries them out: chosen, and each repetition a step of its own.

    What waits for a step that repeats waits for its last repetition.
    """
    found: list[Step] = []
    last: dict[int, int] = {}  # step of the file → its last one here
    for origin, step in enumerate(steps):
        first = len(found)
        again = step.repeat
        for k in range(again.times if again else 1):
            one = rng.choice(step.choose) if step.choose else step
            change: dict[str, Any] = {"repeat": None, "choose": ()}
            if step.when is not None and k == 0:
                known = step.when.kind == "step"
                change["when"] = step.when.at_step(last[step.when.step]) if known else step.when
            elif again is not None and k:
                change |= _repetition(step, first, again.every_s * k)
            copy = one.model_copy(update=change)
            copy._origin = origin  # noqa: SLF001 - our own
            found.append(copy)
        last[origin] = len(found) - 1
    return tuple(found)


def _repetition(step: Step, first: int, later_s: float) -> dict[str, Any]:
    """When a repetition is due: at a time of its own, or so long after the first."""
    if step.at_s is not None:
        return {"at_s": step.at_s + later_s}
    when = Trigger("", "step", event="injected").at_step(first)
    return {"when": when, "after_s": later_s, "within_s": None}
