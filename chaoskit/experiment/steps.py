"""Steps and thresholds of an experiment file: what the schema alone cannot read."""

from __future__ import annotations

from pydantic import ValidationError

from chaoskit import registry
from chaoskit import yaml_source as ys
from chaoskit.contracts import FaultModel
from chaoskit.errors import BadInput, Problem, Refused
from chaoskit.experiment.grammar import ThresholdError, parse_threshold
from chaoskit.experiment.messages import explain, keys_of
from chaoskit.experiment.step import Step
from chaoskit.experiment.threshold import Threshold
from chaoskit.wording import did_you_mean, listed, quoted

__all__ = ["CHOICE_KEYS", "STEP_KEYS", "fault_class", "read_step", "read_threshold"]

STEP_KEYS = (
    "at",
    "when",
    "after",
    "within",
    "optional",
    "fault",
    "choose",
    "target",
    "for",
    "repeat",
)
"""What every step has; all other keys are the fault's own."""
CHOICE_KEYS = ("fault", "target", "for")
"""What each entry of ``choose`` may have beside its fault's own keys; the rest is the step's."""
_MOST_CHOICES = 50


def fault_class(name: str) -> type[FaultModel]:
    """The class that an experiment names. Imports its plug-in. Raises ``Refused``."""
    found = registry.load("chaoskit.faults", name)
    if not (isinstance(found, type) and issubclass(found, FaultModel)):
        raise Refused(f"the fault {quoted(name)} is not a FaultModel, but {quoted(found)}")
    if not callable(getattr(found, "inject", None)) or not isinstance(
        getattr(found, "kind", None), str
    ):
        raise Refused(f"the fault {quoted(name)} lacks its method inject or its name kind")
    taken = sorted(set(keys_of(found)) & set(STEP_KEYS))
    if taken:
        raise Refused(f"the fault {quoted(name)} has a field {taken[0]!r}, which every step has")
    return found


def read_step(node: ys.Node, problems: list[Problem]) -> Step | None:
    """The step, its problems noted; None where not even its times and target can be read.

    A fault that is wrong is replaced by an empty one, so that the rest can still be checked.
    """
    if not isinstance(node, ys.Mapping):
        sentence = "a step is a mapping, e.g. {at: 3s, fault: kill, target: primary}"
        problems.append(node.mark.problem(sentence))
        return None
    head: dict[str, object] = {
        e.key: ys.to_plain(e.value)
        for e in node.entries
        if e.key in STEP_KEYS and e.key not in ("fault", "choose")
    }
    choose = node.entry("choose")
    if choose is None:
        head["fault"] = _fault(node, problems) or FaultModel()
    else:
        head["fault"] = FaultModel()
        head["choose"] = _choices(node, choose.value, head, problems)
    try:
        step = Step.model_validate(head)
    except ValidationError as error:
        problems += explain(error, Step, node)
        return None
    when = node.get("when")
    return step.standing_in(node.mark, when.mark if when else None)


def _choices(
    node: ys.Mapping, value: ys.Node, head: dict[str, object], problems: list[Problem]
) -> tuple[Step, ...]:
    """What the seed may choose from: each a step of its own, with the times of the whole."""
    for entry in node.entries:
        if entry.key == "fault":
            problems.append(entry.mark.problem("give either 'fault' or 'choose'"))
        elif entry.key not in STEP_KEYS:
            sentence = f"{quoted(entry.key)} belongs into an entry of 'choose', beside its fault"
            problems.append(entry.mark.problem(sentence))
    items = value.items if isinstance(value, ys.Sequence) else ()
    if not 2 <= len(items) <= _MOST_CHOICES:
        sentence = f"choose: must be a list of 2 to {_MOST_CHOICES} faults, e.g. - {{fault: kill}}"
        problems.append(value.mark.problem(sentence))
    shared = {key: value for key, value in head.items() if key not in ("fault", "repeat")}
    found = [_choice(item, shared, problems) for item in items]
    return tuple(step for step in found if step is not None)


def _choice(item: ys.Node, shared: dict[str, object], problems: list[Problem]) -> Step | None:
    if not isinstance(item, ys.Mapping):
        problems.append(item.mark.problem("choose: each is a mapping, e.g. {fault: kill}"))
        return None
    for entry in item.entries:
        if entry.key in STEP_KEYS and entry.key not in CHOICE_KEYS:
            sentence = f"choose: {quoted(entry.key)} stands beside 'choose', for all of them"
            problems.append(entry.mark.problem(sentence))
    own = {e.key: ys.to_plain(e.value) for e in item.entries if e.key in ("target", "for")}
    fault = _fault(item, problems) or FaultModel()
    try:
        step = Step.model_validate({**shared, **own, "fault": fault})
    except ValidationError as error:
        problems += explain(error, Step, item)
        return None
    return step.standing_in(item.mark)


def _fault(node: ys.Mapping, problems: list[Problem]) -> FaultModel | None:
    entry = node.entry("fault")
    if entry is None:
        known = list(registry.names("chaoskit.faults"))
        typo = next((k for k in node.keys() if k not in STEP_KEYS and _close(k)), None)  # noqa: SIM118 - not a dict
        hint = f"; is {quoted(typo)} meant?" if typo else f": one of {listed(known)}"
        problems.append(node.mark.problem(f"'fault' is missing{hint}"))
        return None
    name = entry.value.value if isinstance(entry.value, ys.Scalar) else None
    if not isinstance(name, str):
        problems.append(entry.value.mark.problem("fault: must be the name of a fault"))
        return None
    try:
        cls = fault_class(name)
    except Refused as error:
        problems.append(entry.value.mark.problem(str(error)))
        return None
    given = {e.key: ys.to_plain(e.value) for e in node.entries if e.key not in STEP_KEYS}
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        problems += explain(error, cls, node, more_keys=STEP_KEYS, what=f" for fault {name}")
        return None
    except Exception as error:
        sentence = f"the fault {quoted(name)} failed to check its fields: {type(error).__name__}"
        raise BadInput([*problems, node.mark.problem(f"{sentence}: {error}")]) from error


def _close(key: str) -> bool:
    return "did you mean" in did_you_mean(key, ["fault"])


# ---------------------------------------------------------------- thresholds

_TABLE_KEYS = ("metric", "phase", "max", "min", "because")


def read_threshold(
    node: ys.Node, problems: list[Problem], others: tuple[str, ...]
) -> Threshold | None:
    """From ``failover_time < 5s`` or ``{metric: failover_time, max: 5s, because: SLO-114}``."""
    if isinstance(node, ys.Mapping):
        return _from_table(node, problems, others)
    if not isinstance(node, ys.Scalar) or not isinstance(node.value, str):
        problems.append(node.mark.problem("a threshold is a text like failover_time < 5s"))
        return None
    try:
        return parse_threshold(node.value, line=node.mark.line, others=others)
    except ThresholdError as error:
        shift = node.indent + error.column if "\n" not in node.value else 0
        problems.append(node.mark.problem(str(error), shift=shift))
        return None


def _from_table(
    node: ys.Mapping, problems: list[Problem], others: tuple[str, ...]
) -> Threshold | None:
    before = len(problems)
    texts: dict[str, ys.Scalar] = {}
    for entry in node.entries:
        if entry.key not in _TABLE_KEYS:
            hint = did_you_mean(entry.key, _TABLE_KEYS)
            problems.append(entry.mark.problem(f"unknown key {quoted(entry.key)}{hint}"))
        elif not isinstance(entry.value, ys.Scalar) or entry.value.value is None:
            problems.append(entry.value.mark.problem(f"{entry.key}: must be one word or text"))
        else:
            texts[entry.key] = entry.value
    bounds = [key for key in ("max", "min") if node.entry(key)]
    if node.entry("metric") is None:
        problems.append(node.mark.problem("'metric' is missing, e.g. metric: failover_time"))
    if len(bounds) != 1:
        problems.append(node.mark.problem("give either max or min, e.g. max: 5s"))
    if len(problems) > before:
        return None
    name, value = texts["metric"].text, texts[bounds[0]].text
    if "phase" in texts:
        name += f"@{texts['phase'].text}"
    op = "<=" if bounds[0] == "max" else ">="
    because = texts["because"].text if "because" in texts else None
    text = f"{name} {op} {value}"
    try:
        return parse_threshold(text, line=node.mark.line, because=because, others=others)
    except ThresholdError as error:
        problems.append(_table_place(texts, bounds[0], name, error.column).problem(str(error)))
        return None


def _table_place(texts: dict[str, ys.Scalar], bound: str, name: str, column: int) -> ys.Mark:
    """Which of the mapping's values the column of the joined line stands in."""
    if column >= len(name):
        return texts[bound].mark
    in_phase = "phase" in texts and column >= len(texts["metric"].text)
    return texts["phase" if in_phase else "metric"].mark
