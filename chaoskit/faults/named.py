"""Which process of a node a fault means."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from chaoskit.capabilities import Process, Processes
from chaoskit.contracts import Node
from chaoskit.errors import NotInjected

__all__ = ["MAIN", "find", "matches"]

MAIN = "main"
"""The node's first process, the one that the lab has started."""
_NAME_BYTES = 15  # the kernel keeps no more of a process's name


def matches(pattern: str, process: Process) -> bool:
    """Whether ``pattern`` means this process.

    Compared, exactly or as a glob (``*``, ``?``, ``[...]``), case matters: the kernel's name of
    it, the last part of its program's path, and its whole command line as ``ps`` shows it.
    """
    if pattern == MAIN:
        return process.first
    program = PurePosixPath(process.line.split(" ", 1)[0].rstrip(":")).name
    words = (process.name, program, process.line)
    cut_short = pattern.encode()[:_NAME_BYTES] == process.name.encode() and len(pattern) > 15
    return cut_short or any(fnmatchcase(word, pattern) for word in words)


def find(lab: Processes, nodes: Sequence[Node], pattern: str) -> list[tuple[Node, Process]]:
    """Every process of every node that is meant. ``NotInjected`` where a node has none."""
    found = []
    for node in nodes:
        there = lab.processes(node)
        mine = [process for process in there if matches(pattern, process)]
        if not mine:
            known = ", ".join(sorted({p.name for p in there})) or "nothing"
            raise NotInjected(
                f"no process of {node.name} is called '{pattern}'; there runs {known}"
            )
        found += [(node, process) for process in mine]
    return found
