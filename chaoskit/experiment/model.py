"""An experiment as frozen data: one question, a stack, a load, steps and thresholds.

Field names carry their unit (``at_s``); the file says ``at: 3s``. Only ``chaoskit.experiment.
loader`` makes these from files, and with a file's every problem at once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chaoskit.experiment.matrix import Axes
from chaoskit.experiment.metastability import MetastabilitySpec
from chaoskit.experiment.profile import PROFILES, Profile, ProfileName
from chaoskit.experiment.step import Step, ends_s, unfolded
from chaoskit.experiment.threshold import Threshold
from chaoskit.units import (
    PositiveSeconds,
    RatePerSecond,
    Ratio,
    Seconds,
    UnitError,
    format_duration,
    format_rate,
    parse_duration,
)

__all__ = ["AUTO_CAP", "DEFAULT_TIMEOUT_S", "Experiment", "LoadSpec", "ProbeSpec", "Repeat", "Step"]

DEFAULT_TIMEOUT_S = 0.2
"""Below TCP's first retransmission, so that a silent peer is seen and not waited for."""
MAX_RATE = 10_000.0
MAX_RUN_S = 24 * 3600.0
_AFTER_LAST_S = 5.0
_NO_FOR_S = 5.0  # how long a fault without `for` is looked at, where run_for is not said either
SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
Slug = Annotated[str, Field(pattern=SLUG)]


def _complain(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("chaoskit", "{sentence}", {"sentence": sentence})


def _whole(value: object) -> object:
    """A count: true is no number, however Python sees it."""
    if isinstance(value, bool):
        raise _complain("must be a whole number")
    return value


def _rate(value: float) -> float:
    if not 0 < value <= MAX_RATE:
        raise _complain(f"must be more than 0 and at most {format_rate(MAX_RATE)}")
    return value


def _read_rate(value: float) -> float:
    if value > MAX_RATE:
        raise _complain(f"must be at most {format_rate(MAX_RATE)}")
    return value


def _poll(value: float) -> float:
    if not 0.005 <= value <= 60:
        raise _complain("must be between 5ms and 1m")
    return value


def _run(value: float) -> float:
    if value > MAX_RUN_S:
        raise _complain(f"must be at most {format_duration(MAX_RUN_S)}")
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProbeSpec(_Frozen):
    """How the nodes are watched."""

    every_s: Annotated[PositiveSeconds, AfterValidator(_poll)] = Field(
        0.05, alias="every", title="Poll interval", description="How often every node is asked."
    )


class LoadSpec(_Frozen):
    """Who asks, how often, and what counts as good. Open loop: requests are due, not sent."""

    user: str = Field(
        title="User",
        description="Which clients: the name of an installed load.",
        examples=["http-kv", "redis-sentinel"],
    )
    rate: Annotated[RatePerSecond, AfterValidator(_rate)] = Field(
        200.0, title="Rate", description="Requests due a second, per comb."
    )
    reads: Annotated[RatePerSecond, AfterValidator(_read_rate)] | None = Field(
        None,
        title="Read rate",
        description="The same for reads; as for writes if not said, 0: none.",
        examples=["200/s", 0],
    )
    pinned: Annotated[RatePerSecond, AfterValidator(_read_rate)] | None = Field(
        None,
        title="Pinned streams",
        description="Writes, and where one node serves reads, due a second to each data node "
        "itself, past the front door, to see two that both answer; if not said, a tenth of the "
        "rate (at least 20/s) where a threshold is on dual_primary, fencing_latency, "
        "split_brain_loss, post_heal_loss or stale_leader_reads, else 0: none.",
        examples=["20/s", 0],
    )
    new_connections: Ratio = Field(
        0.1,
        title="New connections",
        description="A further share of the rate that opens a connection for each request.",
    )
    clients: Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)] = Field(
        1,
        title="Clients",
        description="So many clients take the requests of each comb in turn, each with connections "
        "and a front door of its own, and are measured each on its own as well.",
        examples=[8],
    )
    deadline_s: PositiveSeconds = Field(
        0.1,
        alias="deadline",
        title="Deadline",
        description="Answered later than this, counted from when it was due: not good.",
    )
    timeout_s: PositiveSeconds = Field(
        DEFAULT_TIMEOUT_S,
        le=600.0,
        alias="timeout",
        title="Timeout",
        description="The client gives up, counted from when it was sent. Never below the deadline; "
        "200ms or the deadline, whichever is longer, if not said.",
    )
    warmup_s: Seconds = Field(
        1.0, alias="warmup", title="Warm-up", description="Load before the clock of `at` starts."
    )
    agree_within_s: Seconds = Field(
        5.0,
        alias="agree_within",
        title="Agree within",
        description="After the load: while the data nodes' final reads differ they are read again, "
        "for so long.",
    )
    options: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        title="Options",
        description="What this kind of user takes further.",
        examples=[{"registers": 100}],
    )

    @model_validator(mode="before")
    @classmethod
    def _timeout_follows_deadline(cls, data: object) -> object:
        if isinstance(data, Mapping) and "deadline" in data and "timeout" not in data:
            try:
                longer = parse_duration(data["deadline"]) > DEFAULT_TIMEOUT_S
            except UnitError:
                return data
            return {**data, "timeout": data["deadline"]} if longer else data
        return data

    def read_rate(self) -> float:
        """Reads due a second, per comb."""
        return self.rate if self.reads is None else self.reads


AUTO_CAP = 59


def _or_auto(schema: dict[str, Any]) -> None:
    """``trials`` takes a word besides a number."""
    bounds = {name: schema.pop(name) for name in ("type", "minimum", "maximum") if name in schema}
    schema["anyOf"] = [bounds, {"const": "auto", "type": "string"}]


class Repeat(_Frozen):
    """How often, and what differs between trials.

    ``trials: auto`` is kept as the cap in both fields: at most so many, with a plan of looks.
    """

    trials: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] = Field(
        3,
        title="Trials",
        description="Valid trials wanted; as the profile says if not said. 'auto': looks after 3, "
        "10, 30 and 59 trials and stops when every threshold is decided.",
        examples=[10, "auto"],
        json_schema_extra=_or_auto,
    )
    cap: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = Field(
        None,
        title="Cap",
        description="The most trials of 'trials: auto'; 59 if not said.",
        examples=[59],
    )
    vary: tuple[Literal["at"], ...] = Field(
        ("at",),
        title="Vary",
        description="'at': each trial's fault falls at another point of the detector's period.",
        examples=[["at"], []],
    )

    @model_validator(mode="before")
    @classmethod
    def _auto_is_a_cap(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        if data.get("trials") == "auto":
            cap = data.get("cap", AUTO_CAP)
            return {**data, "trials": cap, "cap": cap}
        if "cap" in data:
            raise _complain("cap goes with trials: auto")
        return data


class Experiment(_Frozen):
    """One question that a run answers with a verdict."""

    chaoskit: Annotated[Literal[1], BeforeValidator(_whole)] = Field(
        title="Format version", description="The format of this file.", examples=[1]
    )
    name: Slug = Field(
        title="Name", description="The file's name without .yaml.", examples=["primary-kill"]
    )
    question: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        title="Question",
        description="What the experiment asks, as a sentence.",
        examples=["When the primary dies, are clients served again within two seconds?"],
    )
    tags: Annotated[tuple[Slug, ...], Field(max_length=20)] = Field(
        (), title="Tags", description="For choosing experiments.", examples=[["failover", "smoke"]]
    )
    stack: Path = Field(
        title="Stack",
        description="The system under test: a Compose file, relative to this file.",
        examples=["../compose/active-passive/compose.yaml"],
    )
    profile: ProfileName = Field(
        "smoke",
        title="Profile",
        description="How much proof: sets windows and number of trials.",
        examples=["smoke", "nightly"],
    )
    probes: ProbeSpec = Field(default_factory=lambda: ProbeSpec.model_validate({}), title="Probes")
    load: LoadSpec = Field(
        title="Load",
        description="Who asks, how often, and what counts as good.",
        examples=[{"user": "http-kv", "rate": "200/s"}],
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=100)] = Field(
        title="Steps", description="What goes wrong, and when."
    )
    run_for_s: Annotated[PositiveSeconds, AfterValidator(_run)] = Field(
        0.0,
        alias="run_for",
        title="Run for",
        description="How long a trial is observed, from the end of warm-up; 5s past the end of the "
        "last step if not said.",
    )
    metastability: MetastabilitySpec | None = Field(
        None,
        title="Metastability",
        description="Whether the system stays down after heal; sheds the load to tell.",
        examples=[{"after": "30s", "shed": {"to": "50%", "for": "20s"}}],
    )
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1, max_length=100)] = Field(
        title="Thresholds",
        description="What must hold in every valid trial.",
        examples=[["failover_time < 5s"]],
    )
    repeat: Repeat = Field(
        default_factory=lambda: Repeat.model_validate({}),
        title="Repeat",
        description="How often, and what differs between trials.",
        examples=[{"trials": 10}],
    )
    seed: Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(_whole)] | None = Field(
        None, title="Seed", description="Drawn and printed if not said.", examples=[42]
    )
    max_targets: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = Field(
        None,
        title="Most targets",
        description="A step that comes to more nodes is refused.",
        examples=[1],
    )
    matrix: Axes = Field(
        default_factory=dict,
        title="Matrix",
        description="Crosses values of this file's own places: each combination is a run of its "
        "own, and all of them are reported in one table.",
        examples=[{"steps.0.fault": ["kill", "pause"], "load.rate": ["100/s", "400/s"]}],
    )
    _path: Path = PrivateAttr(Path())
    _cell: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _cell_scale: Mapping[str, float] = PrivateAttr(default_factory=dict)
    _source: str = PrivateAttr("")
    _overrides: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path

    @property
    def source(self) -> str:
        """The file's text, as it was, before any override."""
        return self._source

    @property
    def overrides(self) -> Mapping[str, str]:
        """What ``--set`` changed."""
        return self._overrides

    def read_from(self, path: Path, source: str, overrides: Mapping[str, str]) -> Experiment:
        """The same experiment, once it is known where it came from."""
        self._path, self._source, self._overrides = path, source, dict(overrides)
        return self

    @property
    def cell(self) -> Mapping[str, str]:
        """Axis of the matrix → its value here, in words; empty where there is no matrix."""
        return self._cell

    @property
    def cell_scale(self) -> Mapping[str, float]:
        """Of those the ones that are a number or a time (seconds), as such."""
        return self._cell_scale

    def as_cell(self, cell: Mapping[str, str], scale: Mapping[str, float]) -> Experiment:
        """The same experiment, once it is known which cell of the matrix it is."""
        self._cell, self._cell_scale = dict(cell), dict(scale)
        return self

    def unfolded(self, rng: random.Random) -> Experiment:
        """As one trial carries it out: choices made, each repetition a step of its own."""
        return self.model_copy(update={"steps": unfolded(self.steps, rng)})

    @property
    def gates(self) -> Profile:
        """The windows that the profile asks of every valid trial."""
        return PROFILES[self.profile]

    @model_validator(mode="before")
    @classmethod
    def _trials_follow_profile(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        profile, repeat = data.get("profile", "smoke"), data.get("repeat", {})
        gates = next((gates for name, gates in PROFILES.items() if name == profile), None)
        if gates is not None and isinstance(repeat, Mapping) and "trials" not in repeat:
            return {**data, "repeat": {**repeat, "trials": gates.trials}}
        return data

    @model_validator(mode="after")
    def _run_past_the_last_step(self) -> Experiment:
        if self.run_for_s == 0.0:
            more = self.metastability.takes_s() if self.metastability else 0.0
            object.__setattr__(self, "run_for_s", default_run_s(self.steps) + more)
        return self


def default_run_s(steps: tuple[Step, ...]) -> float:
    """Five seconds past the end of the last step."""
    ends = [
        end + (0.0 if all(one.for_s for one in step.alternatives()) else _NO_FOR_S)
        for step, (_, end) in zip(steps, ends_s(steps), strict=True)
    ]
    return max(ends, default=0.0) + _AFTER_LAST_S
