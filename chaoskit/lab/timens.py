"""Time namespaces: a process in one of its own has another CLOCK_MONOTONIC than everybody else.

All figures compare moments of one clock. The kernel says which clock a process reads:
``/proc/<pid>/ns/time`` names its namespace, ``/proc/<pid>/timens_offsets`` how far it is off
(time_namespaces(7)). Where the kernel has no time namespaces there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chaoskit.clock import time_namespace

__all__ = ["own_clock", "shifted"]


def own_clock(name: object) -> str | None:
    """What is wrong if a child of ours says that its time namespace is ``name``; None if nothing.

    A child that says nothing, on a kernel that has no such namespaces, is all right.
    """
    here = time_namespace()
    if name is None or here is None or name == here:
        return None
    return f"it is in a time namespace of its own ({name}, the harness in {here})"


def shifted(pid: int) -> str | None:
    """How far the clock of a process, or of one that it started, is off; None if it is ours."""
    here = time_namespace()
    for one in _family(pid):
        theirs = time_namespace(one)
        if here is not None and theirs is not None and theirs != here:
            return f"CLOCK_MONOTONIC off by {_offset(one)}"
    return None


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants; whoever ends meanwhile is left out."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text("ascii").split():
                    yield from _family(int(child))


def _offset(pid: int) -> str:
    """``5000 s`` from ``timens_offsets``; in words where it cannot be read."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/timens_offsets").read_text("ascii").splitlines():
            name, seconds, _ns = line.split()
            if name in ("monotonic", "1"):
                return f"{int(seconds)} s"
    return "an unknown time"
