"""Every error that chaoskit raises on purpose.

::

    ChaoskitError
    ├── BadInput        a file or flag is wrong; nothing was started          exit 2
    ├── Refused         this machine or stack cannot do it; nothing started   exit 2
    ├── LabError        the lab could not do what it promised                 exit 4
    │   └── NotInjected a step could not be carried out when it was due       INVALID
    ├── Halted          somebody pulled the lever; everything is healed      exit 4
    ├── HealFailed      something may still be broken                         exit 5
    └── Interrupted     a signal asked the run to end; it heals and reports   exit 128 + signal

A bad *result* is never an exception: it is a finding with a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BadInput",
    "ChaoskitError",
    "Halted",
    "HealFailed",
    "Interrupted",
    "LabError",
    "NotInjected",
    "Problem",
    "Refused",
    "worst_code",
]

_WORST_FIRST = (5, 4, 2, 1, 3, 0)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with one place of a file. ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.sentence}"


class ChaoskitError(Exception):
    """Base of all; ``str()`` is one clear sentence, fit to be printed to a person."""

    exit_code = 4


class BadInput(ChaoskitError):
    """A file or flag is wrong; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems = () if isinstance(problems, str) else tuple(sorted(set(problems)))
        text = problems if isinstance(problems, str) else "\n".join(map(str, self.problems))
        super().__init__(text)


class Refused(ChaoskitError):
    """The machine, the stack or the rules do not allow it; nothing was started."""

    exit_code = 2


class LabError(ChaoskitError):
    """The lab could not do what it promised: says what, with the last output and one hint."""

    def __init__(self, sentence: str, *, output: str = "", hint: str = "") -> None:
        self.output, self.hint = output, hint
        tail = "\n".join(output.strip().splitlines()[-20:])
        parts = [sentence, *(["last output:\n" + tail] if tail else []), *([hint] if hint else [])]
        super().__init__("\n".join(parts))


class NotInjected(LabError):
    """A step could not be carried out when it was due; it touched nothing. Its trial is invalid."""


class Halted(ChaoskitError):
    """Somebody stopped all runs, with a reason; what was on is healed on the way out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"halted: {reason}")


class HealFailed(ChaoskitError):
    """Something may still be broken; names it and the command that would undo it."""

    exit_code = 5


class Interrupted(ChaoskitError):
    """A signal asked the run to end. Raised in the main thread, never inside an undo."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        self.exit_code = 128 + signum
        super().__init__(f"interrupted by signal {signum}")


def worst_code(codes: Sequence[int]) -> int:
    """The exit code over several experiments: a signal's, unless something may still be broken."""
    signalled = [code for code in codes if code >= 128]
    if 5 not in codes and signalled:
        return signalled[0]
    return next((code for code in _WORST_FIRST if code in codes), 4)
