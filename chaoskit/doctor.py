"""What this machine can do, and what would help where it cannot: ``chaoskit doctor``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from chaoskit import registry
from chaoskit.choosing import Choice, lab_class
from chaoskit.contracts import FaultModel
from chaoskit.errors import ChaoskitError, Refused
from chaoskit.experiment.steps import fault_class
from chaoskit.halting import halted
from chaoskit.lab.heal import heal
from chaoskit.lab.needs import FEATURES, feature, missing

__all__ = ["Check", "Examination", "examine"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    area: str  # "sandbox", "docker", "machine", "plug-ins"
    name: str
    ok: bool
    said: str  # what was found; where it is missing, why and what helps


@dataclass(frozen=True)
class Examination:
    """Everything that was looked at. ``able``: a lab that was asked for can run."""

    able: bool
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {"schema_version": 1, **asdict(self)}

    def __str__(self) -> str:
        rows, area = [], ""
        for check in self.checks:
            if check.area != area:
                area = check.area
                rows.append(area)
            mark = "ok     " if check.ok else "MISSING"
            rows.append(f"  {mark} {check.name}{f': {check.said}' if check.said else ''}")
        rows.append(
            "ready" if self.able else "no lab can run here: see MISSING above for what helps"
        )
        return "\n".join(rows)


def examine(lab: str = "all") -> Examination:
    """Look at one lab or at all; each thing tried where it harms nobody."""
    labs = [name for name in ("sandbox", "docker") if lab in ("all", name)]
    checks = list(_machine())
    able = False
    for name in labs:
        reason = _no_lab(name)
        able = able or reason is None
        checks.append(Check(name, f"the {name} lab", reason is None, reason or "can run here"))
        checks += _faults(name)
    checks += _plugins()
    return Examination(able, tuple(checks))


def _machine() -> Iterator[Check]:
    version = platform.python_version()
    yield Check("machine", "Python", sys.version_info >= (3, 11), f"{version}; 3.11 or later")
    cpus = os.cpu_count() or 1
    enough = "" if cpus > 1 else "; with one, load and system disturb each other: expect INVALID"
    yield Check("machine", "processors", cpus > 1, f"{cpus}{enough}")
    for name, what in FEATURES.items():
        yield Check("machine", name, (reason := feature(name)) is None, reason or what)
    yield _left_behind()
    stop = halted()
    said = "no" if stop is None else f"{stop}; lift it with: chaoskit halt --lift"
    yield Check("machine", "halted", stop is None, said)


def _left_behind() -> Check:
    try:
        left = heal(dry_run=True)
    except ChaoskitError as error:
        return Check("machine", "left behind", False, f"it could not be found out: {error}")
    said = "nothing" if not left else f"{len(left)} of earlier runs; run: chaoskit heal"
    return Check("machine", "left behind", not left, said)


def _no_lab(name: str) -> str | None:
    from chaoskit.lab.docker_compose import find_compose
    from chaoskit.lab.docker_probe import docker_available
    from chaoskit.lab.sandbox_probe import sandbox_available

    if name == "sandbox":
        return sandbox_available()
    try:
        reason = docker_available()
    except Refused as error:
        return str(error)
    if reason is None and find_compose() is None:
        return "neither 'docker compose' nor 'docker-compose' is installed; install one of them"
    return reason


def _faults(lab: str) -> Iterator[Check]:
    """Which installed faults the lab can carry out; what single ones need is said at plan time."""
    kind = lab_class(Choice("docker" if lab == "docker" else "sandbox", "it is asked about"))
    able: list[tuple[str, list[str]]] = []
    lacking: list[tuple[str, list[str]]] = []
    for name in registry.names("chaoskit.faults"):
        try:
            cls = fault_class(name)
        except Refused:
            continue  # said under plug-ins
        needs = sorted(cls.needs)
        reasons = [r for need in needs if (r := missing(need, kind)) is not None]
        reasons += [f"needs {one}, see above" for one in _features(cls) if feature(one) is not None]
        (lacking if reasons else able).append((name, reasons))
    yield Check(lab, "faults", True, ", ".join(name for name, _ in able))
    for name, reasons in lacking:
        yield Check(lab, f"fault {name}", False, "; ".join(reasons))


def _features(cls: type[FaultModel]) -> list[str]:
    """What every form of the fault needs of the machine, as far as the bare model knows."""
    try:
        return sorted(cls.model_construct().features() & set(FEATURES))
    except (AttributeError, KeyError, TypeError, ValueError):  # asked without required fields
        return []


def _plugins() -> Iterator[Check]:
    """Every fault is imported, as it would be when an experiment names it."""
    broken = 0
    for name in registry.names("chaoskit.faults"):
        try:
            fault_class(name)
        except Refused as error:
            broken += 1
            yield Check("plug-ins", f"fault {name}", False, f"{error}; reinstall or remove it")
    count = sum(len(registry.names(group)) for group in registry.GROUPS)
    if not broken:
        yield Check("plug-ins", "installed", True, f"{count}, all faults can be loaded")
