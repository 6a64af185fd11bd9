"""Nodes end and begin again: what kill, stop, restart and crash-loop have in common."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from chaoskit.capabilities import Kills, Stops
from chaoskit.clock import NS, now_ns, wait_until
from chaoskit.contracts import Lab, Node
from chaoskit.errors import HealFailed, LabError
from chaoskit.units import format_duration
from chaoskit.wording import quoted

__all__ = ["GONE_WITHIN_S", "Asked", "all_gone", "ask_all", "end_all", "signal_name", "start_all"]

GONE_WITHIN_S = 5.0  # SIGKILL takes milliseconds; a process in uninterruptible sleep may take more
_LOOK_S = 0.001


def signal_name(value: str) -> str:
    """``TERM`` or ``SIGTERM`` as ``SIGTERM``; ``ValueError`` with a sentence for anything else."""
    name = value if value.startswith("SIG") else f"SIG{value}"
    if name not in signals.Signals.__members__:
        raise ValueError(f"unknown signal {quoted(value)}; write a name such as SIGKILL or SIGTERM")
    if name in ("SIGSTOP", "SIGTSTP", "SIGCONT"):
        raise ValueError(f"{name} ends nothing; use the fault 'pause' or 'hang'")
    return name


def all_gone(lab: Lab, nodes: Sequence[Node], within_s: float = GONE_WITHIN_S) -> bool:
    """Whether the lab finds no incarnation of any of them, now or soon."""
    return bool(
        wait_until(
            lambda: all(lab.identity(node) is None for node in nodes),
            within_s=within_s,
            every_s=_LOOK_S,
        )
    )


@dataclass(frozen=True)
class Asked:
    """A node that was asked to end, and how long it may take to."""

    node: Node
    since_ns: int
    grace_s: float


def ask_all(
    lab: Lab, nodes: Sequence[Node], signal: str | None, grace_s: float | None
) -> list[Asked]:
    """Ask every node to end. Without ``signal`` or ``grace_s`` the service's own are used."""
    asked = []
    for node in nodes:
        own_signal, own_grace_s = cast("Stops", lab).stopping(node)
        number = own_signal if signal is None else signals.Signals[signal].value
        asked_ns = cast("Kills", lab).kill(node, number)
        asked.append(Asked(node, asked_ns, own_grace_s if grace_s is None else grace_s))
    return asked


def end_all(lab: Lab, asked: Sequence[Asked]) -> str:
    """Wait for those that were asked, and kill what is left; how it went, as a phrase."""
    said = []
    for one in asked:
        left_s = max(0.0, one.grace_s - (now_ns() - one.since_ns) / NS)
        if all_gone(lab, [one.node], left_s):
            took_s = round((now_ns() - one.since_ns) / NS, 3)
            said.append(f"{one.node.name} ended by itself within {format_duration(took_s)}")
        else:
            _kill_if_there(lab, one.node)
            grace = format_duration(one.grace_s)
            said.append(f"{one.node.name} did not end within {grace} and was killed")
    return ", ".join(said)


def _kill_if_there(lab: Lab, node: Node) -> None:
    """It may end by itself at any moment, also between a look and the signal."""
    try:
        if lab.identity(node) is not None:
            cast("Kills", lab).kill(node, signals.SIGKILL)
    except LabError:
        if not all_gone(lab, [node]):
            raise


def start_all(lab: Lab, nodes: Sequence[Node]) -> None:
    """Start every node that does not run, going on past one that fails. ``HealFailed``."""
    problems = []
    for node in nodes:
        try:
            if lab.identity(node) is None:
                cast("Kills", lab).start(node)
        except LabError as error:
            problems.append(f"{node.name}: {error}")
    if problems:
        raise HealFailed("could not start again: " + "; ".join(problems))
