"""What must fit between a step, the steps before it, and the stack: triggers and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit import yaml_source as ys
from chaoskit.errors import Problem
from chaoskit.experiment.messages import place_of
from chaoskit.experiment.step import Step
from chaoskit.experiment.targets import ROLE_WORDS, least, roles_of
from chaoskit.experiment.trigger import ANY_ROLE, NO_ROLE, Trigger
from chaoskit.stack.labels import role_probe
from chaoskit.stack.model import Stack
from chaoskit.wording import did_you_mean, quoted

__all__ = ["too_many", "trigger_problems"]


def too_many(
    step: Step, node: ys.Mapping, stack: Stack | None, max_targets: int | None
) -> Iterator[Problem]:
    """A target that is sure to come to more nodes than ``max_targets``."""
    if stack is None or max_targets is None or not step.target:
        return
    count = least(step.target, stack)
    if count > max_targets:
        yield place_of(node, ("target",)).problem(
            f"target: {', '.join(step.target)} is {count} nodes, more than max_targets "
            f"{max_targets}"
        )


def trigger_problems(
    position: int, steps: Sequence[Step], node: ys.Mapping, stack: Stack | None
) -> Iterator[Problem]:
    """Why what a step waits for can never happen, or not as it is written."""
    step = steps[position]
    if step.when is None:
        return
    wrong = _about_a_step(position, steps) if step.when.kind == "step" else None
    if step.when.kind == "role" and stack is not None:
        wrong = _about_a_role(step.when, stack)
    if wrong is not None:
        yield place_of(node, ("when",)).problem(f"when: {wrong}")


def _about_a_step(position: int, steps: Sequence[Step]) -> str | None:
    step = steps[position]
    trigger = step.when
    assert trigger is not None  # noqa: S101 - asked of steps that wait
    number = trigger.step + 1
    if trigger.step >= position:
        there = "itself" if trigger.step == position else "one that comes later or not at all"
        return f"step {number} is {there}; a step can wait for one before it, counted from 1"
    other = steps[trigger.step]
    if trigger.event == "healed" and not all(one.for_s for one in other.alternatives()):
        return f"step {number} has no 'for', so it is healed only when everything is over"
    if trigger.event == "bitten" and not all(one.fault.needs for one in other.alternatives()):
        return f"step {number} breaks nothing, so it is never seen to bite"
    if other.optional and other.when is not None and not step.optional:
        return f"step {number} is optional and may never happen: then this one is optional, too"
    return None


def _about_a_role(trigger: Trigger, stack: Stack) -> str | None:
    probed = [s.name for s in stack.services.values() if role_probe(s) is not None]
    if not probed:
        return "no service is asked for its role (label chaoskit.probe.role)"
    if trigger.node and trigger.node not in probed:
        there = "is not asked for its role" if trigger.node in stack.services else "is not there"
        return f"{quoted(trigger.node)} {there}{did_you_mean(trigger.node, probed)}"
    known = {*ROLE_WORDS, *roles_of(stack), ANY_ROLE, NO_ROLE} - {""}
    for word in (trigger.before, trigger.after):
        hint = did_you_mean(word, sorted(known))
        if word not in known and "did you mean" in hint:
            return f"no role is called {quoted(word)}{hint}"  # other words: a probe may say them
    return None
