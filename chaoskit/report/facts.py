"""What a reader must know about a run beyond its result: where it ran and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from chaoskit.history.history import Stream

__all__ = ["RunFacts"]


@dataclass(frozen=True)
class RunFacts:
    """Everything a report says that ``result.json`` does not hold. Durations are seconds."""

    run: str  # the run directory's own name: "20260131T235959Z-42"
    started_utc: str  # "20260131T235959Z" or any other label of wall time
    took_s: float
    seed: int
    version: str  # of chaoskit
    argv: tuple[str, ...]  # the command as typed; its first word may be a path
    source: str = ""  # the experiment file, as run
    source_path: str = ""
    stack: str = ""
    profile: str = ""
    streams: tuple[Stream, ...] = ()  # rate, deadline, timeout and connections of each comb
    poll_every_s: float = 0.05
    host: Mapping[str, str] = field(default_factory=dict)  # kernel, cpus, ...
    lab: Mapping[str, str] = field(default_factory=dict)  # engine, images, ...
    lab_why: str = ""  # why this lab was chosen
    overrides: Mapping[str, str] = field(default_factory=dict)  # what --set changed
    detectors: Mapping[str, str] = field(default_factory=dict)  # declared constants by service
    retries: Mapping[str, str] = field(default_factory=dict)  # what services try again, by service
    planted: Mapping[str, str] = field(default_factory=dict)  # service → flaw planted in it

    def warning(self) -> str:
        """A sentence that this is not the system as it is meant to be; empty where it is."""
        if not self.planted:
            return ""
        flaws = ", ".join(dict.fromkeys(self.planted.values()))
        where = ", ".join(self.planted)
        return (
            f"A flaw was planted in this system: {flaws} (in {where}). "
            "This says nothing about the system without it."
        )

    def command(self) -> str:
        """The command that repeats the run with the same seed, fit to be pasted into a shell."""
        words = list(self.argv) or ["chaoskit", "run", self.source_path or "EXPERIMENT.yaml"]
        words[0] = PurePath(words[0]).name
        if not any(word == "--seed" or word.startswith("--seed=") for word in words):
            words += ["--seed", str(self.seed)]
        return shlex.join(words)

    def started(self) -> str:
        """The start as ``2026-01-31 23:59:59 UTC`` where the label is one of ours."""
        label = self.started_utc
        if len(label) == 16 and label[8] == "T" and label.endswith("Z"):  # 20260131T235959Z
            day, time = label[:8], label[9:15]
            return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]} UTC"
        return label
