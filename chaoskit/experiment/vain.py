"""Steps that are certain to do nothing, or to keep what is asked for from ever coming.

Only what is certain before a run is refused here; where a word's meaning is known only at run time,
the same question is asked again at injection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit import yaml_source as ys
from chaoskit.contracts import CLIENT, OBSERVER
from chaoskit.errors import Problem
from chaoskit.experiment.messages import place_of
from chaoskit.experiment.metastability import MetastabilitySpec
from chaoskit.experiment.step import Step
from chaoskit.stack.model import Stack

__all__ = ["never_sheds", "nobody_else"]

_PROBE = "chaoskit.probe.role"
_OTHER_SIDE = {"cut": "from", "misdirect": "on", "misname": "names"}
"""What a fault needs of the lab → its key for those whom it comes between the target and."""


def nobody_else(step: Step, node: ys.Mapping, stack: Stack) -> Iterator[Problem]:
    """A fault between the target and others where those others are the target itself."""
    fault = step.fault
    key = next((key for need, key in _OTHER_SIDE.items() if need in fault.needs), "")
    targets, others = (
        _meant(words, stack) for words in (step.target, fault.selectors().get(key, ()))
    )
    if not targets or not others or len(targets) > 1 or others - targets:
        return
    yield place_of(node, (key,)).problem(
        f"{key}: names nobody but the target itself, {min(targets)}; between a node and itself "
        f"{fault.kind} can do nothing, so name somebody else"
    )


def never_sheds(spec: MetastabilitySpec | None, step: Step, node: ys.Mapping) -> Iterator[Problem]:
    """A step that is healed only at the end, where the load is to be shed after the last heal.

    What does not bite is not waited for; what ends by itself needs no ``for``.
    """
    fault = step.fault
    if spec is None or spec.shed is None or not fault.needs or fault.ends_itself or step.for_s:
        return
    yield node.mark.problem(
        f"'for' is missing: without it {fault.kind} is healed only at the end, and metastability "
        "sheds the load once every fault is healed: it never would"
    )


def _meant(words: Sequence[str], stack: Stack) -> set[str] | None:
    """Exactly the nodes that the words mean whatever happens; None where that is not known."""
    found: set[str] = set()
    for word in words:
        names = _one(word, stack)
        if names is None:
            return None
        found |= names
    return found


def _one(word: str, stack: Stack) -> set[str] | None:
    name = word.removeprefix("service:")
    if name in stack.services or word in (CLIENT, OBSERVER):
        return {name}
    if word == "all":
        return set(stack.services)
    if word.startswith("not "):
        unwanted = _one(word.removeprefix("not ").strip(), stack)
        return None if unwanted is None else set(stack.services) - unwanted
    probed = any(_PROBE in service.labels for service in stack.services.values())
    if probed or word in ("any", "minority", "majority"):
        return None  # said by a probe, or drawn by the seed, when it is injected
    return {s.name for s in stack.services.values() if s.role() == word}
