"""What is installed, by entry point: names without importing, code only when it is asked for.

The built-in faults, probes, loads and labs stand here like anybody else's, so a third party's
fault is found, listed and used exactly as ours are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from chaoskit.errors import Refused
from chaoskit.wording import did_you_mean, quoted

__all__ = ["GROUPS", "load", "names"]

GROUPS = (
    "chaoskit.faults",
    "chaoskit.probes",
    "chaoskit.loads",
    "chaoskit.labs",
    "chaoskit.metrics",
)
"""Entry-point groups that chaoskit reads."""


def names(group: str) -> Mapping[str, str]:
    """Every name of the group → the distribution that provides it. Imports nothing."""
    return {
        name: " and ".join(sorted({_origin(entry) for entry in entries}))
        for name, entries in sorted(_found(group).items())
    }


def load(group: str, name: str) -> object:
    """Import what ``name`` stands for. Raises ``Refused``, whatever went wrong, as a sentence."""
    kind = group.removeprefix("chaoskit.").removesuffix("s")
    found = _found(group)
    if name not in found:
        raise Refused(f"unknown {kind} {quoted(name)}{did_you_mean(name, found)}")
    entries = found[name]
    if len({entry.value for entry in entries}) > 1:
        origins = " and ".join(f"{_origin(entry)} ({entry.value})" for entry in entries)
        raise Refused(f"the {kind} '{name}' is provided by {origins}; uninstall one of them")
    entry = entries[0]
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        raise Refused(
            f"the {kind} '{name}' of {_origin(entry)} cannot be loaded from {entry.value}: "
            f"{type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


@cache
def _entries() -> tuple[EntryPoint, ...]:
    """Those of our groups, read once: what is installed does not change while we run."""
    everything = entry_points()
    return tuple(entry for group in GROUPS for entry in everything.select(group=group))


def _found(group: str) -> dict[str, list[EntryPoint]]:
    if group not in GROUPS:
        raise Refused(f"there is no entry-point group {quoted(group)}{did_you_mean(group, GROUPS)}")
    found: dict[str, list[EntryPoint]] = {}
    for entry in _entries():
        if entry.group == group:
            found.setdefault(entry.name, []).append(entry)
    return found


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed distribution"
