"""What faults that limit a node's share of the machine have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from chaoskit.clock import now_ns, wait_until
from chaoskit.contracts import CLIENT, OBSERVER, Dial, Hold, Lab, Targets
from chaoskit.errors import LabError
from chaoskit.resources import Limit, Limits

__all__ = ["every", "limited", "refuse_own"]

_NOTICED_S = 1.0
_EVERY_NS = 50_000_000  # whoever is in the node has to be looked for among all processes


def refuse_own(targets: Targets) -> None:
    """The lab's own two are what it is measured with."""
    for node in targets.nodes:
        if node.name in (CLIENT, OBSERVER):
            raise LabError(f"{node.name} is the lab's own node; strike a service of the stack")


@contextmanager
def limited(
    lab: Lab,
    targets: Targets,
    limits: Sequence[Limit],
    detail: str,
    dials: tuple[Dial, ...] = (),
    *,
    may_end: bool = False,
) -> Iterator[Hold]:
    """Every limit in force until the exit; bitten when the kernel counts that one was met.

    With ``dials`` they are the evidence instead. Verified by reading the limits back. ``may_end``:
    a target may end of it, even at once; that the kernel counts it is as good as a look.
    """
    refuse_own(targets)
    acts = cast("Limits", lab)
    hold = Hold(now_ns(), 0, None, dials, detail=detail, may_end=may_end)
    handle = acts.limit(limits)
    try:
        hold.acknowledged_ns = now_ns()
        held = acts.limited(handle)
        if not held and may_end:
            held = _ended(lab, targets, hold) and acts.limit_met(handle)
        hold.verified_ns = now_ns() if held else None
        hold.in_force = lambda: acts.limited(handle)
        hold.tend = every(lambda: acts.tighten(handle))
        if not dials:
            hold.outside = False
            hold.felt = lambda: acts.limit_met(handle)
        yield hold
        if not acts.limited(handle) and not _ended(lab, targets, hold):
            hold.verified_ns = None  # it did not hold for its window: somebody else took it away
            hold.detail += "; it was not in force any more before the heal"
    finally:
        hold.heal_commanded_ns = now_ns()
        acts.unlimit(handle)
        hold.healed_ns = now_ns()


def _ended(lab: Lab, targets: Targets, hold: Hold) -> bool:
    """Whether a target is gone, and its limit with it. An engine may take a moment to notice."""
    within_s = _NOTICED_S if hold.may_end else 0.0
    return bool(
        wait_until(
            lambda: any(lab.identity(node) is None for node in targets.nodes),
            within_s=within_s,
            every_s=0.01,
        )
    )


def every(act: Callable[[], None]) -> Callable[[], bool]:
    """For ``Hold.tend``: do it twenty times a second, whenever that is asked more often."""
    next_ns = 0

    def tend() -> bool:
        nonlocal next_ns
        if now_ns() >= next_ns:
            act()
            next_ns = now_ns() + _EVERY_NS
        return False

    return tend
