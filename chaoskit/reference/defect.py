"""One row of the table of planted defects."""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.reference.node import Node
from chaoskit.reference.settings import Timing

__all__ = ["Defect"]


@dataclass(frozen=True)
class Defect:
    """``experiment`` must find it, by a threshold on one of ``metrics``.

    ``node`` is the flawed state machine of the pair, None for shapes that have their own;
    ``timing``: all three processes are timed like that, whatever they were told; ``needs``: a
    program that must be installed in the sandbox lab; ``only``: what a node must be told for the
    flaw to be one, "approval" or "data"; without it, it is refused.
    """

    name: str
    shape: str
    does: str
    experiment: str
    metrics: tuple[str, ...]
    node: type[Node] | None = None
    timing: Timing | None = None
    needs: str = ""
    only: str = ""
