"""What a plan says of a fault, and the hash that binds a run to its plan.

The hash covers the experiment as checked, the stack as parsed and as its file stands, the lab and
the number of trials: what decides what is done to whom. It does not cover the seed, names or paths.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from chaoskit.contracts import FaultModel
from chaoskit.experiment.model import Experiment
from chaoskit.stack.model import Stack

__all__ = ["did_and_undone", "plan_hash"]


def plan_hash(experiment: Experiment, stack: Stack, lab: str, trials: int) -> str:
    """Hexadecimal SHA-256 of what is going to be done to whom."""
    said = experiment.model_dump(
        mode="json",
        by_alias=True,
        exclude={"name", "question", "tags", "stack", "seed", "matrix", "repeat"},
    )
    told = {
        "format": 1,
        "experiment": said,
        "kinds": [[_kind(one.fault) for one in s.alternatives()] for s in experiment.steps],
        "vary": list(experiment.repeat.vary),
        "services": {name: asdict(service) for name, service in stack.services.items()},
        "file": hashlib.sha256(Path(stack.file).read_bytes()).hexdigest(),
        "lab": lab,
        "trials": trials,
    }
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def did_and_undone(fault: type[FaultModel] | FaultModel) -> tuple[str, str]:
    """What the fault says of itself, taken apart: ``…; healed by …``."""
    doc = (fault.__doc__ or "").strip().splitlines()
    summary = fault.summary or next(iter(doc), fault.kind)
    action, semicolon, undo = summary.partition(";")
    return action.strip(), undo.strip() if semicolon else (
        "healed by ending it" if fault.needs else "nothing to undo"
    )


def _kind(fault: FaultModel) -> str:
    return getattr(fault, "kind", "")
