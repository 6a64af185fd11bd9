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
    "a file without a name takes the space, or the process that answers for the disk answers late",
    "that process gives back the space, or answers, at one signal; if it ends, the kernel does",
)
_KNOWN: Mapping[tuple[str, str], tuple[str, str]] = {
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
    ("sandbox", "cut"): _CUT,
    ("docker", "cut"): _CUT,
    ("sandbox", "disk"): _DISK,
    ("docker", "disk"): _DISK,
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
