"""What a lab does for each capability, and how it undoes it, in words for ``chaoskit plan``.

A capability that is not here says what its protocol's docstring says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.capabilities import CAPABILITIES

__all__ = ["Primitive", "primitive"]


@dataclass(frozen=True)
class Primitive:
    """``do`` and ``undo`` are phrases; the undo stands in the journal before the act."""

    need: str
    do: str
    undo: str


_CUT = (
    "rules in our own nft table 'inet chaoskit_<run>' inside each target's network namespace",
    "delete that table and nothing else; the kernel does it by itself if its owner dies",
)
_DISK = (
    "a file without a name takes the space; or who answers for the disk does so late, or forgets",
    "that process gives back the space, or answers, at one signal; if it ends, the kernel does",
)
_CLOCK = (
    "a shift in the file that the node's libfaketime reads",
    "take it out of that file, so that time is as it is",
)
_BOTH: Mapping[str, tuple[str, str]] = {
    "cut": _CUT,
    "clock": _CLOCK,
    "disk": _DISK,
    "process": (
        "a signal by pidfd to each process that is meant",
        "SIGCONT to those that were stopped; a node that ended is started again",
    ),
    "stop": ("the service's stop signal, SIGKILL after its grace period", "as for kill"),
    "shape": (
        "a queueing discipline of our own on each of the target's devices, unless one is set there",
        "take that one out, known by its handle, and nothing else",
    ),
    "misdirect": (
        "a permanent neighbour entry on each peer, to a link address that nobody has",
        "take that entry out; the kernel asks the network anew",
    ),
    "toxify": (
        "a toxic on the link's proxy, through the Toxiproxy that the stack runs",
        "delete that toxic, or switch the proxy on again, and read it back",
    ),
    "exec": ("the command, inside the node", "the command that the step gives as its undo"),
    "spawn": ("a process of ours on the observer, which sends the request", "that process ends"),
}
_KNOWN: Mapping[tuple[str, str], tuple[str, str]] = {
    **{(lab, need): words for lab in ("sandbox", "docker") for need, words in _BOTH.items()},
    ("sandbox", "kill"): (
        "the signal, to every process of the node's PID namespace",
        "start the service's command again in the same namespaces",
    ),
    ("docker", "kill"): ("POST /containers/<id>/kill", "POST /containers/<id>/start"),
    ("sandbox", "pause"): (
        "SIGSTOP to every process of the node's PID namespace",
        "SIGCONT to all of them",
    ),
    ("docker", "pause"): ("POST /containers/<id>/pause", "POST /containers/<id>/unpause"),
    ("sandbox", "misname"): (
        "lines of the node's own /etc/hosts, each marked as ours",
        "take out what is marked and nothing else",
    ),
    ("docker", "misname"): (
        "lines of the container's /etc/hosts; an outage cuts it off from the engine's resolver",
        "take out what is marked; delete our nft table",
    ),
    ("docker", "remove"): (
        "DELETE /containers/<id>, once a successor is made and not started",
        "POST /containers/<successor>/start",
    ),
    ("sandbox", "limit"): (
        "a limit of a control group of ours that its processes are moved into, or prlimit(2)",
        "move them back and remove the group, or give each process its own limit back",
    ),
    ("docker", "limit"): (
        "a lower limit of the container's own control group, or prlimit(2) on its processes",
        "write back what stood there",
    ),
}


def primitive(need: str, lab: str) -> Primitive:
    """What the lab of that name does for a capability."""
    known = _KNOWN.get((lab, need))
    if known is not None:
        return Primitive(need, *known)
    protocol = CAPABILITIES.get(need)
    said = " ".join((protocol.__doc__ or "").split("\n\n")[0].split()) if protocol else ""
    _, _, phrase = said.partition(": ")
    return Primitive(need, (phrase or said or need).rstrip("."), "the lab's own undo of it")
