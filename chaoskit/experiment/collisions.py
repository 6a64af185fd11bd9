"""Two steps that want the same thing of one node at the same time.

What a fault uses of its targets it says itself (``FaultModel.claims``). When a file is read, steps
are refused that are certain to meet; where a target is known only at run time, the same question
is asked again at injection.
"""

from __future__ import annotations

import math

from chaoskit.contracts import FaultModel
from chaoskit.experiment.step import Step
from chaoskit.stack.labels import role_probe
from chaoskit.stack.model import Stack
from chaoskit.units import format_duration

__all__ = ["clash", "collisions"]


def clash(one: FaultModel, other: FaultModel) -> str | None:
    """The resource of a node that the two cannot both use at once; None if there is none."""
    theirs = {claim.resource: claim for claim in other.claims()}
    for claim in sorted(one.claims(), key=lambda c: c.resource):
        met = theirs.get(claim.resource)
        if met is not None and not (claim.share and met.share):
            return claim.resource
    return None


def collisions(steps: list[Step], stack: Stack) -> list[tuple[int, str]]:
    """Position and sentence of each step that collides for certain with an earlier one."""
    found: list[tuple[int, str]] = []
    for later, step in enumerate(steps):
        said = (_meet(step, steps[n], n, stack) for n in range(later))
        sentence = next(filter(None, said), None)
        if sentence is not None:
            found.append((later, sentence))
    return found


def _meet(step: Step, before: Step, position: int, stack: Stack) -> str | None:
    """Why ``step`` cannot be on while ``before``, which stands at ``position``, is."""
    resource = clash(step.fault, before.fault)
    node = _certain(step, before, stack) if resource else None
    if node is None or not _overlap(step, before):
        return None
    last = _stretches(before)[-1][1]
    until = "the end" if last == math.inf else format_duration(last)
    return (
        f"{step.fault.kind} collides with {before.fault.kind} of step {position + 1}, which is on "
        f"{node} until {until}: both need its '{resource}' for themselves"
    )


def _overlap(one: Step, other: Step) -> bool:
    """Whether both are certain to be on at some moment."""
    return any(
        begin < its_end and its_begin < end
        for begin, end in _stretches(one)
        for its_begin, its_end in _stretches(other)
    )


def _stretches(step: Step) -> list[tuple[float, float]]:
    """When it is on; without ``for`` until the end. Of a step that waits, nothing is certain."""
    if step.at_s is None:
        return []
    again = step.repeat
    starts = [step.at_s + k * again.every_s for k in range(again.times)] if again else [step.at_s]
    return [(at, math.inf if step.for_s is None else at + step.for_s) for at in starts]


def _certain(one: Step, other: Step, stack: Stack) -> str | None:
    """A node, or the word for one, that both are certain to strike."""
    mine, theirs = (
        {name for word in step.target for name in _surely(word, stack)} for step in (one, other)
    )
    both = sorted(mine & theirs)
    if both:
        return both[0]
    if (
        one.at_s is not None and one.at_s == other.at_s
    ):  # resolved at one moment, so the same word means the same node
        same = sorted(set(one.target) & set(other.target) - {"any", "minority", "majority"})
        return same[0] if same else None
    return None


def _surely(word: str, stack: Stack) -> set[str]:
    """Nodes that ``word`` means whatever happens; a role that a probe may change means none."""
    if word == "all":
        return set(stack.services)
    name = word.removeprefix("service:")
    if word in stack.services or name in stack.services:
        return {name}
    if word in ("client", "observer") or word.startswith("link:"):
        return {word}
    return {s.name for s in stack.services.values() if s.role() == word and not role_probe(s)}
