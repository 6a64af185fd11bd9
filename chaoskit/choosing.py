"""Which lab a run uses, and why: said in the header of every run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chaoskit.contracts import FaultModel, Lab
from chaoskit.errors import Refused
from chaoskit.stack.model import Stack

if TYPE_CHECKING:
    from chaoskit.lab.journal import Journal

__all__ = ["LAB_NAMES", "Choice", "build_lab", "choose_lab", "lab_class", "refuse_unmet"]

LabName = Literal["auto", "docker", "sandbox"]
LAB_NAMES: tuple[LabName, ...] = ("auto", "docker", "sandbox")


@dataclass(frozen=True)
class Choice:
    """``why`` is a phrase that completes 'the sandbox lab, because …'."""

    name: Literal["docker", "sandbox"]
    why: str


def choose_lab(asked: str, stack: Stack) -> Choice:
    """Resolve ``auto``: docker if an engine answers on a local socket, else sandbox.

    Raises ``Refused`` where the lab asked for, or any lab at all, cannot run this stack here.
    """
    from chaoskit.lab.docker_compose import find_compose
    from chaoskit.lab.docker_probe import docker_available, docker_can_run
    from chaoskit.lab.sandbox_probe import sandbox_available

    if asked == "docker":
        no_docker = docker_available()
        if no_docker:
            raise Refused(f"the docker lab cannot run here: {no_docker}; or use --lab sandbox")
        return Choice("docker", "it was asked for")
    refusals = _no_sandbox(stack)
    no_sandbox = refusals or sandbox_available()
    if asked == "sandbox":
        if refusals:  # each begins with its file and line
            raise Refused(f"{refusals}\nso the sandbox lab cannot run this stack")
        if no_sandbox:
            raise Refused(f"the sandbox lab cannot run here: {no_sandbox}")
        return Choice("sandbox", "it was asked for")
    no_docker = docker_can_run(stack)
    if no_docker is None and find_compose() is None:
        no_docker = "neither 'docker compose' nor 'docker-compose' is installed"
    if no_docker is None:
        return Choice("docker", "a Docker engine answers here and can have the stack's images")
    if no_sandbox is None:
        return Choice("sandbox", f"no Docker here: {no_docker}")
    raise Refused(f"no lab can run this here. docker: {no_docker}. sandbox: {no_sandbox}")


def _no_sandbox(stack: Stack) -> str | None:
    return "\n".join(stack.sandbox_refusals) or None


def refuse_unmet(choice: Choice, faults: Iterable[FaultModel]) -> None:
    """Raises ``Refused`` where the lab or this machine cannot do what a fault needs."""
    from chaoskit.lab.needs import unmet

    kind = lab_class(choice)
    lacking = dict.fromkeys(sentence for fault in faults if (sentence := unmet(fault, kind)))
    if lacking:
        raise Refused("\n".join(lacking))


def lab_class(choice: Choice) -> type:
    """The class of the lab; nothing of it is made."""
    if choice.name == "docker":
        from chaoskit.lab.docker import DockerLab

        return DockerLab
    from chaoskit.lab.sandbox import SandboxLab

    return SandboxLab


def build_lab(choice: Choice, stack: Stack, run_id: str, run_dir: Path, journal: Journal) -> Lab:
    """The lab of a trial, not yet up."""
    lab: Lab = lab_class(choice)(stack, run_id, run_dir, journal)
    return lab
