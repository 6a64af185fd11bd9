"""``run.json``: the definition as run and everything else that judging needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chaoskit.children import streams
from chaoskit.clock import NS, utc_label
from chaoskit.errors import BadInput
from chaoskit.experiment.model import Experiment
from chaoskit.experiment.step import Step
from chaoskit.rundir import read_json, write_atomically
from chaoskit.stack.band import Band, expected_band, graceful
from chaoskit.stack.labels import OPERATOR, SWITCHOVER, detector, retried
from chaoskit.stack.model import Stack

__all__ = ["BandFact", "RunFile", "planted", "read_run_file", "write_run_file"]

DEFECT = "CHAOSKIT_DEFECT"
"""What a service of the reference system is told which flaw to have by."""


class BandFact(BaseModel):
    """The expected failover time, from the constants that the stack declares; seconds."""

    model_config = ConfigDict(frozen=True)

    low_s: float
    high_s: float
    formula: str


class ThresholdFact(BaseModel):
    """A threshold as written, and where."""

    model_config = ConfigDict(frozen=True)

    text: str
    line: int = 0
    because: str | None = None


class RunFile(BaseModel):
    """Schema-versioned; a run stored by an older version is judged by the newer one."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    experiment: str
    question: str
    profile: str
    source: str  # the experiment file, as it was
    source_path: str
    overrides: Mapping[str, str] = {}
    cell: Mapping[str, str] = {}  # of a matrix: axis → value
    plan: str = ""  # hash of what was planned, as ``chaoskit plan`` prints it
    stack: str
    thresholds: tuple[ThresholdFact, ...]
    baseline_s: float
    baseline_requests: int
    stable_s: float
    steady_s: float
    streams: tuple[Mapping[str, Any], ...]
    poll_every_ns: int
    steps: tuple[str, ...]
    lab: str
    lab_why: str
    lab_facts: Mapping[str, str]
    seed: int
    trials: int
    looks: tuple[int, ...] = ()  # the plan of ``--trials auto``; ``trials`` is its cap
    argv: tuple[str, ...]
    version: str
    host: Mapping[str, str]
    started_utc: str
    took_s: float
    band: BandFact | None = None
    detectors: Mapping[str, str] = {}
    planted: Mapping[str, str] = {}  # service → the flaw that was planted in it
    retries: Mapping[str, str] = {}  # what services say that they try again by themselves

    @staticmethod
    def of(
        experiment: Experiment,
        stack: Stack,
        *,
        lab: str,
        lab_why: str,
        lab_facts: Mapping[str, str],
        seed: int,
        trials: int,
        looks: tuple[int, ...] = (),
        argv: tuple[str, ...],
        version: str,
        host: Mapping[str, str],
        took_s: float,
        plan: str = "",
    ) -> RunFile:
        """Gather it from the experiment, its stack and what the campaign decided."""
        band = _band(experiment, stack)
        gates = experiment.gates
        return RunFile(
            experiment=experiment.name,
            question=experiment.question,
            profile=experiment.profile,
            source=experiment.source,
            source_path=str(experiment.path),
            overrides=dict(experiment.overrides),
            cell=dict(experiment.cell),
            stack=stack.name,
            thresholds=tuple(
                ThresholdFact(text=t.text, line=t.line, because=t.because)
                for t in experiment.thresholds
            ),
            baseline_s=gates.baseline_s,
            baseline_requests=gates.baseline_requests,
            stable_s=gates.stable_s,
            steady_s=gates.steady_s,
            streams=tuple(streams(experiment, stack)),
            poll_every_ns=int(experiment.probes.every_s * NS),
            steps=tuple(_say(step) for step in experiment.steps),
            lab=lab,
            lab_why=lab_why,
            lab_facts=dict(lab_facts),
            seed=seed,
            trials=trials,
            looks=looks,
            argv=argv,
            version=version,
            host=dict(host),
            started_utc=utc_label(),
            took_s=took_s,
            plan=plan,
            band=None
            if band is None
            else BandFact(low_s=band.low_s, high_s=band.high_s, formula=band.formula),
            detectors={
                s.name: s.labels["chaoskit.detector"]
                for s in stack.services.values()
                if detector(s) is not None
            },
            planted=planted(stack),
            retries={
                s.name: said for s in stack.services.values() if (said := retried(s)) is not None
            },
        )


def _say(step: object) -> str:
    return str(step)


def planted(stack: Stack) -> Mapping[str, str]:
    """Service → the flaw that its environment plants in it (``CHAOSKIT_DEFECT``), where one is."""
    told = {name: s.environment.get(DEFECT, "") for name, s in stack.services.items()}
    return {name: flaw for name, flaw in told.items() if flaw}


def write_run_file(run_dir: Path, facts: RunFile) -> None:
    """Write it, keeping the moment the run was first written down."""
    path = run_dir / "run.json"
    if path.exists():
        started = str(read_json(path).get("started_utc", facts.started_utc))
        facts = facts.model_copy(update={"started_utc": started})
    write_atomically(path, facts.model_dump_json(indent=1) + "\n")


def read_run_file(run_dir: Path) -> RunFile:
    """Read it back. Raises ``BadInput`` with one sentence."""
    data = read_json(run_dir / "run.json")
    try:
        return RunFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{run_dir / 'run.json'}: {where}: {first['msg']}") from error


def _band(experiment: Experiment, stack: Stack) -> Band | None:
    """What the stack's detector lets expect of the experiment's faults; None if nothing.

    What an operator decides takes as long as the operator takes, and a front door that is struck
    is no node that a detector watches.
    """
    steps = [one for step in experiment.steps for one in step.alternatives()]
    if any(step.fault.labels & {OPERATOR, SWITCHOVER} for step in steps):
        return None
    if steps and all(_at_the_door(step, stack) for step in steps):
        return None
    band = expected_band(stack)
    if band is not None and any(step.fault.graceful() for step in steps):
        return graceful(band)
    return band


def _at_the_door(step: Step, stack: Stack) -> bool:
    """Whether all that a step strikes are front doors."""
    doors = {"frontdoor"} | {
        name for name, one in stack.services.items() if one.role() == "frontdoor"
    }
    return bool(step.target) and set(step.target) <= doors
