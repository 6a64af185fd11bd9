"""What the faults of disks have in common: several nodes, and a process of ours that tries them.

What a disk does is felt by whoever waits for it and by nobody else, so the evidence is not a dial:
a helper of ours writes and syncs in the folder of the node, on the node's own file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from chaoskit.clock import now_ns
from chaoskit.contracts import Hold, Lab, Node
from chaoskit.disks import DiskPace, Disks, DiskTrial
from chaoskit.errors import ChaoskitError, HealFailed, LabError

__all__ = ["BLOCK", "each", "paced", "sound", "works_again"]

BLOCK = 4096
_PATIENCE_S = 10.0


def sound(disks: Disks, nodes: Sequence[Node], path: str = "", size: int = BLOCK) -> DiskTrial:
    """Every disk takes a block before the fault, or the fault would prove nothing. The slowest.

    Raises ``LabError``.
    """
    trials = []
    for node in nodes:
        disks.ready_disk(node, path)
        trial = disks.try_disk(node, size, _PATIENCE_S, path)
        if not trial.ended or trial.error:
            said = trial.error or f"nothing within {_PATIENCE_S:g} s"
            raise LabError(f"the disk of {node.name} does not take {size} bytes: {said}")
        trials.append(trial)
    return max(trials, key=lambda trial: trial.took_s)


@contextmanager
def paced(
    lab: Lab, nodes: Sequence[Node], pace: DiskPace, hold: Hold
) -> Iterator[Callable[[], bool]]:
    """Every disk answers like that until the exit, and works again then. Sets the hold's marks.

    What it gives says whether that is in force. Whether it bites is for the caller to prove, who
    sets ``verified_ns``.
    """
    disks = cast("Disks", lab)

    def in_force() -> bool:
        return all(disks.held_up(node) for node in nodes)

    hold.outside = False
    hold.in_force = in_force
    try:
        for node in nodes:
            disks.hold_up(node, pace)
        hold.acknowledged_ns = now_ns()
        yield in_force
        if not in_force():
            hold.verified_ns = None
            hold.detail += "; not any more before the heal"
    finally:
        hold.heal_commanded_ns = now_ns()
        each(nodes, disks.let_go)
        works_again(lab, nodes)
        hold.healed_ns = now_ns()


def works_again(lab: Lab, nodes: Sequence[Node]) -> None:
    """See that every disk takes a block after the heal; of a node that is down nobody can tell.

    Raises ``HealFailed``.
    """
    for node in nodes:
        try:
            sound(cast("Disks", lab), [node])
        except LabError as error:
            if lab.identity(node) is not None:
                raise HealFailed(str(error)) from error


def each(nodes: Sequence[Node], heal: Callable[[Node], None]) -> None:
    """Heal all, going on past one that fails. Raises ``HealFailed``."""
    problems = []
    for node in nodes:
        try:
            heal(node)
        except ChaoskitError as error:
            problems.append(f"{node.name}: {error}")
    if problems:
        raise HealFailed("; ".join(problems))
