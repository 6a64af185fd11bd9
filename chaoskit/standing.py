"""Which services have ended by themselves before anything was done to them.

A pair whose backup died during the baseline shows a failover that fails, and the fault would get
the blame for it. What has ended is looked for right before the first step.
"""

from __future__ import annotations

from collections.abc import Collection

from chaoskit.contracts import Lab
from chaoskit.stack.model import Stack

__all__ = ["ended", "running"]

_OURS = "chaoskit."


def running(lab: Lab) -> frozenset[str]:
    """The services that run now."""
    return frozenset(node.name for node in lab.nodes() if lab.identity(node) is not None)


def ended(lab: Lab, stack: Stack, before: Collection[str]) -> list[str]:
    """Those of ``before`` that have ended since, in the stack's order.

    Not told of are services that are there to end: somebody waits for their completion, or neither
    a healthcheck nor a label of ours says what they are for.
    """
    waited_for = {
        name
        for service in stack.services.values()
        for name, condition in service.depends_on.items()
        if condition == "service_completed_successfully"
    }
    now = running(lab)
    return [
        name
        for name, service in stack.services.items()
        if name in before
        and name not in now
        and name not in waited_for
        and (
            service.healthcheck is not None
            or any(label.startswith(_OURS) for label in service.labels)
        )
    ]
