"""What must fit together in an experiment: name and file, times, targets and the stack."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Protocol

from chaoskit import registry
from chaoskit import yaml_source as ys
from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import BadInput, Problem
from chaoskit.experiment.collisions import collisions
from chaoskit.experiment.load_options import option_problems
from chaoskit.experiment.messages import place_of
from chaoskit.experiment.model import Experiment
from chaoskit.experiment.step import Step, ends_s
from chaoskit.experiment.targets import wrong_kind, wrong_word
from chaoskit.experiment.together import too_many, trigger_problems
from chaoskit.experiment.vain import never_sheds, nobody_else
from chaoskit.stack.compose import load_stack
from chaoskit.stack.labels import check_labels, endpoint
from chaoskit.stack.model import Stack
from chaoskit.units import format_duration
from chaoskit.wording import did_you_mean, quoted

__all__ = ["check_experiment", "check_step", "stack_path"]

_COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


class _Wrong(Protocol):
    def __call__(self, loc: tuple[int | str, ...], sentence: str) -> None: ...


def stack_path(experiment_file: Path, text: str) -> Path:
    """The Compose file's path, as short as it can be said from where we stand."""
    return Path(os.path.normpath(experiment_file.parent / text))


def check_experiment(
    experiment: Experiment,
    file: Path,
    root: ys.Mapping,
    step_nodes: list[tuple[Step, ys.Mapping]],
    bad: set[str],
) -> list[Problem]:
    """All problems that lie between fields. ``bad`` names top-level keys that are wrong already."""
    problems: list[Problem] = []

    def wrong(loc: tuple[int | str, ...], sentence: str) -> None:
        problems.append(place_of(root, loc).problem(sentence))

    if "name" not in bad and experiment.name != file.stem:
        wrong(("name",), f"name: must be the file's name without its ending, {quoted(file.stem)}")
    if "load" not in bad:
        _check_load(experiment, wrong_at=wrong)
        problems += [] if problems else _check_options(experiment, root)
    if not bad & {"run_for", "steps"}:
        _check_times(experiment, step_nodes, root, wrong_at=wrong)
    stack = None if "stack" in bad else _stack(experiment.stack, root, problems)
    for position, (step, node) in enumerate(step_nodes):
        for one, place in _alternatives(step, node):
            problems += check_step(one, place, stack)
            problems += too_many(one, place, stack, experiment.max_targets)
            problems += never_sheds(experiment.metastability, one, place)
        problems += trigger_problems(position, [s for s, _ in step_nodes], node, stack)
    if stack is not None and not problems:
        for position, sentence in collisions([step for step, _ in step_nodes], stack):
            problems.append(step_nodes[position][1].mark.problem(sentence))
    return problems


def _alternatives(step: Step, node: ys.Mapping) -> list[tuple[Step, ys.Mapping]]:
    """Each thing that a step may turn out to be, with the mapping that says it."""
    choices = node.get("choose")
    if not step.choose or not isinstance(choices, ys.Sequence):
        return [(step, node)]
    places = [item for item in choices.items if isinstance(item, ys.Mapping)]
    return list(zip(step.choose, places, strict=False))


def _check_load(experiment: Experiment, wrong_at: _Wrong) -> None:
    load = experiment.load
    users = registry.names("chaoskit.loads")
    own = load.options.get("locustfile")
    if own is not None:
        _check_locustfile(own, wrong_at)
    elif load.user not in users:
        hint = did_you_mean(load.user, users)
        wrong_at(("load", "user"), f"load.user: no load {quoted(load.user)} is installed{hint}")
    if load.clients > load.rate:
        wrong_at(
            ("load", "clients"),
            f"load.clients: {load.clients} clients share {load.rate:g} requests a second; each has "
            "to be due at least once a second for its outages to be seen",
        )
    if load.timeout_s < load.deadline_s:
        wrong_at(
            ("load", "timeout"),
            f"load.timeout: {format_duration(load.timeout_s)} is shorter than the deadline of "
            f"{format_duration(load.deadline_s)}; an answer could never be late",
        )


def _check_options(experiment: Experiment, root: ys.Mapping) -> list[Problem]:
    """A locustfile is asked only when the experiment is to be run, see there."""
    own = "locustfile" in experiment.load.options
    return [] if own else option_problems(experiment, root)


def _check_locustfile(path: object, wrong_at: _Wrong) -> None:
    """Whether it is there and is Python; nothing of it is run before the experiment is."""
    where = ("load", "options", "locustfile")
    if not isinstance(path, str) or not Path(path).is_file():
        wrong_at(where, f"locustfile: there is no file {quoted(path)} (paths start at this file)")
        return
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(Path(path).read_bytes(), path, "exec")
    except OSError as error:
        wrong_at(where, f"locustfile: {path} cannot be read: {error.strerror}")
    except (SyntaxError, ValueError) as error:
        at = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        wrong_at(where, f"locustfile: {path} is not Python{at}: {said}")


def _check_times(
    experiment: Experiment,
    step_nodes: list[tuple[Step, ys.Mapping]],
    root: ys.Mapping,
    wrong_at: _Wrong,
) -> None:
    if root.get("run_for") is None:
        return
    ends = ends_s([step for step, _ in step_nodes])
    pairs = [(end, node) for (_, end), (_, node) in zip(ends, step_nodes, strict=True)]
    end, node = max(pairs, key=lambda pair: pair[0])
    if experiment.run_for_s <= end:
        wrong_at(
            ("run_for",),
            f"run_for: must reach past the end of every step; the one in line {node.mark.line} "
            f"ends at {format_duration(end)}",
        )
    more = experiment.metastability.takes_s() if experiment.metastability else 0.0
    if end < experiment.run_for_s < end + more:
        wrong_at(
            ("run_for",),
            f"run_for: must reach {format_duration(end + more)}, so that metastability can be told",
        )


def _stack(path: Path, root: ys.Mapping, problems: list[Problem]) -> Stack | None:
    """The stack, if it can be read; its own problems are reported at their own places."""
    mark = place_of(root, ("stack",))
    if path.is_dir():
        inside = next((name for name in _COMPOSE_NAMES if (path / name).exists()), None)
        hint = f"; did you mean {quoted(path / inside)}?" if inside else ""
        problems.append(mark.problem(f"stack: {quoted(path)} is a folder{hint}"))
        return None
    if not path.exists():
        problems.append(
            mark.problem(f"stack: there is no file {quoted(path)} (paths start at this file)")
        )
        return None
    try:
        stack = load_stack(path)
    except BadInput as error:
        problems += error.problems
        return None
    found = check_labels(stack)
    problems += found
    if not found and not any(endpoint(service) for service in stack.services.values()):
        problems.append(
            mark.problem(
                "stack: no service says where clients connect; give one the label "
                "chaoskit.endpoint, e.g. http://:8080"
            )
        )
    return stack


def check_step(step: Step, node: ys.Mapping, stack: Stack | None) -> list[Problem]:
    """What is wrong with whom the step names, its fault's own selectors included."""
    problems: list[Problem] = []
    fault = step.fault
    if fault.needs and not step.target:
        problems.append(
            node.mark.problem(f"'target' is missing: whom {fault.kind} strikes, e.g. primary")
        )
    for label in sorted(fault.labels):
        if stack is not None and not any(label in s.labels for s in stack.services.values()):
            sentence = f"{fault.kind} needs the label {label}, which no service of the stack has"
            problems.append(place_of(node, ("fault",)).problem(sentence))
    words = {"target": step.target, **fault.selectors()}
    for key, chosen in words.items():
        for position, word in enumerate(chosen):
            loc = (key, position) if isinstance(node.get(key), ys.Sequence) else (key,)
            phrase = None if stack is None else wrong_word(word, stack)
            if key == "target" and word in (CLIENT, OBSERVER) and "kill" in fault.needs:
                phrase = f"{word} is the lab's own node; {fault.kind} cannot strike it"
            if phrase is None and hasattr(fault, "kind"):  # one that was not understood has none
                strikes = fault.strikes if key == "target" else "node"
                phrase = wrong_kind(word, strikes, fault.kind)
            if phrase is not None:
                problems.append(place_of(node, loc).problem(f"{key}: {phrase}"))
    if stack is not None and not problems:
        problems += nobody_else(step, node, stack)
    return problems
