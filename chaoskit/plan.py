"""What a run would do, without doing any of it: ``chaoskit plan``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from chaoskit.campaign import RunRequest
from chaoskit.choosing import Choice, choose_lab, lab_class
from chaoskit.errors import Refused
from chaoskit.experiment.model import Experiment
from chaoskit.experiment.step import Step, ends_s
from chaoskit.experiment.targets import ROLE_WORDS, least
from chaoskit.judge.wording import plural
from chaoskit.lab.needs import unmet
from chaoskit.lab.primitives import Primitive, primitive
from chaoskit.planning import did_and_undone, plan_hash
from chaoskit.stack.compose import load_stack
from chaoskit.stack.model import Stack
from chaoskit.units import format_duration

__all__ = ["Plan", "PlannedFault", "PlannedStep", "check_hash", "plan_of"]

_LEAST_DIGITS = 8
_DRAWN = "drawn by the seed"


@dataclass(frozen=True)
class PlannedFault:
    """One thing that a step does, or may turn out to do."""

    kind: str
    target: tuple[str, ...]
    now: str  # who that would be by the labels, before anything runs
    parameters: dict[str, object]
    for_s: float | None
    action: str
    undo: str
    primitives: tuple[Primitive, ...]
    needs: tuple[str, ...]
    lacking: str | None  # why it cannot be done here; None: it can


@dataclass(frozen=True)
class PlannedStep:
    """A step: when at the earliest and latest, and what."""

    number: int
    when: str
    begin_s: float  # of a step that waits: the latest
    end_s: float
    optional: bool
    faults: tuple[PlannedFault, ...]  # several: the seed chooses
    times: int
    every_s: float | None


@dataclass(frozen=True)
class Plan:
    """One experiment, or one cell of a matrix."""

    experiment: str
    question: str
    cell: dict[str, str]
    stack: str
    lab: str
    lab_why: str
    trials: int
    warmup_s: float
    baseline_s: float
    run_for_s: float
    steps: tuple[PlannedStep, ...]
    thresholds: tuple[str, ...]
    hash: str

    def lacking(self) -> tuple[str, ...]:
        """Everything that cannot be done here, as sentences."""
        said = (fault.lacking for step in self.steps for fault in step.faults)
        return tuple(dict.fromkeys(sentence for sentence in said if sentence))

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {"schema_version": 1, **asdict(self)}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def plan_of(experiment: Experiment, lab: str, trials: int | None = None) -> Plan:
    """The plan of one experiment; looks at the machine, changes nothing. Raises ``Refused``."""
    stack = load_stack(experiment.stack)
    choice = choose_lab(lab, stack)
    count = trials or experiment.repeat.trials
    gates, load = experiment.gates, experiment.load
    spans = ends_s(experiment.steps)
    steps = tuple(
        _planned(number, step, span, choice, stack)
        for number, (step, span) in enumerate(zip(experiment.steps, spans, strict=True), start=1)
    )
    return Plan(
        experiment=experiment.name,
        question=experiment.question,
        cell=dict(experiment.cell),
        stack=str(experiment.stack),
        lab=choice.name,
        lab_why=choice.why,
        trials=count,
        warmup_s=load.warmup_s,
        baseline_s=max(gates.baseline_s, gates.baseline_requests / load.rate),
        run_for_s=experiment.run_for_s,
        steps=steps,
        thresholds=tuple(t.text for t in experiment.thresholds),
        hash=plan_hash(experiment, stack, choice.name, count),
    )


def check_hash(asked: str | None, cells: Sequence[Experiment], request: RunRequest) -> None:
    """Refuse to run anything but what was planned. Raises ``Refused``; nothing was started."""
    if asked is None:
        return
    found = together([plan_of(cell, request.lab, request.trials) for cell in cells])
    wanted = asked.strip().lower()
    if len(wanted) < _LEAST_DIGITS or not found.startswith(wanted):
        raise Refused(
            f"this is not the plan with the hash {asked}: it is {found[:16]}. The experiment, its "
            "stack, the lab or the number of trials has changed; look at: chaoskit plan"
        )


def together(plans: Sequence[Plan]) -> str:
    """The hash of several cells: of one, its own."""
    if len(plans) == 1:
        return plans[0].hash
    return hashlib.sha256("\n".join(plan.hash for plan in plans).encode()).hexdigest()


def _planned(
    number: int, step: Step, span: tuple[float, float], choice: Choice, stack: Stack
) -> PlannedStep:
    when = f"when {step.when}" if step.when else f"at {format_duration(step.at_s or 0.0)}"
    if step.after_s:
        when += f", {format_duration(step.after_s)} after"
    if step.when is not None:
        when += f", waits {format_duration(step.waits_s)}"
    return PlannedStep(
        number=number,
        when=when,
        begin_s=span[0],
        end_s=span[1],
        optional=step.optional,
        faults=tuple(_planned_fault(one, choice, stack) for one in step.alternatives()),
        times=step.repeat.times if step.repeat else 1,
        every_s=step.repeat.every_s if step.repeat else None,
    )


def _planned_fault(step: Step, choice: Choice, stack: Stack) -> PlannedFault:
    fault = step.fault
    action, undo = did_and_undone(fault)
    written = fault.model_dump(mode="json", by_alias=True)
    return PlannedFault(
        kind=fault.kind,
        target=step.target,
        now=", ".join(_by_label(step.target, stack)),
        parameters={key: value for key, value in written.items() if key not in fault.idle()},
        for_s=step.for_s,
        action=action,
        undo=undo,
        primitives=tuple(primitive(need, choice.name) for need in sorted(fault.needs)),
        needs=(*sorted(fault.needs), *sorted(fault.features())),
        lacking=unmet(fault, lab_class(choice)),
    )


def _by_label(words: Sequence[str], stack: Stack) -> list[str]:
    """Who the words would mean if everybody had the role of his label; the run asks anew."""
    found: list[str] = []
    for word in words:
        name = word.removeprefix("service:")
        if word in ROLE_WORDS:
            found += [s.name for s in stack.services.values() if s.role() == word]
        elif word.startswith("not "):
            others = _by_label([word.removeprefix("not ").strip()], stack)
            found += [s for s in stack.services if s not in others]
        elif word == "all":
            found += list(stack.services)
        elif word in ("any", "minority", "majority"):
            found.append(f"{least([word], stack)} {_DRAWN}")
        else:
            found.append(name)
    return list(dict.fromkeys(found))


def _lines(plan: Plan) -> list[str]:
    cell = ", ".join(f"{axis}={value}" for axis, value in plan.cell.items())
    trials = plural(plan.trials, "trial")
    rows = [
        f"{plan.experiment}{f' [{cell}]' if cell else ''}: {plan.question}",
        f"  stack {plan.stack}, {plan.lab} lab ({plan.lab_why}), {trials}",
        f"  -{format_duration(plan.warmup_s):<9} load starts, nothing is measured yet",
        f"  {'0':<10} baseline, at least {format_duration(plan.baseline_s)}",
    ]
    for step in plan.steps:
        latest = "" if step.when.startswith("at ") else f" (by {format_duration(step.begin_s)})"
        again = (
            f", every {format_duration(step.every_s)}, {step.times} times" if step.every_s else ""
        )
        optional = ", optional" if step.optional else ""
        rows.append(f"  step {step.number}  {step.when}{latest}{again}{optional}")
        if len(step.faults) > 1:
            rows.append("      one of these, by the seed:")
        for fault in step.faults:
            rows += _fault_lines(fault)
    rows += [
        f"  {format_duration(plan.run_for_s):<10} load stops, everything is healed, nodes are read",
        f"  thresholds: {'; '.join(plan.thresholds)}",
        f"  plan {plan.hash}",
    ]
    return rows


def _fault_lines(fault: PlannedFault) -> list[str]:
    told = {key: value for key, value in fault.parameters.items() if value not in (None, [], "")}
    said = ", ".join(f"{key}={_short(value)}" for key, value in told.items())
    whom = f" -> {', '.join(fault.target)}" if fault.target else ""
    by = "" if _DRAWN in fault.now else "by label "
    now = f" ({by}{fault.now})" if fault.now and fault.now != ", ".join(fault.target) else ""
    lasts = f" for {format_duration(fault.for_s)}" if fault.for_s else " until the end"
    rows = [f"      {fault.kind}{whom}{now}{lasts}{f' [{said}]' if said else ''}"]
    rows += [f"        does   {fault.action}", f"        undo   {fault.undo}"]
    for one in fault.primitives:
        rows.append(f"        {one.need:<6} {one.do}; undone by: {one.undo}")
    if fault.lacking:
        rows.append(f"        CANNOT {fault.lacking}")
    return rows


def _short(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
